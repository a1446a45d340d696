"""docs/topics.md says what the nodes have, no more and no less."""

import re
from pathlib import Path

import pytest
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy

from superslam_ros.nodes.charuco_node import CharucoNode
from superslam_ros.nodes.map_node import MapNode
from superslam_ros.nodes.odometry_node import OdometryNode
from superslam_ros.nodes.superglue_node import SuperGlueNode
from superslam_ros.nodes.superpoint_node import SuperPointNode
from superslam_ros.nodes.superslam_node import SuperSlamNode

PAGE = (Path(__file__).parents[2] / 'docs/topics.md').read_text()
EVERYWHERE = {'/parameter_events', '/rosout', '/clock'}
BETWEEN = {f'/superslam/{name}' for name in ('features', 'features_right', 'matches', 'matches_stereo', 'reset')}
"""What the separate nodes say to each other."""
TRANSPORTS = {'/image': 'transport', '/right/image': 'transport', '/depth': 'depth_transport'}
NODES = {'P': SuperPointNode, 'G': SuperGlueNode, 'O': OdometryNode, '': SuperSlamNode}


def rows(section, heading=''):
    """Yield the cells of a section's table, once for every topic named in the first; of the table of a heading."""
    table = PAGE.partition(f'## {section}\n')[2].partition('\n## ')[0]
    if heading:
        table = table.partition(f'| {heading} |')[2].partition('\n\n')[0]
    for line in re.findall(r'^\| (`.*) \|$', table, re.M):
        first, *others = re.split(r' *\| *', line)
        for name in re.findall(r'`([^`]+)`', first):
            yield name if name.startswith('/') else f'/{name}', *others


def has(letter, by):
    return not letter or letter in by.split()


def kind_of(message):
    package = message.__module__.partition('.')[0]
    return f'{package}/{message.__name__}'


def made(entities):
    return {entity.topic_name: entity for entity in entities if entity.topic_name not in EVERYWHERE}


@pytest.fixture
def make(context):
    nodes = []

    def node(letter, **parameters):
        values = {'mode': 'stereo', **parameters}
        nodes.append(NODES[letter](context=context, parameter_overrides=[
            Parameter(name, value=value) for name, value in values.items()]))
        return nodes[-1]

    yield node
    for one in nodes:
        one.destroy_node()


@pytest.mark.parametrize('letter', NODES)
def test_published(make, letter):
    node = make(letter)
    documented = {name: (kind, qos) for name, kind, by, qos, _ in rows('Published') if has(letter, by)}
    found = {name: publisher for name, publisher in made(node.publishers).items() if 'transition_event' not in name}
    assert set(found) == set(documented)
    for name, (kind, qos) in documented.items():
        assert kind_of(found[name].msg_type) == kind
        latched = found[name].qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        assert latched == (qos == 'latched')


@pytest.mark.parametrize(('letter', 'parameters'), [
    ('', {}), ('', {'transport': 'compressed'}), ('', {'mode': 'rgbd'}),
    ('', {'mode': 'rgbd', 'depth_transport': 'compressed', 'frames.base_frame': 'base_link'}),
    ('P', {}), ('G', {}), ('O', {}), ('O', {'mode': 'rgbd'})])
def test_subscribed(make, letter, parameters):
    node = make(letter, **parameters)
    mode = parameters.get('mode', 'stereo')
    expected = {}
    for name, kind, modes, by, text in rows('Subscribed'):
        wanted = has(letter, by)
        wanted &= mode == 'stereo' if name.startswith('/right/') else 'all' in modes or mode in modes
        option, _, value = (re.findall(r'with `([^`]+)`', text) or [''])[0].partition(': ')
        if option == 'frames.base_frame':
            wanted &= option in parameters
        elif option:
            wanted &= parameters.get(option) == value
        else:
            wanted &= parameters.get(TRANSPORTS.get(name)) != 'compressed'
        if wanted:
            expected[name] = kind
    found = made(node.subscriptions)
    assert {name: kind_of(found[name].msg_type) for name in set(found) - BETWEEN} == expected


def test_boards(context):
    board = {'squares_x': 5, 'squares_y': 7, 'square_m': 0.04, 'marker_m': 0.03, 'dictionary': 'DICT_6X6_250'}
    node = CharucoNode(context=context, parameter_overrides=[
        Parameter(f'charuco.{name}', value=value) for name, value in board.items()])
    try:
        published = {name: kind for name, kind, _ in rows('charuco_node publishes')}
        found = {name: one for name, one in made(node.publishers).items() if 'transition_event' not in name}
        assert {name: kind_of(one.msg_type) for name, one in found.items()} == published
        assert all(one.qos_profile.durability != DurabilityPolicy.TRANSIENT_LOCAL for one in found.values())
        subscribed = {name: kind for name, kind, _ in rows('charuco_node subscribes to')}
        assert {name: kind_of(one.msg_type) for name, one in made(node.subscriptions).items()} == {
            name: kind for name, kind in subscribed.items() if name != '/image/compressed'}
    finally:
        node.destroy_node()


@pytest.mark.parametrize('make_node', [MapNode, SuperSlamNode])
def test_the_map(context, make_node):
    node = make_node(context=context, parameter_overrides=[Parameter('map.mode', value='build')])
    try:
        published = {name: (kind, qos) for name, kind, qos, _ in rows('The map', 'published')}
        found = made(node.publishers)
        for name, (kind, qos) in published.items():
            latched = found[name].qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
            assert kind_of(found[name].msg_type) == kind and latched == (qos == 'latched')
        subscribed = {name: kind for name, kind, text in rows('The map', 'subscribed')
                      if make_node is MapNode or 'map_node only' not in text}
        heard = {name: kind_of(one.msg_type) for name, one in made(node.subscriptions).items()}
        assert subscribed.items() <= heard.items()
        if make_node is MapNode:
            assert set(published) == set(found) - {'/diagnostics', '/~/transition_event', '/map/transition_event'}
            assert set(subscribed) == set(heard)
        services = {name: kind for name, kind, _ in rows('The map', 'service')}
        served = {node.resolve_service_name(one.srv_name): kind_of(one.srv_type) for one in node.services}
        assert services.items() <= served.items()
    finally:
        node.destroy_node()


@pytest.mark.parametrize('letter', NODES)
def test_services(make, letter):
    node = make(letter)
    documented = {name.removeprefix('/~/') for name, _, by, _ in rows('Services')
                  if name.startswith('/~/') and has(letter, by)}
    names = {service.srv_name.rpartition('/')[2] for service in node.services}
    assert documented <= names
    own = {'reset', 'pause', 'resume'}
    assert own & names == own & documented
