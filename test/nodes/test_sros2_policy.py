"""config/sros2/policy.xml allows what the running nodes publish, subscribe to and serve in any mode, and no more."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from superslam_ros.bags.bag import open_bag
from superslam_ros.nodes.charuco_node import CharucoNode
from superslam_ros.nodes.component_container import ComponentContainer
from superslam_ros.nodes.map_node import MapNode
from superslam_ros.nodes.odometry_node import OdometryNode
from superslam_ros.nodes.rgbd_image_node import RgbdImageNode
from superslam_ros.nodes.superglue_node import SuperGlueNode
from superslam_ros.nodes.superpoint_node import SuperPointNode
from superslam_ros.nodes.superslam_node import SuperSlamNode
from superslam_ros.nodes.tools.play_bag import BagPlayer
from superslam_ros.nodes.tools.record_bag import results

from .conftest import wait_until

FOLDER = Path(__file__).parents[2] / 'config/sros2'
INCLUDE = '{http://www.w3.org/2001/XInclude}include'
ACCESS = {'publish': 'topics', 'subscribe': 'topics', 'reply': 'services', 'request': 'services'}
SINCE_JAZZY = ('reply', '~/get_type_description')
COMPRESSED = {'transport': 'compressed', 'depth_transport': 'compressed'}
STEREO, RGBD = {'mode': 'stereo'}, {'mode': 'rgbd', 'use_sim_time': True}
BOARD = {'charuco.squares_x': 5, 'charuco.squares_y': 7, 'charuco.square_m': 0.04, 'charuco.marker_m': 0.03,
         'charuco.dictionary': 'DICT_6X6_250'}
MODES = {
    'superslam_node': (SuperSlamNode, [
        STEREO, STEREO | COMPRESSED, RGBD, RGBD | COMPRESSED, {'frames.base_frame': 'base_link'},
        {'map.mode': 'build'}, {'masked': True}, {'guess.source': 'odometry'}, {'imu.enabled': True}]),
    'map_node': (MapNode, [{'use_sim_time': True}]),
    'superpoint_node': (SuperPointNode, [STEREO, STEREO | COMPRESSED, RGBD, {'masked': True}]),
    'superglue_node': (SuperGlueNode, [STEREO, RGBD]),
    'odometry_node': (OdometryNode, [
        STEREO, RGBD, RGBD | COMPRESSED, {'frames.base_frame': 'base_link'}, {'guess.source': 'odometry'},
        {'imu.enabled': True}]),
    'rgbd_image_node': (RgbdImageNode, [STEREO, STEREO | COMPRESSED, RGBD, RGBD | COMPRESSED]),
    'charuco_node': (CharucoNode, [BOARD | STEREO, BOARD | RGBD | COMPRESSED]),
    'component_container': (ComponentContainer, [{}, {'use_sim_time': True}]),
}
Allowed = set[tuple[str, str]]
"""Pairs of access and full name, like ('publish', '/tf')."""


def included(element: ElementTree.Element, root: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Yield the children of an element with what it includes in their place."""
    for child in element:
        if child.tag != INCLUDE:
            yield child
        elif 'href' in child.attrib:
            assert child.get('xpointer') == 'xpointer(/profile/*)'
            other = ElementTree.parse(FOLDER / child.get('href')).getroot()
            yield from included(other, other)
        else:
            path = re.fullmatch(r'xpointer\(/policy/(.+)\)', child.get('xpointer'))[1]
            yield from root.findall(path)


def policy() -> dict[str, dict[str, Allowed]]:
    """Return executable -> node -> what is allowed, by full names."""
    root = ElementTree.parse(FOLDER / 'policy.xml').getroot()
    enclaves = {}
    for enclave in root.find('enclaves'):
        nodes = enclaves[enclave.get('path').removeprefix('/superslam_ros/')] = defaultdict(set)
        for profile in included(enclave.find('profiles'), root):
            for group in included(profile, root):
                for access, qualifier in group.items():
                    assert (ACCESS[access], qualifier) == (group.tag, 'ALLOW')
                    nodes[profile.get('node')] |= {
                        (access, full_name(name.text, profile.get('ns'), profile.get('node'))) for name in group}
    return enclaves


def full_name(name: str, namespace: str, node: str) -> str:
    if name.startswith('~'):
        name = node + name[1:]
    return name if name.startswith('/') else f'{namespace.rstrip("/")}/{name}'


