"""map_node over DDS: keyframes become a map, which is saved, loaded by another node, and found again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter
from superslam_ros.msg import Keyframe as KeyframeMsg
from superslam_ros.msg import MapStatus
from superslam_ros.srv import ClearMap, LocalizeInMap, MapFile, SetLocalizationOnly
from tf2_msgs.msg import TFMessage

from superslam_ros.geometry.pose import T_BODY_OPTICAL, compose, difference, inverse, rotation_exp
from superslam_ros.maps import storage
from superslam_ros.maps.keyframe import Keyframe, KeyframeFeed
from superslam_ros.maps.map import Map
from superslam_ros.maps.mapper import Mapper
from superslam_ros.nodes.map_node import MapNode
from superslam_ros.nodes.topics.messages import RosMessages, pose_from

from .conftest import end, wait_until

sys.path.append(str(Path(__file__).parents[1] / 'slam'))

from points import PointWorld, Walk, trajectory

T_MAP_ODOM = compose(rotation_exp([0, 0, 0.3]), [0.4, -0.2, 0.1])
"""Where the second session begins."""


def walked(poses: list[np.ndarray]) -> list[Keyframe]:
    """Return the keyframes of a walk in a world of points, with descriptors as long as SuperPoint's."""
    points = np.random.default_rng(0).uniform([-9, -9, -2], [9, 9, 2], (1200, 3))
    walk = Walk(PointWorld(points[np.abs(points[:, :2]).max(1) > 5]))
    feed, keyframes = KeyframeFeed(walk.motion), []
    walk.motion.begin_at(poses[0])
    for T in poses:
        walk.step(T)
        keyframes += feed.new()
    return [replace(one, descriptors=np.pad(one.descriptors, ((0, 0), (0, 224))), weights='abc') for one in keyframes]


@pytest.fixture(scope='module')
def first() -> list[Keyframe]:
    return walked(trajectory(40, step_m=0.03, turn_rad=0.06))


@pytest.fixture(scope='module')
def second() -> list[Keyframe]:
    """Return the same way as odometry tells it that began elsewhere; stamps are later."""
    keyframes = walked(trajectory(40, step_m=0.03, turn_rad=0.06))
    T, hour = inverse(T_MAP_ODOM), 3600 * 10**9
    rotate = np.kron(np.eye(2), T[:3, :3])
    return [replace(one, stamp_ns=one.stamp_ns + hour, T_odom_camera=T @ one.T_odom_camera,
                    previous_stamp_ns=one.previous_stamp_ns and one.previous_stamp_ns + hour,
                    covariance=rotate @ one.covariance @ rotate.T) for one in keyframes]


@pytest.fixture
def play(context, spin) -> Callable:
    """Return what starts a map node with parameters, and plays keyframes to it."""
    other, make = rclpy.create_node('other', context=context), RosMessages()
    heard = SimpleNamespace(status=[], transforms=[], poses=[])
    keyframes_out = other.create_publisher(KeyframeMsg, 'superslam/keyframe', 100)
    odometry_out = other.create_publisher(Odometry, 'superslam/odometry', 100)
    other.create_subscription(MapStatus, 'superslam/map_status', heard.status.append, 100)
    other.create_subscription(TFMessage, '/tf', lambda m: heard.transforms.append(m.transforms[0]), 100)
    other.create_subscription(PoseWithCovarianceStamped, 'superslam/map_pose', heard.poses.append, 100)

    def call(kind: type, name: str, **request: object):
        client = other.create_client(kind, f'superslam/map/{name}')
        assert client.wait_for_service(10)
        future = client.call_async(kind.Request(**request))
        assert wait_until(future.done)
        return future.result()

    @contextmanager
    def started(**parameters: object) -> Iterator[SimpleNamespace]:
        for kept in vars(heard).values():
            kept.clear()
        node = MapNode(context=context, parameter_overrides=[
            Parameter(f'map.{name}', value=value) for name, value in parameters.items()])
        executor = rclpy.executors.SingleThreadedExecutor(context=context)
        spin(node)
        assert wait_until(lambda: keyframes_out.get_subscription_count() and odometry_out.get_subscription_count())

        def tell(keyframes: list[Keyframe]) -> None:
            for one in keyframes:
                before = len(heard.status)
                message = Odometry(header=make.header(one.stamp_ns, 'odom'), child_frame_id='camera')
                message.pose.pose = make.pose(one.T_odom_camera)
                odometry_out.publish(message)
                keyframes_out.publish(make.keyframe('camera', one))
                assert wait_until(lambda before=before: len(heard.status) > before)

        yield SimpleNamespace(node=node, tell=tell, call=call, heard=heard)
        executor.shutdown()
        node.trigger_deactivate()
        node.trigger_cleanup()

    spin(other)
    return started


