"""When the reference keyframe changes, from matches alone."""

from __future__ import annotations

import numpy as np
from points import PointWorld, match_numbers, nothing, trajectory

from superslam_ros.geometry.pose import T_BODY_OPTICAL
from superslam_ros.slam.temporal import KeyframeMatcher, TemporalConfig


def test_first_frame_is_the_reference() -> None:
    """Empty matches to itself."""
    features = PointWorld.make().features(T_BODY_OPTICAL)
    first = KeyframeMatcher(match_numbers)(features, 5)
    assert (len(first), first.keyframe, first.stamp0_ns, first.stamp1_ns) == (0, True, 5, 5)


def test_reference_stays_until_the_view_has_changed() -> None:
    """A standing camera keeps its keyframe; a walking one gets new ones, each the next frames' reference."""
    world, matcher = PointWorld.make(), KeyframeMatcher(match_numbers)
    still = [matcher(world.features(T_BODY_OPTICAL), stamp) for stamp in range(10)]
    assert [one.keyframe for one in still] == [True] + [False] * 9
    assert all(one.stamp0_ns == 0 for one in still)
    matcher.reset()
    reference, changes = 0, 0
    for stamp, T in enumerate(trajectory(50)):
        matches = matcher(world.features(T), stamp)
        assert matches.stamp0_ns == reference and matches.stamp1_ns == stamp
        if matches.keyframe:
            reference, changes = stamp, changes + 1
    assert changes > 2


def test_patience_in_the_dark() -> None:
    """The reference is kept for so many frames, then the current one replaces it."""
    world, matcher = PointWorld.make(), KeyframeMatcher(match_numbers, TemporalConfig(patience=3))
    seen = world.features(T_BODY_OPTICAL)
    matcher(seen, 0)
    dark = [matcher(nothing(seen), stamp) for stamp in range(1, 5)]
    assert [one.keyframe for one in dark] == [False, False, False, True]
    assert matcher(seen, 5).stamp0_ns == 4
    matcher.reset()
    matcher(seen, 10)
    matcher(nothing(seen), 11)
    back = matcher(seen, 12)
    assert back.stamp0_ns == 10 and len(back) == len(seen) and not back.keyframe
    assert np.array_equal(back.keypoints0, back.keypoints1)
