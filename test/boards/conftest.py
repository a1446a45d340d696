"""Corners as a network would find them, made of exact ones."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from superslam_ros.worlds.boards import BoardView


class FoundCorners:
    """Gives the corners of a rendered view, with noise, some of them missing, and some false ones."""

    def __init__(self, view: BoardView, noise_px: float = 0.5, missing: float = 0.1, false: int = 4, seed: int = 0):
        rng = np.random.default_rng(seed)
        height, width = view.image.shape
        corners = np.concatenate(view.pixels)
        with np.errstate(invalid='ignore'):
            corners = corners[((corners > 1) & (corners < [width - 2, height - 2])).all(axis=1)]
        corners = corners[rng.random(len(corners)) >= missing]
        corners = corners + rng.normal(0, noise_px, corners.shape)
        self.found = SimpleNamespace(
            pixels=np.concatenate([corners, rng.uniform(0, 1, (false, 2)) * [width, height]]),
            scores=np.concatenate([rng.uniform(0.4, 1, len(corners)), rng.uniform(0.1, 0.5, false)]))

    def __call__(self, gray: np.ndarray) -> SimpleNamespace:
        return self.found


@pytest.fixture
def found_corners() -> type[FoundCorners]:
    """Return the class of the corner detectors that know the answer."""
    return FoundCorners
