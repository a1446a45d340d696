"""The types that travel between the stages."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from superslam_ros.data import Camera, Features, Matches

K = np.array([[300.0, 0, 320], [0, 300, 240], [0, 0, 1]])


def test_camera_takes_flat_fields_of_a_message() -> None:
    """Lists of 9 and 12 values become matrices; P follows K where it is missing."""
    camera = Camera(640, 480, list(K.ravel()), P=[300, 0, 320, -36, 0, 300, 240, 0, 0, 0, 1, 0])
    assert camera.K.shape == (3, 3) and camera.baseline_m == pytest.approx(0.12)
    np.testing.assert_array_equal(Camera(640, 480, K.ravel()).P[:, :3], K)


@pytest.mark.parametrize(('changes', 'message'), [
    ({'K': np.zeros((3, 3))}, 'not calibrated'), ({'K': K * np.nan}, 'not calibrated'),
    ({'K': np.zeros(4)}, 'K has 4 values'), ({'width': 0}, 'not a size'),
    ({'distortion_model': 'fov'}, "'fov' is not one of"), ({'R': np.full((3, 3), np.nan)}, 'R is not finite'),
])
def test_bad_calibration_is_named(changes: dict, message: str) -> None:
    """By camera and field."""
    with pytest.raises(ValueError, match=message):
        Camera(**{'width': 640, 'height': 480, 'K': K, **changes})


def test_features_of_arrays_and_tensors() -> None:
    """Either gives both; lengths must agree."""
    for descriptors in (np.eye(3), torch.eye(3)):
        features = Features(np.zeros((3, 2)), np.ones(3), descriptors, (4, 5))
        assert len(features) == 3 and features.descriptor_size == 3 and features.finite()
        np.testing.assert_array_equal(features.descriptors, np.eye(3))
        assert features.descriptors_on('cpu').dtype == torch.float32
    with pytest.raises(ValueError, match='3 keypoints, 2 scores'):
        Features(np.zeros((3, 2)), np.ones(2), np.eye(3), (4, 5))
    with pytest.raises(ValueError, match='2 scales'):
        Features(np.zeros((3, 2)), np.ones(3), np.eye(3), (4, 5), np.ones(2))
    for scale in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match='scales must be positive'):
            Features(np.zeros((3, 2)), np.ones(3), np.eye(3), (4, 5), np.full(3, scale))


def test_matches_select_and_look_up() -> None:
    """Pixels follow indices; masks and index arrays select."""
    features = Features(np.arange(8).reshape(4, 2), np.ones(4), np.eye(4), (9, 9))
    matches = Matches.of(features, features, [[0, 1], [2, 3]], [0.5, 0.6])
    np.testing.assert_array_equal(matches.keypoints1, [[2, 3], [6, 7]])
    assert len(matches.select(np.array([True, False]))) == 1
    assert Matches.of(features, features, [], []).keypoints0.shape == (0, 2)