def test_a_map_is_built_saved_and_found_again(play, first, second, tmp_path) -> None:
    file = tmp_path / 'points.map'
    with play(mode='build', path=str(file), save_at_end=True) as built:
        built.tell(first)
        assert built.heard.status[-1].keyframes and built.heard.status[-1].localized
        assert built.heard.transforms[-1].header.frame_id == 'map'
        answer = built.call(MapFile, 'save', path=str(tmp_path / 'nowhere/points.map'))
        assert not answer.success and answer.code == MapStatus.BAD_FILE and 'nowhere' in answer.message
        keyframes = built.heard.status[-1].keyframes
    assert file.is_file()
    with play(mode='localize', path=str(file)) as found:
        found.tell(second[:1])
        assert found.heard.status[-1].code == MapStatus.UNCONFIRMED and not found.heard.transforms
        found.tell(second[1:])
        last = found.heard.status[-1]
        assert (last.code, last.mode, last.keyframes, last.localized) == (
            MapStatus.OK, MapStatus.LOCALIZING, keyframes, True)
        transform = found.heard.transforms[-1].transform
        T = compose(np.eye(3), [getattr(transform.translation, axis) for axis in 'xyz'])
        assert np.linalg.norm(T[:3, 3] - T_MAP_ODOM[:3, 3]) < 0.02
        T = pose_from(found.heard.poses[-1].pose.pose)
        assert np.abs(difference(T, T_MAP_ODOM @ second[-1].T_odom_camera)).max() < 0.02
        answer = found.call(MapFile, 'load', path='')
        assert answer.success and str(file) in answer.message
        answer = found.call(MapFile, 'merge', path='')
        assert not answer.success and answer.code == MapStatus.BAD_FILE and 'no path' in answer.message


def test_a_robot_that_stands_still_is_found_where_it_is_said_to_be(play, first, second, tmp_path) -> None:
    """Before it may move, it has to know where it is: no second keyframe comes."""
    with play(mode='build') as built:
        built.tell(first)
        assert built.call(MapFile, 'save', path=str(tmp_path / 'points.map')).success
    hint = PoseWithCovarianceStamped()
    hint.header.frame_id = 'map'
    hint.pose.pose = RosMessages().pose(T_MAP_ODOM @ second[0].T_odom_camera @ inverse(T_BODY_OPTICAL))
    hint.pose.pose.position.x += 0.5
    with play(mode='localize', path=str(tmp_path / 'points.map')) as found:
        found.tell(second[:1])
        assert found.heard.status[-1].code == MapStatus.UNCONFIRMED
        assert 'has been found' in found.call(LocalizeInMap, 'localize', has_hint=True, hint=hint).message
        assert wait_until(lambda: found.heard.status[-1].localized and found.heard.poses)
        T = pose_from(found.heard.poses[-1].pose.pose)
        assert np.abs(difference(T, T_MAP_ODOM @ second[0].T_odom_camera)).max() < 0.02


