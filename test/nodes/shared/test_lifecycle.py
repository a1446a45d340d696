"""Managed nodes: transitions over their services, options that change live or not, pause, and diagnostics."""

import gc
import threading
import weakref
from itertools import count

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from superslam_ros.nodes.superglue_node import SuperGlueNode
from superslam_ros.nodes.superpoint_node import SuperPointNode
from superslam_ros.nodes.superslam_node import SuperSlamNode
from superslam_ros.nodes.topics.messages import RosMessages
from superslam_ros.sync import Bundle, Stamped

from ..conftest import wait_until
from ..test_live import STEREO, Camera, assert_same, frames  # noqa: F401


@pytest.fixture
def call(context, spin):
    """Return a function that calls a service from another node, and returns the response."""
    client_node = rclpy.create_node('operator', context=context)
    spin(client_node)

    def call(kind, name, request=None):
        client = client_node.create_client(kind, name)
        assert client.wait_for_service(10)
        future = client.call_async(request or kind.Request())
        assert wait_until(future.done)
        client_node.destroy_client(client)
        return future.result()

    return call


def change(call, node, transition):
    request = ChangeState.Request(transition=Transition(id=transition))
    return call(ChangeState, f'/{node.get_name()}/change_state', request).success


def state(call, node):
    return call(GetState, f'/{node.get_name()}/get_state').current_state.id


