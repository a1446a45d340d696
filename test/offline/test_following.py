"""Which frames are localised, and which are not: those of few keyframes, of none, and of an odometry gone wrong."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from laps import LAP, in_map, look, mapper, other_side, run, second
from places import all_round, lap
from points import LEFT, PointWorld

from superslam_ros.data import Features, TrackingState
from superslam_ros.geometry.pose import compose, difference
from superslam_ros.maps.config import MapConfig
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.map import Map
from superslam_ros.offline import following
from superslam_ros.offline.following import Follower

BETWEEN_NS = 100_000_000


@pytest.fixture(scope='module')
def world() -> PointWorld:
    """Return landmarks on all sides."""
    return all_round()


@pytest.fixture(scope='module')
def made(world: PointWorld) -> Map:
    """Return a map of a lap in it."""
    one = mapper()
    run(one, look(world, lap(LAP)))
    return one.map


def known(keyframe: Keyframe, part: float) -> Keyframe:
    """Return a keyframe that shows strange things right of a part of its image."""
    left = keyframe.pixels[:, :1] < part * LEFT.width
    return replace(keyframe, descriptors=np.where(left, keyframe.descriptors, np.roll(keyframe.descriptors, 1, 0)))


class Odometry:
    """Hands keyframes to a follower, and frames between them."""

    def __init__(self, made: Map, monkeypatch: pytest.MonkeyPatch) -> None:
        """Begin."""
        self.keyframes: deque[Keyframe] = deque()
        feed = SimpleNamespace(new=lambda: [self.keyframes.popleft() for _ in range(len(self.keyframes))])
        monkeypatch.setattr(following, 'KeyframeFeed', lambda motion: feed)
        monkeypatch.setattr(following, 'Mapper', lambda kept, config, mode: mapper(kept, mode))
        motion = SimpleNamespace(config=SimpleNamespace(rectified=True))
        self.follower = Follower(made, MapConfig(), motion)

    def keyframe(self, one: Keyframe) -> None:
        """Take a keyframe."""
        self.keyframes.append(one)
        self.frame(one, one.stamp_ns, keyframe=True)

    def frame(self, like: Keyframe, stamp_ns: int, state: TrackingState = TrackingState.TRACKING,
              keyframe: bool = False, inliers: int = 100) -> None:
        """Take a frame that shows what a keyframe shows."""
        features = Features(like.pixels, like.scores, like.descriptors, like.image_size)
        motion = SimpleNamespace(stamp_ns=stamp_ns, state=state, T_odom_camera=like.T_odom_camera, keyframe=keyframe,
                                 inliers=inliers)
        frame = SimpleNamespace(camera=LEFT, right_camera=None, stamp_ns=stamp_ns)
        self.follower.add(SimpleNamespace(features=features, frame=frame, motion=motion))

    def found(self, tmp_path, true: dict[int, np.ndarray], within: float = 0.02) -> dict:
        """Return the summary; all poses are true."""
        summary, one = self.follower.write(tmp_path), self.follower
        assert one.stamps_ns == sorted(one.stamps_ns)
        for stamp_ns, T in zip(one.stamps_ns, one.poses):
            assert np.abs(difference(T, in_map(true[stamp_ns]))).max() < within
        assert summary['localised'] + sum(summary['reasons'].values()) == summary['frames']
        return summary


@pytest.fixture
def odometry(made: Map, monkeypatch: pytest.MonkeyPatch) -> Odometry:
    """Return an odometry whose frames are looked for in the map."""
    return Odometry(made, monkeypatch)


def test_a_camera_that_stands_still_is_found_by_its_frames(odometry, world, tmp_path) -> None:
    """No second keyframe comes; so it is with recordings of a few frames."""
    (T, *_), true = other_side(1), {}
    keyframe, = second(world, [T])
    odometry.keyframe(keyframe)
    for number in range(1, 4):
        odometry.frame(keyframe, keyframe.stamp_ns + number * BETWEEN_NS)
    true = {keyframe.stamp_ns + number * BETWEEN_NS: T for number in range(4)}
    summary = odometry.found(tmp_path, true)
    assert (summary['localised'], summary['by_themselves']) == (4, 4)


def test_a_frame_that_shows_too_little_of_the_map_is_not_believed_alone(odometry, world, tmp_path) -> None:
    keyframe, = second(world, other_side(1))
    odometry.keyframe(known(keyframe, 0.5))
    assert odometry.found(tmp_path, {})['reasons'] == {'unconfirmed': 1}


def test_frames_without_odometry_are_found_by_themselves(odometry, world, tmp_path) -> None:
    """Lost ones, and those of one camera that has only turned."""
    poses = other_side(3)
    keyframes = second(world, poses)
    for one, state in zip(keyframes, (TrackingState.LOST, TrackingState.INITIALIZING, TrackingState.LOST)):
        odometry.frame(one, one.stamp_ns, state)
    summary = odometry.found(tmp_path, dict(zip((one.stamp_ns for one in keyframes), poses)))
    assert (summary['localised'], summary['by_themselves']) == (3, 3)


@pytest.mark.parametrize(('part', 'localised', 'alone'), [(1.0, 4, 1), (0.5, 3, 0)])
def test_a_frame_that_the_odometry_has_of_few_landmarks_is_not_where_the_map_does_not_have_it(
    odometry, world, tmp_path, part, localised, alone
) -> None:
    """It is where the map has it, or nowhere, where what the map knows of it is too little."""
    poses = other_side(4)
    keyframes = second(world, poses)
    for one in keyframes[:2]:
        odometry.keyframe(one)
    far = replace(known(keyframes[2], part), T_odom_camera=keyframes[2].T_odom_camera @ compose(np.eye(3), [0, 0, 9.0]))
    odometry.frame(far, far.stamp_ns, inliers=18)
    odometry.keyframe(keyframes[3])
    summary = odometry.found(tmp_path, dict(zip((one.stamp_ns for one in keyframes), poses)))
    assert (summary['localised'], summary['by_themselves']) == (localised, alone)


def test_frames_of_an_odometry_that_others_speak_against_are_not_localised(odometry, world, tmp_path) -> None:
    """It was carried elsewhere, and does not know: what it says between is true nowhere."""
    poses = [*other_side(4), *lap(LAP)[12:17]]
    keyframes = second(world, poses)
    keyframes[4] = replace(keyframes[4], T_previous_camera=np.eye(4))
    for number, one in enumerate(keyframes):
        odometry.keyframe(one)
        if number == 3:
            odometry.frame(keyframes[4], one.stamp_ns + BETWEEN_NS)
    true = dict(zip((one.stamp_ns for one in keyframes), poses))
    summary = odometry.found(tmp_path, true)
    assert summary['reasons'] == {'disagrees': 2} and summary['localised'] == len(keyframes) - 1
