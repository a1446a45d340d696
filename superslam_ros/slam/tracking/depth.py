"""Where a frame's depths come from: the right image, a depth image, or nowhere."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from superslam_ros.data import Camera, Matches
from superslam_ros.geometry.camera import ideal, to_ideal
from superslam_ros.slam.odometry_config import OdometryConfig

_ENOUGH = 20
_HARDLY_ANY = 1e-3
"""Of the measured pixels of a depth image, this part has to be usable."""


class DepthSource(Protocol):
    """Depths of one frame, along z of the left (or only) camera.

    :ivar correlation: of the errors of a keypoint's column and of its inverse depth.
    :ivar problem: why there are no depths, though there is something that should give them; empty if there are any.
    """

    correlation: float
    problem: str

    def inverse_depth(self, indices: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return 1/z and its sigma (1/m), NaN where not measured.

        :param indices: (N,) keypoint indices; ``pixels``: (N, 2) their pixels in the image as it came.
        """


class NoDepth:
    """A monocular frame."""

    correlation, problem = 0.0, ''

    def inverse_depth(self, indices: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return NaN throughout."""
        nothing = np.full(len(indices), np.nan)
        return nothing, nothing


class StereoDepth:
    """Depths from left-right matches: 1/z = disparity / (f * baseline).

    The left pixel's error is half of the disparity's variance, hence the correlation.

    :ivar scale: focal length times baseline, px m.
    """

    correlation = float(np.sqrt(0.5))

    def __init__(
        self, matches: Matches, camera: Camera, right_camera: Camera, rectified: bool, pixel_sigma: np.ndarray,
        row_tolerance_px: float = 2.0, offset_px: float = 0.0,
    ) -> None:
        """Keep the matches that lie on one row of the rectified pair and in front of the cameras.

        :param pixel_sigma: (N,) of the left image's keypoints, pixels; those of the right image are as exact.
        :param offset_px: what all disparities are too large.
        :raises ValueError: when the two cameras' P have no baseline.
        """
        baseline_m = right_camera.baseline_to(camera)
        if not baseline_m > 0:
            raise ValueError(
                f'camera {right_camera.frame_id}: no stereo baseline (P[0, 3] = {right_camera.P[0, 3]}, must be '
                '-fx * baseline); publish a stereo calibration, or leave the right image out'
            )
        left = to_ideal(camera, matches.keypoints0, rectified)
        right = to_ideal(right_camera, matches.keypoints1, rectified)
        # The two rectified cameras share fx and fy, and may differ in cx.
        pinhole, other = ideal(camera, rectified), ideal(right_camera, rectified)
        disparity = (left[:, 0] - pinhole.cx) - (right[:, 0] - other.cx) - offset_px
        rows = np.abs((left[:, 1] - pinhole.cy) - (right[:, 1] - other.cy))
        self.scale = scale = pinhole.fx * baseline_m
        swapped = bool(len(disparity) >= _ENOUGH and (disparity < -1).mean() > 0.5)
        good = (rows < row_tolerance_px) & (disparity > -pixel_sigma[matches.indices[:, 0]]) & (not swapped)
        self.problem = ''
        if swapped:
            self.problem = (f'camera {right_camera.frame_id}: most stereo matches lie behind the cameras: are the left '
                            'and the right image, or their camera_info, swapped? Such depths are ignored')
        elif len(disparity) >= _ENOUGH and not good.any():
            self.problem = (f'camera {right_camera.frame_id}: none of {len(disparity)} stereo matches lies on one row '
                            'of the rectified pair: is the stereo calibration that of these images?')
        self._inverse = np.full(len(pixel_sigma), np.nan)
        self._inverse[matches.indices[good, 0]] = np.maximum(disparity[good], 0.05) / scale
        self._sigma = np.sqrt(2) * pixel_sigma / scale

    def inverse_depth(self, indices: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look the keypoints up."""
        values = self._inverse[indices]
        return values, np.where(np.isfinite(values), self._sigma[indices], np.nan)


class ImageDepth:
    """Depths from a registered depth image."""

    correlation = 0.0

    def __init__(
        self, depth_m: np.ndarray, sigma: float, min_depth_m: float, max_depth_m: float, edge: float = 0.05
    ) -> None:
        """Keep the image; a keypoint whose neighbours differ by more than ``edge`` of its depth has none.

        :param depth_m: (H, W) metres, NaN where not measured.
        :param sigma: of the inverse depth, 1/m (constant for structured light: sigma_z grows with z squared).
        """
        self._depth_m, self._sigma, self._limits, self._edge = depth_m, sigma, (min_depth_m, max_depth_m), edge
        self.problem = unusable(depth_m, min_depth_m, max_depth_m)

    def inverse_depth(self, indices: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Interpolate 1/z bilinearly among the four pixels around each keypoint (planes are linear in 1/z)."""
        height, width = self._depth_m.shape
        if height < 2 or width < 2:
            return NoDepth().inverse_depth(indices, pixels)
        x, y = pixels[:, 0].astype(np.float64), pixels[:, 1].astype(np.float64)
        left = np.clip(np.floor(x).astype(int), 0, width - 2)
        top = np.clip(np.floor(y).astype(int), 0, height - 2)
        fx, fy = np.clip(x - left, 0, 1), np.clip(y - top, 0, 1)
        corners = np.stack([self._depth_m[top + i, left + j] for i in (0, 1) for j in (0, 1)]).astype(np.float64)
        weights = np.stack([(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx])
        low, high = self._limits
        with np.errstate(invalid='ignore', divide='ignore'):
            good = ((corners > low) & (corners < high)).all(0)
            good &= corners.max(0) - corners.min(0) < self._edge * corners.min(0)
            values = np.where(good, (weights / corners).sum(0), np.nan)
        return values, np.where(good, self._sigma, np.nan)


def unusable(depth_m: np.ndarray, low_m: float, high_m: float) -> str:
    """Return what to say of a depth image (H, W) with hardly a pixel between two depths; nothing where there are."""
    for part, least in ((depth_m[::4, ::4], 0.1), (depth_m, _HARDLY_ANY)):  # mostly, some of the pixels tell
        measured = part[np.isfinite(part)]
        if len(measured) and ((measured > low_m) & (measured < high_m)).mean() >= least:
            return ''
    if not len(measured):
        return 'no pixel of the depth image is measured'
    median = float(np.median(measured))
    guess = ''
    if low_m < median / 1000 < high_m:
        guess = ': are these millimetres? Floating-point depth is in metres, 16-bit depth in millimetres'
    elif low_m < median * 1000 < high_m:
        guess = ': are these metres, in 16 bits? 16-bit depth is in millimetres, floating-point depth in metres'
    return (f'hardly a pixel of the depth image lies between odometry.min_depth and odometry.max_depth ({low_m:g} to '
            f'{high_m:g} m); the median is {median:.3g} m{guess}')


def depth_source(
    camera: Camera, stereo: Matches | None, right_camera: Camera | None, depth_m: np.ndarray | None,
    config: OdometryConfig, pixel_sigma: np.ndarray, disparity_offset_px: float = 0.0,
) -> DepthSource:
    """Return the depths of a frame: of its stereo matches, of its depth image, or none.

    :param pixel_sigma: (N,) of the keypoints, pixels; ``disparity_offset_px``: what disparities are too large.
    :raises ValueError: naming it, when the stereo calibration has no baseline or the depth image another size than the
        camera.
    """
    if stereo is not None and right_camera is not None:
        return StereoDepth(stereo, camera, right_camera, config.rectified, pixel_sigma,
                           offset_px=disparity_offset_px)
    if depth_m is None:
        return NoDepth()
    if depth_m.shape != (camera.height, camera.width):
        raise ValueError(
            f'depth image is {depth_m.shape[1]}x{depth_m.shape[0]}, camera {camera.frame_id} '
            f'{camera.width}x{camera.height}: use depth that is registered to the image')
    return ImageDepth(depth_m, config.depth_sigma, config.min_depth, config.max_depth)
