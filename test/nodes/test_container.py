"""The component container over DDS: nodes come and go, and what is wrong with one stays its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ament_index_python import get_resource, has_resource
from composition_interfaces.srv import ListNodes, LoadNode, UnloadNode
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Log
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header, String
from std_srvs.srv import Trigger

from superslam_ros.nodes import components

from .conftest import end, wait_until

HERE = f'{__package__}.plugins'
CONTAINER = '/here/box'


class Client(Node):
    """Calls a container, and counts what the talkers say."""

    def __init__(self, **kwargs):
        super().__init__('client', **kwargs)
        self.asking = {
            kind: self.create_client(kind, f'{CONTAINER}/_container/{name}')
            for kind, name in ((LoadNode, 'load_node'), (UnloadNode, 'unload_node'), (ListNodes, 'list_nodes'))}
        self.heard = {}

    def ask(self, request, timeout=30):
        kind = next(kind for kind in self.asking if isinstance(request, kind.Request))
        assert self.asking[kind].wait_for_service(timeout)
        future = self.asking[kind].call_async(request)
        assert wait_until(future.done, timeout)
        return future.result()

    def load(self, plugin, package='', **fields):
        return self.ask(LoadNode.Request(package_name=package, plugin_name=plugin, **fields))

    def unload(self, unique_id):
        return self.ask(UnloadNode.Request(unique_id=unique_id))

    def loaded(self):
        response = self.ask(ListNodes.Request())
        return dict(zip(response.unique_ids, response.full_node_names))

    def listen(self, topic):
        words = self.heard.setdefault(topic, [])
        self.create_subscription(String, topic, lambda message: words.append(message.data), 10)
        return words

    def film_until(self, done):
        """Publish images, of which best effort may lose some, until something has happened."""
        images = self.create_publisher(Image, '/image', 10)

        def over():
            images.publish(Image(header=Header(stamp=self.get_clock().now().to_msg())))
            return done()

        assert wait_until(over, 60)


def given(name, value):
    return Parameter(name, value=value).to_parameter_msg()


@pytest.fixture
def container(start, monkeypatch):
    """Return a container process, which finds the plugins of the tests."""
    paths = [str(Path(__file__).parents[__package__.count('.') + 1]), os.environ.get('PYTHONPATH')]
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(filter(None, paths)))
    return start('component_container', '--ros-args', '-r', '__node:=box', '-r', '__ns:=/here')


@pytest.fixture
def client(context, spin, container):
    """Return a client of the container."""
    client = Client(context=context)
    spin(client)
    return client


def test_our_nodes_are_loaded_by_name_listed_and_unloaded(client, container):
    first = client.load('superslam_ros::SuperPoint', 'superslam_ros', parameters=[given('mode', 'stereo')])
    second = client.load('superslam_ros::Odometry', 'superslam_ros', node_name='vo', node_namespace='robot')
    assert first.success and second.success, (first, second)
    failing = client.load('superslam_ros::SuperPoint', 'superslam_ros', node_name='other',
                          parameters=[given('extractor.weights', '/nowhere/superpoint.pth')])
    assert not failing.success and '/nowhere/superpoint.pth does not exist' in failing.error_message
    expected = {first.unique_id: '/superpoint', second.unique_id: '/robot/vo'}
    assert client.loaded() == expected
    assert wait_until(lambda: set(client.get_node_names()) >= {'box', 'superpoint', 'vo'})
    assert 'other' not in client.get_node_names()      # what was half made is gone
    assert wait_until(lambda: client.count_subscribers('/right/image') == 1)
    assert client.unload(first.unique_id).success
    assert client.loaded() == {second.unique_id: '/robot/vo'}
    assert wait_until(lambda: 'superpoint' not in client.get_node_names())
    again = client.load('superslam_ros::SuperPoint', 'superslam_ros')
    assert again.success and again.unique_id not in expected
    assert not client.unload(first.unique_id).success
    status, output = end(container)
    assert status == 0 and 'Traceback' not in output and 'Failed' not in output, output


def test_names_parameters_and_remappings_are_honoured(client):
    words, others = client.listen('/robot/left/words'), client.listen('/chatter')
    response = client.load(
        f'{HERE}:Talker', node_name='speaker', node_namespace='/robot', remap_rules=['chatter:=left/words'],
        parameters=[given('word', 'good morning')], log_level=40,
        extra_arguments=[given('use_intra_process_comms', True), given('start_parameter_services', False)])
    assert response.success and response.full_node_name == '/robot/speaker', response
    assert client.load(f'{HERE}:Talker').full_node_name == '/talker'
    assert wait_until(lambda: words and others)
    assert set(words) == {'good morning'} and set(others) == {'hello'}
    services = dict(client.get_service_names_and_types())
    assert '/talker/get_parameters' in services and '/robot/speaker/get_parameters' not in services


def test_what_cannot_be_loaded_is_refused_with_the_reason(client, tmp_path):
    words = client.listen('/chatter')
    assert client.load(f'{HERE}:Talker').success
    for request, reason in (
        ({'plugin': f'{HERE}:Talker'}, 'there is a node /talker in this container, with id 1'),
        ({'plugin': f'{HERE}:Slow', 'node_name': 'talker', 'node_namespace': '/'}, 'there is a node /talker'),
        ({'plugin': f'{HERE}:Talker', 'node_name': 'box', 'node_namespace': '/here'}, 'name of the container'),
        ({'plugin': f'{HERE}:Broken'}, 'Broken cannot be constructed: OSError: no weights here'),
        ({'plugin': f'{HERE}:Closed'}, 'must take **kwargs'),
        ({'plugin': f'{HERE}:THING'}, 'not a subclass of rclpy.node.Node'),
        ({'plugin': f'{HERE}:Nobody'}, "has no 'Nobody'"),
        ({'plugin': 'no_such_module:Node'}, "No module named 'no_such_module'"),
        ({'plugin': 'superslam_ros::Typo', 'package': 'superslam_ros'}, 'there are: superslam_ros::SuperPoint, '),
        ({'plugin': 'superslam_ros::SuperPoint', 'package': 'other'}, "package 'other' has no plugin"),
        ({'plugin': f'{HERE}:Talker', 'node_name': 'no name'}, 'no name'),
        ({'plugin': f'{HERE}:Talker', 'node_name': 'a', 'log_level': 7}, '7 is not a valid LoggingSeverity'),
        ({'plugin': f'{HERE}:Talker', 'extra_arguments': [given('polish', True)]}, "unknown extra argument 'polish'"),
        ({'plugin': f'{HERE}:Talker', 'extra_arguments': [given('enable_rosout', 1)]}, 'must be a boolean'),
        ({'plugin': 'superslam_ros::Odometry', 'package': 'superslam_ros', 'parameters': [given('mood', 'good')]},
         "unknown parameter 'mood' (did you mean mode?)"),
    ):
        response = client.load(**request)
        assert not response.success and reason in response.error_message, (request, response)
    assert client.loaded() == {1: '/talker'}
    assert wait_until(lambda: not {'broken', 'closed', 'a', 'odometry'} & set(client.get_node_names()))
    before = len(words)
    assert wait_until(lambda: len(words) > before)


def test_a_refused_node_does_not_silence_the_one_of_its_name(client, tmp_path):
    said = []
    client.create_subscription(Log, '/rosout', lambda message: said.append((message.name, message.msg)), 100)
    log = client.create_publisher(String, '/log', 10)
    for request in ({'plugin': f'{HERE}:Talker'}, {'plugin': 'superslam_ros::Odometry', 'package': 'superslam_ros'}):
        assert client.load(**request).success
        for more in ({}, {'node_namespace': '/'}, {'remap_rules': ['__ns:=/']}, {'log_level': 7}):
            assert not client.load(**request, **more).success
    assert not client.load(f'{HERE}:Broken', remap_rules=['__node:=talker']).success
    assert client.load(f'{HERE}:Talker', node_name='another').success
    heard = {('talker', 'here'), ('another', 'here')}
    assert wait_until(lambda: log.publish(String(data='here')) or heard <= set(said))
    pause = client.create_client(Trigger, '/odometry/pause')
    assert pause.wait_for_service(10)
    pause.call_async(Trigger.Request())
    assert wait_until(lambda: ('odometry', 'paused') in said)


def test_a_container_that_is_for_one_launch_ends_when_that_fails(client, start):
    container = start('component_container', '--ros-args', '-r', '__node:=launched', '-r', '__ns:=/here', '-p',
                      'end_on_failure:=true')
    load = client.create_client(LoadNode, '/here/launched/_container/load_node')
    assert load.wait_for_service(30)
    for plugin in ('Talker', 'Broken', 'Nobody'):
        answer = load.call_async(LoadNode.Request(plugin_name=f'{HERE}:{plugin}'))
        assert wait_until(answer.done) and answer.result().success == (plugin == 'Talker')
    unload = client.create_client(UnloadNode, '/here/launched/_container/unload_node')
    assert unload.wait_for_service(10)
    answer = unload.call_async(UnloadNode.Request(unique_id=1))
    assert wait_until(answer.done) and answer.result().success and container.poll() is None
    answer = load.call_async(LoadNode.Request(plugin_name=f'{HERE}:Broken'))
    assert wait_until(answer.done) and 'no weights here' in answer.result().error_message
    output, _ = container.communicate(timeout=30)
    assert container.returncode == 1 and 'Traceback' not in output, output


def test_a_node_runs_on_while_another_is_loaded(client, tmp_path):
    words = client.listen('/chatter')
    assert client.load(f'{HERE}:Talker').success
    slow = client.asking[LoadNode].call_async(LoadNode.Request(
        plugin_name=f'{HERE}:Slow', parameters=[given('until', str(tmp_path / 'enough'))]))
    assert wait_until(lambda: 'slow' in client.get_node_names())
    before = len(words)
    assert wait_until(lambda: len(words) > before + 20)
    assert list(client.loaded().values()) == ['/talker']       # and the container still answers
    assert not slow.done()
    (tmp_path / 'enough').touch()
    assert wait_until(slow.done) and slow.result().success


def test_a_node_whose_callback_raises_is_unloaded_and_the_others_run_on(client, container):
    words = client.listen('/words')
    assert client.load(f'{HERE}:Talker', remap_rules=['chatter:=words']).success
    assert client.load(f'{HERE}:Talker', node_name='other').success
    publisher = client.create_publisher(String, 'fail', 10)
    assert client.load(f'{HERE}:Talker', node_name='third', remap_rules=['fail:=bang']).success
    bang = client.create_publisher(String, 'bang', 10)
    assert wait_until(lambda: bang.get_subscription_count() == 1)
    bang.publish(String(data='ouch'))
    assert wait_until(lambda: len(client.loaded()) == 2)
    before = len(words)
    assert wait_until(lambda: len(words) > before)
    assert publisher.get_subscription_count() == 2
    status, output = end(container, signal.SIGTERM)
    assert status == 1 and 'RuntimeError: ouch' in output, output


def test_a_node_with_a_bug_in_its_worker_is_unloaded_and_the_others_run_on(client, container):
    words = client.listen('/words')
    assert client.load(f'{HERE}:Talker', remap_rules=['chatter:=words']).success
    assert client.load(f'{HERE}:Buggy').success
    client.film_until(lambda: len(client.loaded()) == 1)
    before = len(words)
    assert wait_until(lambda: len(words) > before)
    status, output = end(container, signal.SIGTERM)
    assert status == 1 and output.count('AttributeError: a bug') == 2, output       # in a line, and below its traceback


def test_a_process_ends_when_its_node_has_a_bug(client):
    process = subprocess.Popen([sys.executable, '-m', HERE], cwd=Path(__file__).parents[HERE.count('.')],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    client.film_until(lambda: process.poll() is not None)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1 and 'AttributeError: a bug' in output and 'cannot join' not in output, output


def test_a_bug_in_a_transition_is_told_of(client, container):
    response = client.load(f'{HERE}:Careless')
    assert not response.success and 'AttributeError: another bug' in response.error_message
    assert client.load(f'{HERE}:Careless', parameters=[given('autostart', False)]).success
    change = client.create_client(ChangeState, '/superpoint/change_state')
    assert change.wait_for_service(10)
    change.call_async(ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE)))
    assert wait_until(lambda: not client.loaded())
    status, output = end(container, signal.SIGTERM)
    assert status == 1 and 'AttributeError: another bug' in output, output


def test_ctrl_c_while_a_node_is_being_loaded(client, container):
    client.asking[LoadNode].wait_for_service(30)
    client.asking[LoadNode].call_async(LoadNode.Request(plugin_name=f'{HERE}:Slow'))
    assert wait_until(lambda: 'slow' in client.get_node_names())
    status, output = end(container)
    assert status == 0 and 'Traceback' not in output, output


def test_every_node_is_a_plugin():
    plugins = components.registered()['superslam_ros']
    modules = {path.stem for path in components.OURS.parent.glob('*_node.py')}
    assert {place.split('.')[-1].split(':')[0] for place in plugins.values()} == modules
    assert all(components.find_class('superslam_ros', name).__name__ == f'{name.split("::")[1]}Node'
               for name in plugins)


def test_the_installed_index_names_our_plugins(monkeypatch):
    monkeypatch.setenv('AMENT_PREFIX_PATH', os.environ.get('AMENT_PREFIX_PATH', sys.prefix))
    if not has_resource(components.INDEX, 'superslam_ros'):
        pytest.skip('the package is not installed by CMake')
    assert get_resource(components.INDEX, 'superslam_ros')[0] == components.OURS.read_text()


def test_other_packages_register_plugins_in_the_ament_index(tmp_path, monkeypatch):
    folder = tmp_path / 'share/ament_index/resource_index' / components.INDEX
    folder.mkdir(parents=True)
    (folder / 'demo').write_text(f'demo::Talker;{HERE}:Talker\n')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    assert components.find_class('demo', 'demo::Talker').__name__ == 'Talker'
    with pytest.raises(components.PluginError, match='demo::Talker, superslam_ros::SuperPoint'):
        components.find_class('demo', 'demo::Listener')
    monkeypatch.delenv('AMENT_PREFIX_PATH')
    assert components.find_class('superslam_ros', 'superslam_ros::Odometry').__name__ == 'OdometryNode'
