"""Whether the calibration of a camera fits to a map: landmarks that are seen show its focal length."""

from __future__ import annotations

import logging

import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pose import inverse, skew, transform
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.localizer import Fix
from superslam_ros.maps.map import Map

log = logging.getLogger(__name__)

FIXES = 10
"""Keyframes that have to be found before anything is said."""
LEAST, CERTAIN = 0.01, 5.0
"""By how much the focal length must seem to be wrong, as a part of it, and by how many of its deviations."""
ALIKE = 3.0
"""How many times less exact the mean of many keyframes is than if their errors were independent: they see the same
landmarks."""
LOOSE_PX = 1.5
"""Residuals beyond this have less of a say."""


class CameraCheck:
    """Says when another camera than the map's is used, and when its calibration does not fit.

    It follows by how much the focal length would have to change for the landmarks of a map to be seen where they are.

    A focal length that is wrong in the map and in the camera alike cannot be seen so, and of one plane that is looked
    at straight on it cannot be told from the distance; that is in the deviation.
    """

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._information = self._weighted = 0.0
        self._fixes, self._said = 0, set()

    def add(self, keyframe: Keyframe, fix: Fix, within: Map) -> None:
        """Take a keyframe that was found, with the keypoints that ``fix`` was made with."""
        points = transform(inverse(fix.T_map_camera), within.points_of(within.landmarks.rows(fix.landmarks)))
        change, sigma = focal_change(points, keyframe.pixels[fix.keypoints], keyframe.pinhole)
        if np.isfinite(change) and sigma > 0:
            self._information += sigma**-2
            self._weighted += change * sigma**-2
            self._fixes += 1
        if (keyframe.pinhole, keyframe.image_size) not in within.cameras.values():
            self._say('another camera', f'the camera ({keyframe.image_size[0]}x{keyframe.image_size[1]}, focal length '
                      f'{keyframe.pinhole.fx:.1f} px) is another one than those of the map, or calibrated anew')
        if self.problem:
            self._say('calibration', self.problem)

    @property
    def problem(self) -> str:
        """What to say of the calibration; empty as long as it fits."""
        if self._fixes < FIXES:
            return ''
        change, sigma = self._weighted / self._information, ALIKE * self._information**-0.5
        if abs(change) < LEAST or abs(change) < CERTAIN * sigma:
            return ''
        return (f'the calibration does not fit to the map: its landmarks are seen as by a focal length of '
                f'{100 * (1 + change):.1f} % (+- {100 * sigma:.1f}); has the lens been changed, or the image size?')

    def _say(self, what: str, text: str) -> None:
        if what not in self._said:
            self._said.add(what)
            log.warning(text)


def focal_change(points: np.ndarray, pixels: np.ndarray, pinhole: Pinhole) -> tuple[float, float]:
    """Return by which part the focal length would have to grow, and the deviation of that.

    By one step of weighted least squares over the pose and the focal length.

    :param points: (M, 3) landmarks in the camera's frame, as its pose has it; ``pixels`` (M, 2) where they are seen.
    """
    x, y, z = points.T
    zero = np.zeros_like(z)
    by_point = np.stack([np.stack([pinhole.fx / z, zero, -pinhole.fx * x / z**2], 1),
                         np.stack([zero, pinhole.fy / z, -pinhole.fy * y / z**2], 1)], 1)
    by_focal = np.stack([pinhole.fx * x / z, pinhole.fy * y / z], 1)[..., None]
    jacobian = np.concatenate([by_point, by_point @ skew(points), by_focal], 2)
    error = pixels - pinhole.project(points)
    weights = 1 / (1 + (error**2).sum(1) / LOOSE_PX**2)
    # Where distance and focal length cannot be told apart, what is added leaves the second unknown.
    normal = np.einsum('mij,m,mik->jk', jacobian, weights, jacobian) + np.diag([*[1e-6] * 6, 1.0])
    step = np.linalg.solve(normal, np.einsum('mij,m,mi->j', jacobian, weights, error))
    rest = error - jacobian @ step
    variance = (weights * (rest**2).sum(1)).sum() / max(1.0, 2 * weights.sum() - 7)
    return float(step[6]), float(np.sqrt(variance * np.linalg.inv(normal)[6, 6]))
