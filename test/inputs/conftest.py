"""Frames of the demo bag, and a place for what is written of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inputs.layouts import frames_of
from superslam_ros.bags.calibration import write_camera
from superslam_ros.data import Frame
from superslam_ros.geometry.tum import read_tum

COUNT = 6


@pytest.fixture(scope='session')
def stereo_frames(demo_bag) -> list[Frame]:
    return frames_of(demo_bag.bag, 'stereo')[:COUNT]


@pytest.fixture(scope='session')
def depth_frames(demo_bag) -> list[Frame]:
    return frames_of(demo_bag.bag, 'rgbd')[:COUNT]


@pytest.fixture(scope='session')
def true_poses(demo_bag) -> np.ndarray:
    return read_tum(demo_bag.truth)[1][:COUNT]


@pytest.fixture
def camera_file(stereo_frames, tmp_path: Path) -> Path:
    write_camera(tmp_path / 'camera.yaml', stereo_frames[0].camera)
    return tmp_path / 'camera.yaml'
