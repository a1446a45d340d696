"""Configuration files, --set, and camera files."""

from __future__ import annotations

from pathlib import Path

import pytest

from superslam_ros.bags.bag import BagError
from superslam_ros.bags.calibration import read_camera
from superslam_ros.cli.settings import load

ROS = """
/**:
  ros__parameters:
    use_sim_time: false
    frames: {odom_frame: odom}
    extractor:
      max_keypoints: 321
    matcher.ratio: 0.8
"""


def test_ros_parameter_file_and_settings_that_win(tmp_path: Path) -> None:
    file = tmp_path / 'params.yaml'
    file.write_text(ROS)
    config = load(file, ['matcher.ratio=1', 'odometry.rectified=false', 'extractor.weights=12'])
    assert (config.extractor.max_keypoints, config.matcher.ratio) == (321, 1.0)
    assert config.odometry.rectified is False and config.extractor.weights == '12'


def test_plain_names(tmp_path: Path) -> None:
    file = tmp_path / 'plain.yaml'
    file.write_text('extractor: {nms_radius: 3}\nodometry.min_inliers: 20\n')
    config = load(file)
    assert (config.extractor.nms_radius, config.odometry.min_inliers) == (3, 20)
    file.write_text('')
    assert load(file) == load()


@pytest.mark.parametrize('content, settings, reason', [
    ('extractor: {max_keypoint: 3}', [], 'max_keypoint'), ('odom_frame: odom', [], 'odom_frame'),
    ('/**: {ros__parameters: {extractor: {nope: 1}}}', [], 'extractor.nope'), ('- 1', [], 'mapping'),
    ('a: [', [], 'cannot be read'), ('', ['extractor.max_keypoints'], 'NAME=VALUE'),
    ('', ['extractor.max_keypoints=many'], 'extractor.max_keypoints'), ('', ['extractor.threshold=2'], 'outside'),
    ('', ['odometry.rectified=3'], 'expected bool'), ('', ['matcher.matcher=glue'], 'nearest'), ('', ['x=1'], "'x'"),
])
def test_what_is_wrong_is_named(tmp_path: Path, content: str, settings: list[str], reason: str) -> None:
    file = tmp_path / 'config.yaml'
    file.write_text(content)
    with pytest.raises((BagError, ValueError), match=reason):
        load(file, settings)


def test_a_configuration_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BagError, match=r'nope.yaml'):
        load(tmp_path / 'nope.yaml')


CAMERA = """
image_width: 640
image_height: 480
camera_name: head
camera_matrix: {rows: 3, cols: 3, data: [500, 0, 320, 0, 501, 240, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [-0.2, 0.1, 0, 0, 0]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [480, 0, 318, -48, 0, 480, 239, 0, 0, 0, 1, 0]}
"""


def test_camera_file(tmp_path: Path) -> None:
    file = tmp_path / 'camera.yaml'
    file.write_text(CAMERA)
    camera = read_camera(file)
    assert camera.image_size == (640, 480) and camera.frame_id == 'head'
    assert camera.distortion.tolist() == [-0.2, 0.1, 0, 0, 0]
    assert camera.baseline_m == pytest.approx(0.1)
    assert read_camera(file, rectified=True).K[0, 0] == 480


@pytest.mark.parametrize('change, reason', [
    (('camera_matrix', 'camera_matrices'), 'camera_matrix is missing'), (('[500, 0', '[0, 0'), 'not calibrated'),
    (('plumb_bob', 'odd'), 'odd'), (('640', 'wide'), 'camera.yaml'), (('[500,', '[500, 1,'), 'K has 10'),
    (('image_width: 640', '\t: ['), 'cannot be read'), ((CAMERA, 'just text'), 'not a camera file'),
])
def test_camera_files_that_are_wrong(tmp_path: Path, change: tuple[str, str], reason: str) -> None:
    file = tmp_path / 'camera.yaml'
    file.write_text(CAMERA.replace(*change))
    with pytest.raises(BagError, match=reason):
        read_camera(file)
