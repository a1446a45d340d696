"""Where no keypoints are to be: masks, and the black frame of undistorted images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from superslam_ros.evaluation.baselines import make_extractor
from superslam_ros.slam import masks
from superslam_ros.slam.checks import SkippedFrame
from superslam_ros.slam.extract import Extractor, ExtractorConfig
from superslam_ros.worlds import demo_trajectory, pinhole, render, room_world

SIZE = 320, 240
K = np.array([[260.0, 0, 160], [0, 260, 120], [0, 0, 1]])


@pytest.fixture(scope='module')
def room() -> np.ndarray:
    return render(room_world(0), pinhole(*SIZE), demo_trajectory(3)[1]).image


def undistorted(image: np.ndarray, k1: float, jpeg: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return an image with the lens distortion taken out, nothing cut off, and which of its pixels are of the image."""
    coefficients = np.array([k1, 0.03, 0.001, -0.001, 0])
    wide, _ = cv2.getOptimalNewCameraMatrix(K, coefficients, SIZE, 1)
    straight = cv2.undistort(image, K, coefficients, None, wide)
    valid = cv2.undistort(np.full_like(image, 255), K, coefficients, None, wide) > 0
    if jpeg:
        straight = cv2.imdecode(cv2.imencode('.jpg', straight, [cv2.IMWRITE_JPEG_QUALITY, 85])[1], 0)
    return straight, valid


@pytest.mark.parametrize('jpeg', [False, True])
@pytest.mark.parametrize('k1', [0.3, -0.3])
def test_the_frame_of_an_undistorted_image_is_found(room: np.ndarray, k1: float, jpeg: bool) -> None:
    """All of it, and little else."""
    image, valid = undistorted(room, k1, jpeg)
    clear = masks.outside_frame(image)
    assert clear[~valid].mean() < 0.05
    inner = cv2.erode(valid.astype(np.uint8), np.ones((4 * masks.MARGIN_PX + 1,) * 2)) > 0
    assert clear[inner].mean() > 0.97


def test_letterboxes_are_frames_and_dark_places_are_not(room: np.ndarray) -> None:
    boxed = room.copy()
    boxed[:30] = boxed[-30:] = 0
    clear = masks.outside_frame(boxed)
    assert not clear[:30].any() and not clear[-30:].any() and clear[45:-45].all()
    assert masks.outside_frame(room) is None
    night = room.copy()     # a skyline
    for column, top in enumerate(np.random.default_rng(0).integers(20, 100, 32)):
        night[:top, 10 * column:10 * column + 10] = 0
    assert masks.outside_frame(night) is None
    assert masks.outside_frame(np.zeros_like(room)) is None


@pytest.mark.parametrize('features', ['superpoint', 'orb', 'sift'])
def test_no_keypoints_on_a_frame(room: np.ndarray, features: str) -> None:
    """Nor near its edge, where all of them would be wrong; unless that is turned off."""
    image, valid = undistorted(room, -0.3)
    edge = cv2.dilate((~valid).astype(np.uint8), np.ones((7, 7))) > 0
    found = make_extractor(features, ExtractorConfig(device='cpu', precision='float32')).batch([image])[0]
    x, y = found.keypoints.round().astype(int).T
    assert len(found) > 50 and not edge[y, x].any()
    if features == 'superpoint':
        anywhere = Extractor(ExtractorConfig(device='cpu', precision='float32', black_frame=False))(image)
        x, y = anywhere.keypoints.round().astype(int).T
        assert edge[y, x].any()


def test_masks_of_the_user(room: np.ndarray, tmp_path: Path) -> None:
    """One for all images, from a file; one for this image; keypoints elsewhere take the place of those left out."""
    mask = np.full(room.shape, 255, np.uint8)
    mask[120:] = 0
    cv2.imwrite(str(tmp_path / 'robot.png'), mask)
    config = ExtractorConfig(device='cpu', precision='float32', max_keypoints=100)
    plain = Extractor(config)
    by_file = Extractor(replace(config, mask=str(tmp_path / 'robot.png')))(room)
    given, free = plain.batch([room, room], [mask, None])
    for found in (by_file, given):
        assert len(found) == 100 and (found.keypoints[:, 1] < 121).all()
    assert (free.keypoints[:, 1] > 130).any()
    np.testing.assert_array_equal(by_file.keypoints, given.keypoints)
    with pytest.raises(SkippedFrame, match='320x100, the image 320x240'):
        plain.batch([room], [mask[:100]])


@pytest.mark.parametrize('content, reason', [(None, 'cannot be read'), (b'', 'no image'), (b'PNG', 'no image'),
                                             (np.zeros((9, 9), np.uint8), 'black everywhere')])
def test_masks_that_are_none(tmp_path: Path, content: bytes | np.ndarray | None, reason: str) -> None:
    path = tmp_path / 'mask.png'
    if isinstance(content, np.ndarray):
        cv2.imwrite(str(path), content)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        masks.load(path)
