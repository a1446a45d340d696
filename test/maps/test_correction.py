"""What is told of the transform from the map to odom."""

import numpy as np

from superslam_ros.geometry.pose import compose, difference, perturb, rotation_exp, transform
from superslam_ros.maps.correction import Correction

S = 1_000_000_000


def moved(x: float) -> np.ndarray:
    return compose(np.eye(3), [x, 0.0, 0.0])


def test_nothing_is_told_before_something_is_found() -> None:
    correction = Correction()
    assert correction.at(S) is None
    correction.find(moved(1), S)
    correction.find(None, 2 * S)
    assert correction.at(3 * S) is None


def test_without_blending_it_jumps() -> None:
    correction = Correction()
    correction.find(moved(1), S)
    correction.find(moved(3), 2 * S)
    np.testing.assert_array_equal(correction.at(2 * S), moved(3))


def test_blended_corrections_take_their_time() -> None:
    correction = Correction(blend_s=2.0)
    correction.find(moved(1), S)
    np.testing.assert_array_equal(correction.at(S), moved(1))     # the first is no correction
    target = perturb(moved(3), np.array([0, 0, 0, 0, 0, 0.4]))
    correction.find(target, 10 * S)
    left = [np.linalg.norm(difference(correction.at(at), target)) for at in (10 * S, 11 * S, 12 * S)]
    assert left[0] > 2 and left[2] == 0 and abs(left[1] - left[0] / 2) < 1e-9
    # Found anew on the way: from where it is told to be, not from where it was.
    correction.find(moved(5), 11 * S)
    correction.find(moved(7), 12 * S)
    assert 3 < correction.at(12 * S)[0, 3] < 5


def test_what_has_another_unit_than_the_map_moves_along_with_odom() -> None:
    """The transform brings each position of odom to where it is in the map, not only the last one that was found."""
    T, correction = compose(rotation_exp([0, 0, 1.0]), [3, 2, 1]), Correction()
    found, step = np.array([1.0, -2.0, 0.5]), np.array([0.1, 0, 0])
    correction.find(T, 10**9, 2.0, found)
    np.testing.assert_allclose(correction.at(10**9, found), T)
    later = correction.at(10**9, found + step)
    np.testing.assert_allclose(transform(later, (found + step)[None]), transform(T, (found + 2 * step)[None]))
