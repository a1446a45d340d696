import numpy as np
import pytest

from superslam_ros.improve import overlap


def test_shares_of_a_wall_that_is_passed(strip):
    walk = strip(np.arange(12.0))
    assert walk.overlap.placed.all()
    shares = walk.overlap.shares(np.arange(12), 3)
    wanted = np.clip((7.5 - np.abs(np.arange(12) - 3)) / 7, 0, 1)    # points within 3.5 m, in images of 8 m
    assert shares == pytest.approx(wanted, abs=0.06)
    assert walk.overlap.shares([3], 5, 1.05)[0] < walk.overlap.shares([3], 5, 2.0)[0] == walk.overlap.shares([3], 5)[0]
    assert walk.overlap.depth(5) == pytest.approx(4, abs=0.1)


def test_what_poses_do_not_tell_is_not_known(strip):
    walk = strip(np.arange(6.0), segment=np.array([0, 0, 0, -1, 1, 1]))
    assert np.isnan(walk.overlap.shares([0, 1, 3, 4], 5)).tolist() == [True, True, True, False]
    assert np.isnan(walk.overlap.shares([0, 5], 3)).all()


def test_a_point_behind_something_is_not_seen(strip, monkeypatch):
    walk = strip(np.arange(6.0))
    board = np.full((240, 320), np.nan, np.float32)
    board[:, :160] = 2      # hides the left half
    monkeypatch.setattr(type(walk.evidence), 'depth', lambda self, frame: board)
    assert walk.overlap.shares([3], 3)[0] == pytest.approx(0.5, abs=0.05)
    board[:, :160] = 4.1
    assert walk.overlap.shares([3], 3)[0] == 1


def test_the_same_place_in_another_recording(strip):
    first, same, other = strip(np.arange(4.0)), strip(np.arange(20.0, step=4)), strip(np.arange(4.0), seed=1)
    found = overlap.same_place(first.evidence, [0, 3], same.evidence, np.arange(5))
    assert found[0].tolist() == [True, True, False, False, False] and found[1, 1] and not found[1, 3]
    assert not overlap.same_place(first.evidence, [0, 3], other.evidence, [0, 3]).any()
