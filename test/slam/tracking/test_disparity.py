"""A stereo pair whose disparities are off: noticed, told, corrected."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from points import PointWorld, Walk, errors, trajectory

from superslam_ros.slam.tracking import disparity

OFF_PX = 0.8
PATH = trajectory(60, step_m=0.1)


@pytest.fixture(autouse=True)
def few_keyframes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk is a short one."""
    monkeypatch.setattr(disparity, 'KEYFRAMES', 2)


def walked(**options: float | str) -> tuple[Walk, np.ndarray]:
    """Walk with a pair whose disparities are too small by 0.8 px, unless more is taken off them."""
    walk = Walk(PointWorld.make(noise_px=0.2), **{'disparity_offset': OFF_PX, **options})
    return walk, errors(walk, PATH)


def test_an_offset_is_measured_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """With the number, what it does to distances, and the remedy."""
    with caplog.at_level(logging.WARNING):
        walk, off = walked()
    found = walk.motion.disparity.estimate()
    assert abs(found.px) < 4 * found.sigma_px and found.sigma_px < 0.1      # as measured, they are right
    assert caplog.text.count('near and far points disagree') == 1
    assert 'disparity_offset: ' in walk.motion.disparity.problem
    assert 'too long' in caplog.text and np.linalg.norm(off[-1, :3]) > 0.1


def test_it_is_corrected_where_that_is_wanted(caplog: pytest.LogCaptureFixture) -> None:
    """Never silently; what is in the map by then moves with it, and tracking goes on."""
    with caplog.at_level(logging.WARNING):
        walk, off = walked(disparity_correction='auto')
    assert 'corrected from here on' in caplog.text and not walk.motion.disparity.problem
    assert abs(walk.motion.disparity.applied_px) < 0.15
    steps = np.linalg.norm(np.diff(off[:, :3], axis=0), axis=1)
    assert np.median(steps[-15:]) < 0.4 * np.median(steps[:4])


@pytest.mark.parametrize('options', [{'disparity_offset': 0.0}, {'disparity_correction': 'off'}])
def test_nothing_is_said_of_a_good_pair_or_where_it_is_off(caplog: pytest.LogCaptureFixture, options: dict) -> None:
    with caplog.at_level(logging.WARNING):
        walk, _ = walked(**options)
    assert not caplog.records and not walk.motion.disparity.problem


def test_one_camera_and_a_still_one_tell_nothing() -> None:
    still = Walk(PointWorld.make(noise_px=0.2))
    errors(still, PATH[:1] * 10)
    alone = Walk(PointWorld.make(noise_px=0.2), stereo=False)
    errors(alone, PATH[:10])
    assert still.motion.disparity.estimate() is None and alone.motion.disparity.estimate() is None
