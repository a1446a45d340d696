"""Images and depths as an ideal camera would have taken them: for what works on images, not on keypoints."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from superslam_ros.data import Camera, Frame
from superslam_ros.geometry import camera as cameras
from superslam_ros.geometry import pose
from superslam_ros.geometry.camera import Pinhole

SMALLEST_DISPARITY_PX = 12
"""Below it, stereo depths are off by several percent."""


class Ideal(NamedTuple):
    """An ideal image: ``image`` (H, W) uint8; ``depth_m`` (H, W) float32, NaN where not known, None without any.

    ``camera`` is the calibration by which keypoints are brought to it; ``T_optical_camera`` (4, 4) turns the ideal
    camera to the optical frame of the recorded image.
    """

    image: np.ndarray
    depth_m: np.ndarray | None
    pinhole: Pinhole
    camera: Camera
    T_optical_camera: np.ndarray


class Rectifier:
    """Makes images of the ideal camera; where each of its pixels lies in the real one is worked out once."""

    def __init__(self, rectified: bool) -> None:
        """Say whether the images are rectified already."""
        self.rectified = rectified
        self._maps: list[tuple[Camera, np.ndarray]] = []

    def __call__(self, frame: Frame) -> Ideal:
        """Return a frame's image with its depth, the recorded one or that of the stereo pair."""
        rectified, camera, depth_m = self.rectified, frame.camera, None
        if not rectified and (frame.depth_m is not None or frame.right_image is None):
            camera = cameras.alone(camera)
        pinhole = cameras.ideal(camera, rectified)
        image = self._remap(frame.image, camera, cv2.INTER_LINEAR)
        if frame.depth_m is not None:
            depth_m = self._remap(frame.depth_m, camera, cv2.INTER_NEAREST)
        elif frame.right_image is not None:
            right = self._remap(frame.right_image, frame.right_camera, cv2.INTER_LINEAR)
            shift_px = cameras.ideal(frame.right_camera, rectified).cx - pinhole.cx
            scale = pinhole.fx * frame.right_camera.baseline_to(frame.camera)
            depth_m = stereo_depth(image, right, scale, shift_px)
        R = cameras.rectification(camera, rectified)
        return Ideal(image, depth_m, pinhole, camera, pose.compose(R.T, np.zeros(3)))

    def _remap(self, image: np.ndarray, camera: Camera, interpolation: int) -> np.ndarray:
        """Return the image of the ideal camera, (H, W), black or NaN where the real one saw nothing."""
        if self.rectified:
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
