"""Frames of a bag with depth and poses, for training: rectified, at most a few hundred, evenly over the bag."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np

from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.data import Camera, Frame, PosedImage
from superslam_ros.evaluation import gaps, trajectory
from superslam_ros.geometry import camera as cameras
from superslam_ros.geometry import pose
from superslam_ros.inputs.opening import open_frames

MOST = 200
SMALLEST_DISPARITY_PX = 12
"""Below it, stereo depths are off by several percent."""

log = logging.getLogger(__name__)


def read(path: Path, poses: Path | None = None, options: ReaderOptions | None = None) -> list[PosedImage]:
    """Read the frames whose pose is known; depth is the recorded one, or that of the stereo pair.

    :param poses: true poses of the optical frame (seconds x y z qx qy qz qw), as `superslam run` writes them
        too; by default those of the data set, or ``NAME.tum`` beside the bag.
    :raises ValueError: when fewer than two frames have a pose, and either depth or a right image.
    """
    found = []
    with open_frames(path, options) as frames:
        own = None if poses else frames.truth()
        poses = poses or (own.file if own else trajectory.beside(path))
        truth = gaps.Truth(*(own[1:] if own else trajectory.read_tum(poses)))
        every = -(-(frames.count or MOST) // MOST)
        rectifier = _Rectifier(frames.rectified)
        for number, recorded in enumerate(frames):
            frame = recorded.frame
            T_world_camera = None if number % every else truth.at(frame.stamp_ns)
            if T_world_camera is not None and (frame.depth_m is not None or frame.right_image is not None):
                found.append(rectifier.posed(frame, T_world_camera))
    if len(found) < 2:
        raise ValueError(f'{path}: {len(found)} frames have depth or a right image, and a pose in {poses}')
    log.info('%s: %d frames with poses', path, len(found))
    return found


class _Rectifier:
    """Makes images of the ideal camera; where each of its pixels lies in the real one is worked out once."""

    def __init__(self, rectified: bool) -> None:
        """Say whether the images are rectified already."""
        self._rectified = rectified
        self._maps: list[tuple[Camera, np.ndarray]] = []

    def posed(self, frame: Frame, T_world_camera: np.ndarray) -> PosedImage:
        """Return a frame with its depth, the recorded one or that of the stereo pair."""
        rectified, camera = self._rectified, frame.camera
        if frame.depth_m is not None and not rectified:
            camera = cameras.alone(camera)
        pinhole = cameras.ideal(camera, rectified)
        image = self._remap(frame.image, camera, cv2.INTER_LINEAR)
        if frame.depth_m is not None:
            depth_m = self._remap(frame.depth_m, camera, cv2.INTER_NEAREST)
        else:
            right = self._remap(frame.right_image, frame.right_camera, cv2.INTER_LINEAR)
            shift_px = cameras.ideal(frame.right_camera, rectified).cx - pinhole.cx
            scale = pinhole.fx * frame.right_camera.baseline_to(frame.camera)
            depth_m = stereo_depth(image, right, scale, shift_px)
        R = cameras.rectification(camera, rectified)
        return PosedImage(image, depth_m, pinhole.K, T_world_camera @ pose.compose(R.T, np.zeros(3)))

    def _remap(self, image: np.ndarray, camera: Camera, interpolation: int) -> np.ndarray:
        """Return the image of the ideal camera, (H, W), black or NaN where the real one saw nothing."""
        if self._rectified:
            return image
        source = next((known for other, known in self._maps if other.same(camera)), None)
        if source is None:
            x, y = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
            source = cameras.from_ideal(camera, np.stack([x.ravel(), y.ravel()], 1), False)
            source = source.reshape(camera.height, camera.width, 2).astype(np.float32)
            self._maps.append((camera, source))
        nothing = np.nan if image.dtype.kind == 'f' else 0
        return cv2.remap(image, source, None, interpolation, borderMode=cv2.BORDER_CONSTANT, borderValue=nothing)


def stereo_depth(left: np.ndarray, right: np.ndarray, scale: float, shift_px: float = 0.0) -> np.ndarray:
    """Return (H, W) float32 depths of a rectified pair by semi-global matching (Hirschmueller, PAMI 2008).

    :param left: (H, W) uint8; ``right`` likewise.
    :param scale: focal length times baseline, pixels times metres.
    :param shift_px: principal point of the right camera less that of the left one.
    :returns: metres along z of the left camera; NaN where unsure, or too far to be exact.
    """
    reach = max(16, left.shape[1] // 5 // 16 * 16)
    matcher = cv2.StereoSGBM_create(
        minDisparity=0, numDisparities=reach, blockSize=5, P1=200, P2=800, disp12MaxDiff=1, uniquenessRatio=10,
        speckleWindowSize=100, speckleRange=2)
    disparity = matcher.compute(left, right).astype(np.float32) / 16
    sure = disparity >= SMALLEST_DISPARITY_PX
    disparity += shift_px
    return np.where(sure & (disparity > 1), scale / np.maximum(disparity, 1), np.nan).astype(np.float32)
