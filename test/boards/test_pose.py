"""Poses of exact corners, and of corners with noise whose size is known."""

import numpy as np
import pytest

from superslam_ros.boards.board import Board
from superslam_ros.boards.pose import board_pose
from superslam_ros.data import Camera
from superslam_ros.geometry.pose import difference
from superslam_ros.worlds.boards import facing
from superslam_ros.worlds.render import project

BOARD = Board('b', 5, 7, 0.04, 0.02, 'DICT_6X6_250')
POINTS = BOARD.corners_m()
K = np.array([[500.0, 0, 320], [0, 510, 240], [0, 0, 1]])
LENSES = [('none', []), ('plumb_bob', [-0.2, 0.05, 0.001, -0.002, 0.01]), ('equidistant', [0.02, -0.01, 0, 0]),
          ('rational_polynomial', [0.3, 0.1, 0, 0, 0.01, 0.5, 0.1, 0.02])]


def camera(model: str = 'none', distortion: list = ()) -> Camera:
    return Camera(640, 480, K, np.array(distortion), model)


def seen(T: np.ndarray, through: Camera) -> np.ndarray:
    return project(through, np.linalg.inv(T), POINTS)[0]


@pytest.mark.parametrize(('model', 'distortion'), LENSES)
@pytest.mark.parametrize('tilt', [0.0, 0.4, 1.1])
def test_exact_corners_give_the_exact_pose(model: str, distortion: list, tilt: float) -> None:
    through = camera(model, distortion)
    T = facing(BOARD, 0.4, tilt, 0.7, 2.0, (0.02, -0.03))
    pose = board_pose(POINTS, seen(T, through), np.full(24, 0.1), through)
    assert pose.reason == ''
    assert np.abs(difference(pose.T_camera_board, T)).max() < 1e-4


def test_the_covariance_is_that_of_the_errors() -> None:
    """The mean of 200 normalised squared errors of 6 degrees of freedom, some more for so few corners' own scale."""
    through = camera('plumb_bob', [-0.2, 0.05, 0, 0, 0])
    rng, squares = np.random.default_rng(0), []
    for index in range(200):
        T = facing(BOARD, 0.4 + 0.001 * index, 0.6, 0.03 * index, 0.05 * index)
        sigma = rng.uniform(0.1, 0.4, 24)
        pixels = seen(T, through) + rng.normal(0, 1, (24, 2)) * sigma[:, None]
        pose = board_pose(POINTS, pixels, sigma, through)
        error = difference(pose.T_camera_board, T)
        squares.append(error @ np.linalg.solve(pose.covariance, error))
    assert 5 < np.mean(squares) < 8


def test_one_wrong_corner_does_no_harm() -> None:
    T = facing(BOARD, 0.4, 0.5, 0.7)
    pixels = seen(T, camera())
    pixels[5] += 20
    pose = board_pose(POINTS, pixels, np.full(24, 0.1), camera())
    assert not pose.inliers[5] and pose.inliers.sum() == 23
    assert np.abs(difference(pose.T_camera_board, T)).max() < 2e-3


def test_where_two_poses_fit_there_is_none_and_never_the_wrong_one() -> None:
    rng, given = np.random.default_rng(1), 0
    for index in range(60):
        T = facing(BOARD, 2.0 + 0.1 * index, 0.35, 0.7, 0.1 * index)
        pose = board_pose(POINTS, seen(T, camera()) + rng.normal(0, 0.5, (24, 2)), np.full(24, 0.5), camera())
        if pose.T_camera_board is None:
            assert 'two poses' in pose.reason or 'slant' in pose.reason
        else:
            given += 1
            error = difference(pose.T_camera_board, T)
            assert error @ np.linalg.solve(pose.covariance, error) < 30
    assert given < 50


@pytest.mark.parametrize(('keep', 'said'), [(slice(0, 3), '3 corners'), (slice(0, 4), 'on a line'),
                                            (slice(0, 24, 4), 'on a line')])
def test_too_few_corners_or_those_of_a_line_have_no_pose(keep: slice, said: str) -> None:
    pixels = seen(facing(BOARD, 0.4, 0.5), camera())
    pose = board_pose(POINTS[keep], pixels[keep], np.full(24, 0.1)[keep], camera())
    assert pose.T_camera_board is None and said in pose.reason


def test_a_rectified_image_is_measured_by_its_own_matrix() -> None:
    P = np.array([[400.0, 0, 300, 0], [0, 400, 200, 0], [0, 0, 1, 0]])
    through = Camera(640, 480, K, np.array([-0.3, 0.1, 0, 0, 0]), 'plumb_bob', P=P)
    T = facing(BOARD, 0.4, 0.5, 0.3)
    pixels = seen(T, Camera(640, 480, P[:, :3]))
    pose = board_pose(POINTS, pixels, np.full(24, 0.1), through, rectified=True)
    assert np.abs(difference(pose.T_camera_board, T)).max() < 1e-4
