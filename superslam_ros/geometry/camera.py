"""Cameras: pixels to rays and back, distortion, rectification of keypoints."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from superslam_ros.data import Camera

WIDEST_RAD = 1.55
"""Of an equidistant camera's distorted angle. OpenCV cuts it off at pi/2."""
_TERMINATE = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-9)


@dataclass(frozen=True)
class Pinhole:
    """An ideal camera in whose pixels all geometry happens; keypoints are brought to it."""

    fx: float
    fy: float
    cx: float
    cy: float

    @property
    def K(self) -> np.ndarray:
        """(3, 3) intrinsic matrix."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], dtype=np.float64)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Return pixels (N, 2) of points (N, 3) in the camera frame; NaN behind the camera."""
        z = np.where(points[:, 2] > 1e-9, points[:, 2], np.nan)
        return np.stack([self.fx * points[:, 0] / z + self.cx, self.fy * points[:, 1] / z + self.cy], 1)

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Return points (N, 3) on the plane z = 1 in front of pixels (N, 2)."""
        pixels = np.asarray(pixels, dtype=np.float64)
        x, y = (pixels[:, 0] - self.cx) / self.fx, (pixels[:, 1] - self.cy) / self.fy
        return np.stack([x, y, np.ones_like(x)], 1)


def alone(camera: Camera) -> Camera:
    """Return a camera of raw images that is not turned parallel to another: its depth images are along its own axes."""
    return replace(camera, R=np.eye(3), P=None)


def ideal(camera: Camera, rectified: bool) -> Pinhole:
    """Return the pinhole camera that ``to_ideal`` brings keypoints to."""
    M = camera.P if camera.P[0, 0] > 0 else camera.K
    if not rectified and not _has_rectification(camera):
        M = camera.K
    return Pinhole(float(M[0, 0]), float(M[1, 1]), float(M[0, 2]), float(M[1, 2]))


def rectification(camera: Camera, rectified: bool) -> np.ndarray:
    """Return the (3, 3) rotation from the optical frame of the image to the ideal camera's."""
    return camera.R if not rectified and _has_rectification(camera) else np.eye(3)


def to_ideal(camera: Camera, keypoints: np.ndarray, rectified: bool) -> np.ndarray:
    """Bring keypoints of the image to the ideal (for stereo: rectified) camera; keypoints, not images.

    :param keypoints: (N, 2) pixels of the image as it came.
    :param rectified: whether that image is rectified already.
    :returns: (N, 2) float64 pixels of :func:`ideal`, NaN for what lies beside or behind it.
    """
    keypoints = np.asarray(keypoints, dtype=np.float64).reshape(-1, 2)
    if rectified or len(keypoints) == 0:
        return keypoints
    target = ideal(camera, rectified)
    R = rectification(camera, rectified)
    points = keypoints[:, None]
    if camera.distortion_model == 'equidistant':
        normal = cv2.fisheye.undistortPoints(points, camera.K, _four(camera.distortion))[:, 0]
        # No pinhole camera sees what is beside or behind it; OpenCV gives it a place all the same.
        away = (keypoints - camera.K[:2, 2]) / [camera.K[0, 0], camera.K[1, 1]]
        normal[np.linalg.norm(away, axis=1) > WIDEST_RAD] = np.nan
    elif camera.distortion_model == 'none' or not camera.distortion.any():
        normal = np.linalg.solve(camera.K, np.vstack([keypoints.T, np.ones(len(keypoints))]))[:2].T
    else:
        normal = _undistort(points, camera)
    rays = np.hstack([normal, np.ones((len(normal), 1))]) @ R.T
    return target.project(rays)


def from_ideal(camera: Camera, pixels: np.ndarray, rectified: bool) -> np.ndarray:
    """Return where ideal pixels (N, 2) lie in the image as it came: the inverse of :func:`to_ideal`."""
    pixels = np.asarray(pixels, dtype=np.float64).reshape(-1, 2)
    if rectified or len(pixels) == 0:
        return pixels
    R = rectification(camera, rectified)
    rays = ideal(camera, rectified).rays(pixels) @ R
    if camera.distortion_model == 'equidistant':
        normal = (rays[:, :2] / rays[:, 2:])[:, None]
        return cv2.fisheye.distortPoints(normal, camera.K, _four(camera.distortion))[:, 0]
    distortion = None if camera.distortion_model == 'none' else camera.distortion
    return cv2.projectPoints(rays, np.zeros(3), np.zeros(3), camera.K, distortion)[0][:, 0]


def _undistort(points: np.ndarray, camera: Camera) -> np.ndarray:
    if hasattr(cv2, 'undistortPointsIter'):
        return cv2.undistortPointsIter(
            points, camera.K, camera.distortion, np.eye(3), np.eye(3), _TERMINATE)[:, 0]
    # OpenCV 5 has the criteria here; its default of five steps is off by a tenth of a pixel and more.
    return cv2.undistortPoints(points, camera.K, camera.distortion, criteria=_TERMINATE)[:, 0]


def _has_rectification(camera: Camera) -> bool:
    """A camera_info of an uncalibrated pair has zeros in R or P."""
    return camera.P[0, 0] > 0 and abs(np.linalg.det(camera.R) - 1) < 1e-3


def _four(distortion: np.ndarray) -> np.ndarray:
    return np.pad(distortion[:4], (0, 4 - min(4, len(distortion))))
