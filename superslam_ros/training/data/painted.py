"""Painted pictures in the place of photographs, for who has none: surfaces of rendered worlds."""

from __future__ import annotations

import numpy as np
import torch

from superslam_ros.training.data.textures import Textures
from superslam_ros.worlds import paint

COUNT = 48
SIZE = (480, 640)
_PAINTERS = (paint.wall, paint.floor, paint.ceiling, paint.crate)
_TEXELS_PER_METRE = (120, 320)


def textures(device: torch.device, seed: int = 0, count: int = COUNT) -> Textures:
    """Return pictures of 480x640 pixels, the same for a seed."""
    rng = np.random.default_rng([seed, 26])
    pictures = []
    for number in range(count):
        scale = rng.uniform(*_TEXELS_PER_METRE)
        size_m = SIZE[1] / scale, SIZE[0] / scale
        pictures.append(_PAINTERS[number % len(_PAINTERS)](size_m, scale, rng))
    return Textures(torch.from_numpy(np.stack(pictures)).to(device))