def test_the_map_is_saved_when_the_node_is_ended(context, spin, start, first, tmp_path) -> None:
    """By Ctrl-C, while keyframes wait: all of them are in the file."""
    file, make = tmp_path / 'ended.map', RosMessages()
    options = {'mode': 'build', 'path': file, 'save_at_end': 'true'}
    process = start('map_node', '--ros-args', *(word for name, value in options.items()
                                                for word in ('-p', f'map.{name}:={value}')))
    other, statuses = rclpy.create_node('other', context=context), []
    out = other.create_publisher(KeyframeMsg, 'superslam/keyframe', 100)
    other.create_subscription(MapStatus, 'superslam/map_status', statuses.append, 100)
    spin(other)
    assert wait_until(out.get_subscription_count, 120)
    for one in first:
        out.publish(make.keyframe('camera', one))
    assert wait_until(lambda: statuses)
    assert out.wait_for_all_acked()
    status, output = end(process)
    assert status == 0 and 'saved with' in output, output
    assert len(storage.load(file)) > 1


def test_it_is_the_map_that_the_same_keyframes_give_in_one_process(play, first, tmp_path) -> None:
    """As superslam_node and ``superslam map build`` hand them over: as objects."""
    with play(mode='build') as at:
        at.tell(first)
        assert at.call(MapFile, 'save', path=str(tmp_path / 'a.map')).success
    mapper = Mapper(Map())
    for keyframe in first:
        mapper.add(keyframe)
    saved, own = storage.load(tmp_path / 'a.map'), mapper.map
    assert list(saved.keyframes) == list(own.keyframes) and len(saved.landmarks) == len(own.landmarks)
    for number, one in own.keyframes.items():
        np.testing.assert_allclose(saved.keyframes[number].T_map_camera, one.T_map_camera, atol=1e-9)
        assert np.array_equal(saved.keyframes[number].landmark_ids, one.landmark_ids)


def test_services_say_what_they_did_or_why_not(play, first, tmp_path) -> None:
    with play(mode='build') as at:
        assert at.call(LocalizeInMap, 'localize').code == MapStatus.NO_MAP
        answer = at.call(MapFile, 'load', path=str(tmp_path / 'nothing.map'))
        assert not answer.success and answer.code == MapStatus.BAD_FILE and 'nothing.map' in answer.message
        at.tell(first)
        answer = at.call(MapFile, 'save', path=str(tmp_path / 'a.map'))
        assert answer.success and str(at.heard.status[-1].keyframes) in answer.message
        assert at.call(MapFile, 'load', path=str(tmp_path / 'a.map')).success
        assert at.call(SetLocalizationOnly, 'set_localization_only', localization_only=True).success
        hint = PoseWithCovarianceStamped()
        hint.header.frame_id = 'elsewhere'
        answer = at.call(LocalizeInMap, 'localize', has_hint=True, hint=hint)
        assert answer.code == MapStatus.REFUSED and "'elsewhere'" in answer.message
        hint.header.frame_id = 'map'
        assert at.call(LocalizeInMap, 'localize', has_hint=True, hint=hint).success
        assert at.call(ClearMap, 'clear').success
        at.tell(first[:1])
        assert at.heard.status[-1].code == MapStatus.NO_MAP


def test_a_map_that_is_not_there_or_of_other_weights(play, context, first, tmp_path) -> None:
    with pytest.raises(ValueError, match=r'nothing\.map'):
        MapNode(context=context, parameter_overrides=[
            Parameter('map.mode', value='localize'), Parameter('map.path', value=str(tmp_path / 'nothing.map'))])
    file = tmp_path / 'a.map'
    with play(mode='build') as at:
        at.tell(first)
        assert at.call(MapFile, 'save', path=str(file)).success
    with play(mode='localize', path=str(file)) as at:
        at.tell([replace(first[0], weights='other')])
        assert at.heard.status[-1].code == MapStatus.OTHER_WEIGHTS and 'weights' in at.heard.status[-1].message
