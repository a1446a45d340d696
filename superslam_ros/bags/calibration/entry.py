"""One camera of a file, and where it is among the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from superslam_ros import conversions
from superslam_ros.data import Camera

NO_R_OR_P = np.zeros(0)


@dataclass(frozen=True)
class Entry:
    """A camera of a file.

    :ivar name: by which it can be told from the others, such as ``cam0`` or a number; ``topic`` does so, too.
    :ivar camera: without R and P where ``T_camera_first`` takes their place.
    :ivar T_camera_first: (4, 4) from the first camera of the file to this one; None where the file does not say it.
    """

    name: str
    camera: Camera
    T_camera_first: np.ndarray | None = None
    topic: str = ''


def plain_camera(
    size: tuple[int, int], intrinsics: Any, coefficients: Any, model: str, name: str, centre: float = 0.0,
) -> Camera:
    """Return a camera of raw images.

    :param intrinsics: fx, fy, cx, cy in pixels; ``centre``: where the centre of the first pixel is in their
        coordinates.
    :raises ValueError: naming what is wrong.
    """
    fx, fy, cx, cy = np.asarray(intrinsics, np.float64)
    K = np.array([[fx, 0, cx - centre], [0, fy, cy - centre], [0, 0, 1]])
    return conversions.make_camera(
        *size, K, np.asarray(coefficients, np.float64).reshape(-1), model, NO_R_OR_P, NO_R_OR_P, name)
