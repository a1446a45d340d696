"""Degraded photographs: repeatable, each what its name says, and with corners where they are said to be."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from superslam_ros.evaluation import degradations
from superslam_ros.evaluation.degradations import degrade, move


@pytest.fixture(scope='module')
def photograph() -> np.ndarray:
    return np.kron(np.indices((12, 16)).sum(0) % 2, np.ones((10, 10))).astype(np.uint8) * 160 + 40


@pytest.mark.parametrize('name', [*degradations.NAMES, 'shadow-soft', 'motion-7+dark-8+jpeg-20'])
def test_the_same_name_and_draw_give_the_same_bytes(photograph: np.ndarray, name: str) -> None:
    once, again = degrade(photograph, name, 1), degrade(photograph, name, 1)
    assert once.dtype == np.uint8 and np.array_equal(once, again)
    drawn = name.split('-')[0] not in ('original', 'blur', 'jpeg', 'downscale')
    assert np.array_equal(once, degrade(photograph, name, 0)) != drawn


def test_each_is_what_it_is_called(photograph: np.ndarray) -> None:
    assert np.array_equal(degrade(photograph, 'original'), photograph)
    dark, darker = (degrade(photograph, f'raw-dark-{n}').mean() for n in (8, 32))
    black = 255 * degradations.BLACK
    assert (dark - black) / (darker - black) == pytest.approx(4, rel=0.1)
    # Gain keeps the brightness up to 16, and noise grows.
    assert degrade(photograph, 'dark-16').mean() == pytest.approx(photograph.mean(), rel=0.1)
    assert degrade(photograph, 'dark-64').mean() < 0.8 * photograph.mean()
    flat = np.full((90, 120), 128, np.uint8)
    assert degrade(flat, 'noise-20').std() == pytest.approx(20, rel=0.05)
    assert np.isin(degrade(flat, 'salt-20'), (0, 255)).mean() == pytest.approx(0.2, rel=0.1)
    assert 0.2 < (degrade(flat, 'shadow-blinds') < 100).mean() < 0.8
    assert degrade(photograph, 'motion-15').std() < 0.9 * photograph.std()


def test_corners_are_where_they_are_said_to_be() -> None:
    image = np.zeros((64, 96), np.uint8)
    image[20:28, 40:52] = 255
    corner = np.array([[39.5, 19.5]])       # between the pixels
    for factor in (2, 4):
        small = degrade(image, f'downscale-{factor}')
        x, y = move(corner, f'downscale-{factor}')[0]
        assert not small[:int(np.ceil(y)), :].any() and small[int(np.ceil(y)), int(np.ceil(x))] == 255
        assert (x, y) == (40 / factor - 0.5, 20 / factor - 0.5)
    assert np.array_equal(move(corner, 'dark-64+blur-2'), corner)


def test_a_motion_is_straight_and_so_long() -> None:
    kernel = degradations.motion_kernel(15, 0.0)
    assert kernel.sum() == pytest.approx(1) and (kernel[7] > 0.02).sum() == 15
    rows, columns = np.nonzero(degradations.motion_kernel(15, np.pi / 2) > 0.02)
    assert np.ptp(rows) == 14 and np.ptp(columns) <= 2
    assert cv2.minAreaRect(np.argwhere(degradations.motion_kernel(23, 0.7) > 0.01).astype(np.float32))[1][0] < 6


@pytest.mark.parametrize('name', ['', 'dark', 'fog-3', 'dark-0', 'dark-x', 'shadow-3', 'motion-7.5', 'blur-2+fog-1'])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match='degradation'):
        degradations.parts(name)
