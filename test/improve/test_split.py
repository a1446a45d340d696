import numpy as np
import pytest

from superslam_ros.improve import pairs
from superslam_ros.improve.split import SplitConfig, split

CONFIG = SplitConfig(fewest_frames=40)


def wide(*walks):
    """Return the wide pairs of recordings."""
    found = [pairs.candidates(walk.evidence, walk.overlap) for walk in walks]
    return [one.frames[one.wide] for one in found]


def parts_of(*walks, config=CONFIG):
    return split([walk.evidence for walk in walks], [walk.overlap for walk in walks], wide(*walks), config)


def test_nothing_of_the_test_part_is_seen_in_training(strip):
    walk = strip(np.arange(0, 60, 0.25))
    (part,) = parts_of(walk)
    x = walk.evidence.T_world_camera[:, 0, 3]
    assert part.test.sum() == 60 and not (part.test & part.train).any() and part.train.sum() >= 100
    assert (np.diff(np.flatnonzero(part.test)) == 1).all()
    away = np.abs(x[part.train][:, None] - x[part.test]).min()
    assert away > 0.7 * 7 and away < 9       # 20 % in common, in steps of 1 s


def test_a_place_that_is_seen_again_is_taken_out_wherever_it_is(strip):
    laps = np.tile(np.arange(0, 60, 0.5), 2)
    walk = strip(laps)
    (part,) = parts_of(walk)
    trained, judged = laps[part.train], laps[part.test]
    assert part.train.sum() >= 40 and np.abs(trained[:, None] - judged).min() > 0.7 * 7
    # The other lap there is in neither part.
    assert (~part.train & ~part.test).sum() > part.test.sum()


def test_of_several_recordings_of_other_places_one_is_held_out(strip):
    first, second = strip(np.arange(0, 60, 0.25)), strip(np.arange(0, 40, 0.25), seed=1)
    part0, part1 = parts_of(first, second)
    assert part0.train.all() and part1.test.all() and not part0.test.any() and not part1.train.any()


def test_recordings_of_one_place_are_split_by_the_place(strip):
    first, second = strip(np.arange(0, 60, 0.25)), strip(np.arange(0, 60, 0.25))
    parts = parts_of(first, second, config=SplitConfig(fewest_frames=40, test_share=0.2))
    x = first.evidence.T_world_camera[:, 0, 3]
    (held_out,) = (part for part in parts if part.test.any())
    trained = np.concatenate([x[part.train] for part in parts])
    assert len(trained) >= 40 and np.abs(trained[:, None] - x[held_out.test]).min() > 2


def test_frames_that_were_lost_are_in_neither_part(strip):
    segment = np.zeros(240, int)
    segment[::7] = -1
    (part,) = parts_of(strip(np.arange(0, 60, 0.25), segment=segment))
    assert not part.train[::7].any() and not part.test[::7].any() and part.test.sum() > 40


def test_where_all_is_one_place_the_remedy_is_said(strip):
    with pytest.raises(ValueError, match=r'leaves .* frames of other places to train on, of 40 that are needed'):
        parts_of(strip(np.tile(np.arange(0, 6, 0.25), 10)))


def test_pairs_by_what_they_have_in_common(strip):
    walk = strip(np.arange(0, 60, 0.25))
    found = pairs.candidates(walk.evidence, walk.overlap)
    apart = (found.frames[:, 1] - found.frames[:, 0]) * 0.25
    assert set(apart[found.wide]) == {5.0} and set(apart[~found.wide]) == {0.5, 1.25, 2.5}
    assert (np.diff(found.frames[:, 0]) >= 0).all()
    test = np.arange(240) >= 180
    chosen = pairs.pose_pairs(walk.evidence, walk.overlap, found, test, walk.evidence.T_world_camera, 30)
    assert chosen.wide.sum() == 30 and (~chosen.wide).sum() == 30 and (chosen.frames >= 180).all()
    assert (np.diff(chosen.times_s) >= 0).all() and chosen.times_s[0] == pytest.approx(18, abs=0.2)
    assert np.allclose(chosen.T_1_0[:, 0, 3], -(chosen.frames[:, 1] - chosen.frames[:, 0]) * 0.25)
    assert not chosen.turned_only.any()
    still = pairs.candidates(*(getattr(strip(np.full(80, 3.0)), name) for name in ('evidence', 'overlap')))
    assert not still.wide.any()
    unknown = np.full((240, 4, 4), np.nan)
    assert not len(pairs.pose_pairs(walk.evidence, walk.overlap, found, test, unknown))