POLICY = policy()


@pytest.fixture
def ask(context: Context) -> Iterator[Callable[[str], Allowed]]:
    """Return a function that asks the graph, from another node, what a node has."""
    asker = rclpy.create_node('asker', context=context)
    questions = {
        'publish': asker.get_publisher_names_and_types_by_node,
        'subscribe': asker.get_subscriber_names_and_types_by_node,
        'reply': asker.get_service_names_and_types_by_node,
        'request': asker.get_client_names_and_types_by_node}

    def has(name: str) -> Allowed:
        if (name, '/') not in asker.get_node_names_and_namespaces():
            return set()
        return {(access, topic) for access, question in questions.items() for topic, _ in question(name, '/')}

    yield has
    asker.destroy_node()


def in_graph(node: Node, ask: Callable[[str], Allowed]) -> Allowed:
    """Return what the graph has of a node, when all of it has come."""
    own = {('publish', publisher.topic_name) for publisher in node.publishers}
    own |= {('subscribe', subscription.topic_name) for subscription in node.subscriptions}
    own |= {('reply', node.resolve_service_name(service.srv_name)) for service in node.services}
    assert wait_until(lambda: own <= ask(node.get_name()))
    return ask(node.get_name())


def test_every_executable_of_a_node_has_an_enclave() -> None:
    cmake = (FOLDER.parents[1] / 'CMakeLists.txt').read_text()
    modules = re.search(r'foreach\(module ([^)]*)\)', cmake)[1].split()
    assert set(POLICY) == {module.rpartition('.')[2] for module in modules}


def test_nothing_but_enclaves_stands_between_enclaves() -> None:
    """SROS2 takes a comment for one, and then makes no keys for those behind it."""
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    root = ElementTree.parse(FOLDER / 'policy.xml', parser).getroot()
    assert {child.tag for child in root.find('enclaves')} == {'enclave'}


@pytest.mark.parametrize('executable', MODES)
def test_nodes(context: Context, ask: Callable[[str], Allowed], executable: str) -> None:
    make, modes = MODES[executable]
    name, found = executable.removesuffix('_node'), set()
    for number, mode in enumerate(modes):
        # A name of its own: the graph tells nodes apart by their names, and may remember one that has gone.
        own = f'{name}_{number}_of_policy'
        node = make(context=context, cli_args=['--ros-args', '-r', f'{name}:__node:={own}'],
                    parameter_overrides=[Parameter(name, value=mode[name]) for name in mode])
        try:
            found |= {(access, topic.replace(f'/{own}/', f'/{name}/')) for access, topic in in_graph(node, ask)}
        finally:
            node.destroy_node()
    allowed = POLICY[executable][name]
    assert found <= allowed, 'not allowed'
    old = {(SINCE_JAZZY[0], full_name(SINCE_JAZZY[1], '/', name))}
    assert allowed - old <= found, 'allowed without need'


def test_the_container_may_do_what_its_nodes_do() -> None:
    alone = {node: allowed for executable in MODES for node, allowed in POLICY[executable].items()
             if executable != 'component_container'}
    assert {node: POLICY['component_container'][node] for node in alone} == alone
    assert set(POLICY['component_container']) == {*alone, 'component_container'}


def test_recorder(ask: Callable[[str], Allowed], start: Callable, tmp_path: Path) -> None:
    start('tools.record_bag', '--results', '/', '--out', str(tmp_path / 'bag'))
    wanted = {('subscribe', topic) for topic in results()}
    assert wait_until(lambda: wanted <= ask('record_bag'))
    allowed = POLICY['record_bag']['record_bag']
    assert ask('record_bag') <= allowed
    assert {pair for pair in allowed if pair[0] == 'subscribe'} == wanted | {('subscribe', '/clock')}


def test_player(context: Context, ask: Callable[[str], Allowed], demo_bag) -> None:
    node = rclpy.create_node('play_bag', context=context)
    try:
        with open_bag(demo_bag.bag) as reader:
            BagPlayer(node, reader, clock=True)
            found = in_graph(node, ask)
    finally:
        node.destroy_node()
    allowed = POLICY['play_bag']['play_bag']
    assert ('publish', '/*') in allowed     # a bag has topics of any name
    assert {pair for pair in found if pair[0] != 'publish'} <= allowed
    assert ('publish', '/clock') in found & allowed
