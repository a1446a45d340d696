"""A focal length that does not fit to the map is noticed from where its landmarks are seen."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import numpy as np
import pytest

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.maps.calibration import FIXES, CameraCheck, focal_change

TRUE, SIZE = Pinhole(300.0, 300.0, 320.0, 240.0), (640, 480)


def scene(seed: int, flat: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return landmarks in the camera's frame, and where they are seen with half a pixel of noise."""
    random = np.random.default_rng(seed)
    points = random.uniform([-2, -1.5, 2], [2, 1.5, 2 if flat else 6], (200, 3))
    return points, TRUE.project(points) + 0.5 * random.normal(size=(200, 2))


@pytest.mark.parametrize('factor', [0.95, 1.0, 1.03])
def test_the_change_and_its_deviation(factor: float) -> None:
    told = Pinhole(factor * 300, factor * 300, 320.0, 240.0)
    errors = []
    for seed in range(20):
        change, sigma = focal_change(*scene(seed), told)
        errors.append((change - (1 / factor - 1)) / sigma)
    assert np.sqrt(np.mean(np.square(errors))) < 2


def test_of_a_plane_seen_straight_on_nothing_is_known() -> None:
    assert focal_change(*scene(0, flat=True), TRUE)[1] > 0.05 > 10 * focal_change(*scene(0), TRUE)[1]


@pytest.mark.parametrize('factor', [1.0, 0.95])
def test_it_is_said_once_when_it_is_certain(factor: float, caplog: pytest.LogCaptureFixture) -> None:
    check, told = CameraCheck(), Pinhole(factor * 300, factor * 300, 320.0, 240.0)
    with caplog.at_level(logging.WARNING):
        for seed in range(2 * FIXES):
            points, pixels = scene(seed)
            rows = np.arange(len(points))
            landmarks = SimpleNamespace(rows=lambda ids: ids)
            within = SimpleNamespace(landmarks=landmarks, cameras={1: (TRUE, SIZE)}, points_of=lambda rows, p=points: p)
            check.add(SimpleNamespace(pixels=pixels, pinhole=told, image_size=SIZE),
                      SimpleNamespace(T_map_camera=np.eye(4), keypoints=rows, landmarks=rows), within)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (0 if factor == 1 else 2)
    if said:
        assert 'another one' in said[0] and 'focal length of 105' in said[1]