def test_a_node_goes_through_its_life(context, spin, call, frames):  # noqa: F811
    camera = Camera(context=context)
    node = SuperSlamNode(context=context, parameter_overrides=[*STEREO, Parameter('autostart', value=False)])
    spin(camera, node)
    assert state(call, node) == State.PRIMARY_STATE_UNCONFIGURED
    assert not hasattr(node, 'odometry')
    assert change(call, node, Transition.TRANSITION_CONFIGURE)
    assert wait_until(lambda: camera.count_publishers('superslam/status'))
    assert not camera.count_subscribers('image')
    assert change(call, node, Transition.TRANSITION_ACTIVATE)
    assert camera.ready()
    assert all(camera.send(frame) for frame in frames[:3])

    assert change(call, node, Transition.TRANSITION_DEACTIVATE)
    assert wait_until(lambda: not camera.count_subscribers('image'))
    assert change(call, node, Transition.TRANSITION_ACTIVATE)
    assert camera.ready()
    assert all(camera.send(frame) for frame in frames[3:])
    assert_same(camera.poses, frames)   # the map was kept

    assert change(call, node, Transition.TRANSITION_DEACTIVATE)
    network = weakref.ref(node.odometry.extractor)
    assert change(call, node, Transition.TRANSITION_CLEANUP)
    assert wait_until(lambda: not camera.count_publishers('superslam/status'))
    gc.collect()
    assert network() is None            # nor the memory of a GPU
    assert not change(call, node, Transition.TRANSITION_ACTIVATE)
    assert change(call, node, Transition.TRANSITION_CONFIGURE)
    assert change(call, node, Transition.TRANSITION_ACTIVATE)
    camera.poses.clear()
    assert camera.ready()
    assert all(camera.send(frame) for frame in frames[:3])
    assert_same(camera.poses, frames[:3])   # a new one from the origin
    assert change(call, node, Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert state(call, node) == State.PRIMARY_STATE_FINALIZED
    assert wait_until(lambda: not camera.count_subscribers('image'))


@pytest.mark.parametrize('end', ['trigger_deactivate', 'trigger_shutdown', 'destroy_node'])
def test_a_frame_at_work_is_broken_off(context, frames, end, monkeypatch):  # noqa: F811
    monkeypatch.setattr('superslam_ros.slam.extract.LARGE', 0)
    node = SuperPointNode(context=context, parameter_overrides=[Parameter('extractor.device', value='cpu')])
    begun, layers, published = threading.Event(), [], []
    node.features.publish = lambda *_: published.append(1)

    def wait(*_):
        begun.set()
        assert wait_until(lambda: node.worker._breaking_off)

    for layer in node.extractor.network.children():
        layer.register_forward_hook(lambda *_: layers.append(1))
    hook = node.extractor.network.register_forward_pre_hook(wait)
    image = RosMessages().image(frames[0].stamp_ns, 'camera', frames[0].image)
    item = Bundle(Stamped(frames[0].stamp_ns, 0, image), {}, [])
    node.worker.offer(item)
    assert begun.wait(60)
    getattr(node, end)()
    hook.remove()
    assert not layers and not published and not node.worker.failed
    if end == 'trigger_deactivate':
        node.trigger_activate()
        node.worker.offer(item)
        assert wait_until(lambda: published)
    if end != 'destroy_node':
        node.destroy_node()


def test_what_is_wrong_keeps_a_node_unconfigured_until_it_is_put_right(context, spin, call):
    node = SuperPointNode(context=context, parameter_overrides=[
        Parameter('autostart', value=False), Parameter('extractor.weights', value='/no/such.safetensors')])
    spin(node)
    assert not change(call, node, Transition.TRANSITION_CONFIGURE)
    assert state(call, node) == State.PRIMARY_STATE_UNCONFIGURED
    assert node.set_parameters([Parameter('extractor.weights', value='')])[0].successful
    assert change(call, node, Transition.TRANSITION_CONFIGURE)
    refused, = node.set_parameters([Parameter('extractor.weights', value='other.safetensors')])
    assert not refused.successful and 'extractor.weights' in refused.reason and 'cleanup' in refused.reason
    with pytest.raises(FileNotFoundError, match='no/such'):     # without a lifecycle manager it ends with the reason
        SuperPointNode(context=context, parameter_overrides=[
            Parameter('extractor.weights', value='/no/such.safetensors')])


def test_live_parameters_count_from_the_next_frame_on(context, spin, call, frames):  # noqa: F811
    camera = Camera(context=context)
    node = SuperSlamNode(context=context, parameter_overrides=STEREO)
    spin(camera, node)
    assert camera.ready()
    assert all(camera.send(frame) for frame in frames[:2])
    assert camera.status.matches > 100
    given = SetParameters.Request(parameters=[Parameter('extractor.max_keypoints', value=60).to_parameter_msg()])
    assert call(SetParameters, '/superslam/set_parameters', given).results[0].successful
    assert camera.send(frames[2])
    assert 0 < camera.status.matches <= 60

    for name, value, reason in (('extractor.threshold', 2.0, 'threshold'), ('mode', 'mono', 'cleanup'),
                                ('extractor.refine', 'magic', 'one of'), ('odometry.min_inliers', 20, 'cleanup')):
        given = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        result, = call(SetParameters, '/superslam/set_parameters', given).results
        assert not result.successful and reason in result.reason
    assert node.get_parameter('extractor.threshold').value < 1


def test_frames_between_pause_and_resume_are_let_go(context, spin, call, frames):  # noqa: F811
    camera = Camera(context=context)
    node = SuperSlamNode(context=context, parameter_overrides=STEREO)
    spin(camera, node)
    assert camera.ready()
    assert all(camera.send(frame) for frame in frames[:2])
    assert call(Trigger, '/superslam/pause').success
    assert not call(Trigger, '/superslam/pause').success     # is paused already
    camera.send(frames[2], header=camera.make.image(frames[2].stamp_ns, 'camera', frames[2].image).header)
    assert not wait_until(lambda: len(camera.states) > 2, timeout=1)
    assert call(Trigger, '/superslam/resume').success
    assert all(camera.send(frame) for frame in frames[3:])
    assert_same(camera.poses, [*frames[:2], *frames[3:]])
    assert call(Trigger, '/superslam/pause').success
    node.trigger_deactivate()
    node.inputs._receive('image', camera.make.image(10**12, 'camera', frames[0].image))    # just being handed over
    node.trigger_cleanup()
    assert not node.worker.paused and not node.worker.failed


def test_diagnostics_tell_what_a_node_does_and_why_nothing_comes(context, spin, frames, monkeypatch):  # noqa: F811
    monkeypatch.setattr('superslam_ros.nodes.reporting.diagnostics.SILENCE_S', 1.0)
    camera = Camera(context=context)
    said = []
    camera.create_subscription(DiagnosticArray, '/diagnostics', lambda message: said.extend(message.status), 10)
    node = SuperSlamNode(context=context, parameter_overrides=STEREO)
    spin(camera, node)
    assert camera.ready()
    assert all(camera.send(frame) for frame in frames)

    def of(status):
        return {value.key: value.value for value in status.values}

    assert wait_until(lambda: any(of(status).get('tracking') == 'tracking' for status in said))
    status = next(status for status in said if of(status).get('tracking') == 'tracking')
    values = of(status)
    assert (status.name, status.level) == ('/superslam: frames', b'\0')
    assert float(values['rate (Hz)']) > 0 and float(values['extract (ms)']) > 0
    assert float(values['latency since receipt, median (ms)']) > float(values['motion (ms)'])
    assert 's behind system time' in values['latency clock'], values    # the stamps of the demo are those of no clock
    assert wait_until(lambda: said[-1].level == b'\1' and 'nothing has come on /image' in said[-1].message)
    stamps = count(frames[-1].stamp_ns + 10**9, 10**8)

    def without_right_image():
        camera.out['image'].publish(camera.make.image(next(stamps), 'camera', frames[0].image))
        return said[-1].message

    assert wait_until(lambda: 'have come and been skipped (in all: ' in without_right_image())
    assert 'x no right/image' in said[-1].message


def test_silence_is_told_though_nobody_publishes_the_clock(context, spin, monkeypatch):
    monkeypatch.setattr('superslam_ros.nodes.reporting.diagnostics.SILENCE_S', 0.5)
    ear, said = rclpy.create_node('ear', context=context), []
    ear.create_subscription(DiagnosticArray, '/diagnostics', lambda message: said.extend(message.status), 10)
    spin(ear, SuperPointNode(context=context, parameter_overrides=[Parameter('use_sim_time', value=True)]))
    assert wait_until(lambda: any('nobody publishes' in status.message for status in said), 10)


def test_another_node_of_the_same_name_is_said(context, spin):
    nodes = [SuperGlueNode(context=context) for _ in range(2)]
    spin(*nodes)
    said = []
    nodes[0].get_logger = lambda: type('Log', (), {'warning': lambda _, text, **__: said.append(text)})()
    assert wait_until(lambda: nodes[0].reports.report() or any('another node /superglue' in text for text in said))
