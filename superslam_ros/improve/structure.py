"""Structure: where the cameras and the points of all tracks are, so that all pixels agree best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Structure:
    """What F frames and T tracks with M observations have come to.

    :ivar T_world_camera: (F, 4, 4) adjusted poses; those of frames without one are as they were.
    :ivar points: (T, 3) in the world, NaN where none could be found.
    :ivar errors: (M,) pixels, distance of every observation from its point's projection; NaN without a point, infinite
        behind the camera.
    :ivar parallax_deg: (T,) largest angle between the rays of a point; 0 without one.
    :ivar noise_px: by how much a keypoint that is well seen is off, as the recording has it: the median over tracks of
        their mean error.
    """

    T_world_camera: np.ndarray
    points: np.ndarray
    errors: np.ndarray
    parallax_deg: np.ndarray
    noise_px: float
