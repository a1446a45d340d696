"""Paths and sensor noise."""

from __future__ import annotations

import numpy as np
import pytest

from superslam_ros import worlds


def test_look_at_looks_there_upright() -> None:
    T = worlds.look_at((1, 2, 3), (1, 5, 3))
    np.testing.assert_allclose(T[:3, 2], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(T[:3, 1], [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(T[:3, :3]) == pytest.approx(1)
    with pytest.raises(ValueError, match='upright'):
        worlds.look_at((0, 0, 0), (0, 0, 1))


def test_the_demo_path_is_smooth_and_keeps_clear_of_everything() -> None:
    rate = 20.0
    poses = worlds.demo_trajectory(240, rate)
    velocity = np.diff(poses[:, :3, 3], axis=0) * rate
    speed = np.linalg.norm(velocity, axis=1)
    assert speed.min() > 0.2 and speed.max() < 1.2
    assert np.linalg.norm(np.diff(velocity, axis=0), axis=1).max() * rate < 4
    turns = np.einsum('nji,njk->nik', poses[:-1, :3, :3], poses[1:, :3, :3])
    angles = np.degrees(np.arccos(((np.trace(turns, axis1=1, axis2=2) - 1) / 2).clip(-1, 1))) * rate
    assert angles.max() < 90
    world = worlds.room_world(0, 8)
    camera = worlds.pinhole(32, 24)
    assert min(np.nanmin(worlds.render(world, camera, pose).depth_m) for pose in poses[::10]) > 0.4


def test_stamps_keep_the_rate() -> None:
    stamps = worlds.stamps(61, 30.0, 5)
    assert stamps[0] == 5 and stamps[30] == 5 + 10**9 and stamps.dtype == np.int64


def test_noise_is_repeatable_and_different_per_frame_and_camera() -> None:
    photometry = worlds.Photometry(worlds.PhotometryConfig(seed=3, noise=2.0))
    gray = np.full((120, 160), 100, np.uint8)
    first = photometry(gray, 4)
    assert np.array_equal(first, worlds.Photometry(worlds.PhotometryConfig(seed=3, noise=2.0))(gray, 4))
    assert not np.array_equal(first, photometry(gray, 4, channel=1))
    assert not np.array_equal(first, photometry(gray, 5))
    assert first[50:70, 70:90].std() == pytest.approx(2.0, abs=0.3)
    assert first[:5, :5].mean() < first[55:65, 75:85].mean() - 5


def test_without_noise_the_image_stays_as_it_is() -> None:
    still = worlds.PhotometryConfig(noise=0.0, exposure=0.0, contrast=0.0, vignetting=0.0)
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(worlds.Photometry(still)(gray, 9), gray)
