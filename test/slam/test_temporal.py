"""When the reference keyframe changes, from matches alone."""

from __future__ import annotations

import numpy as np
from points import BASELINE_M, TURNED, PointWorld, match_numbers, nothing, trajectory

from superslam_ros.geometry.pose import T_BODY_OPTICAL, compose
from superslam_ros.slam.temporal import KeyframeMatcher, TemporalConfig

BEHIND = compose(TURNED, np.zeros(3))


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


def test_patience() -> None:
    """The dark is waited out; a view of which nothing is known becomes the reference after so many frames."""
    world, matcher = PointWorld.around(), KeyframeMatcher(match_numbers, TemporalConfig(patience=3))
    seen, elsewhere = world.features(T_BODY_OPTICAL), world.features(BEHIND)
    matcher(seen, 0)
    dark = [matcher(nothing(seen), stamp) for stamp in range(1, 20)]
    assert not any(one.keyframe for one in dark)
    assert matcher(seen, 20).stamp0_ns == 0
    lost = [matcher(elsewhere, stamp) for stamp in range(21, 25)]
    assert [one.keyframe for one in lost] == [False, False, False, True] and not any(map(len, lost))
    assert matcher(elsewhere, 26).stamp0_ns == 24


def test_a_lost_view_is_looked_for_in_earlier_keyframes() -> None:
    """Back at an earlier keyframe, which is the reference again; without memory it stays lost."""
    world = PointWorld.around()
    ahead, behind = world.features(T_BODY_OPTICAL), world.features(BEHIND)
    for memory, found in ((10, True), (0, False)):
        matcher = KeyframeMatcher(match_numbers, TemporalConfig(memory=memory, patience=3))
        matcher(ahead, 0)
        assert [matcher(behind, stamp).stamp0_ns for stamp in range(1, 7)] == [0, 0, 0, 4, 4, 4]
        for stamp in (10, 11):
            matches = matcher(ahead, stamp)
            assert (matches.stamp0_ns == 0 and len(matches) == len(ahead)) == found


def test_a_short_darkness_changes_nothing() -> None:
    """The reference is the same after it."""
    world, matcher = PointWorld.make(), KeyframeMatcher(match_numbers)
    seen = world.features(T_BODY_OPTICAL)
    matcher.reset()
    matcher(seen, 10)
    matcher(nothing(seen), 11)
    back = matcher(seen, 12)
    assert back.stamp0_ns == 10 and len(back) == len(seen) and not back.keyframe
    assert np.array_equal(back.keypoints0, back.keypoints1)


def test_stereo_and_temporal_matches_are_one_pass() -> None:
    """A matcher that takes several pairs gets both at once, and answers as it does one by one."""
    class Together:
        def __init__(self) -> None:
            self.passes: list[int] = []

        def batch(self, pairs: list) -> list:
            self.passes.append(len(pairs))
            return [match_numbers(*pair) for pair in pairs]

    world, together = PointWorld.make(), Together()
    one, both = KeyframeMatcher(match_numbers), KeyframeMatcher(together)
    for stamp, T in enumerate(trajectory(6)):
        left, right = world.features(T), world.features(T, BASELINE_M)
        stereo, temporal = both.with_stereo(left, right, stamp)
        expected = one(left, stamp)
        assert (stereo.stamp0_ns, stereo.stamp1_ns, stereo.keyframe) == (stamp, stamp, False) and len(stereo)
        assert (temporal.stamp0_ns, temporal.keyframe) == (expected.stamp0_ns, expected.keyframe)
        np.testing.assert_array_equal(temporal.indices, expected.indices)
    assert together.passes == [1, 2, 2, 2, 2, 2]
