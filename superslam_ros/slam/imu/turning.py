"""Rotations from rates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from superslam_ros.geometry.pose import skew


class Turn(NamedTuple):
    """A rotation of the unit.

    ``R`` (3, 3) maps its later axes to its earlier ones; ``per_bias`` (3, 3): an error of the bias turns R, along the
    earlier axes, by minus so much; ``angle`` (rad) is all that it turned, to and fro.
    """

    R: np.ndarray
    per_bias: np.ndarray
    angle: float


def turn(seconds: np.ndarray, rates: np.ndarray) -> Turn:
    """Return the rotation from rates (N, 3) at times (N,); between two, their mean (Woodman, 2007, section 5.1).

    The derivative by the bias is that of Forster et al., On-manifold preintegration, TRO 2017, section VI-C.
    """
    steps, mean = np.diff(seconds), (rates[1:] + rates[:-1]) / 2
    R = turns(seconds, rates)
    per_bias = ((R[1:] + R[:-1]) / 2 * steps[:, None, None]).sum(0)
    return Turn(R[-1], per_bias, float(np.linalg.norm(mean, axis=1) @ steps))


def turns(seconds: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Return the rotations (N, 3, 3) from every time to the first."""
    R = np.concatenate([np.eye(3)[None], exponentials((rates[1:] + rates[:-1]) / 2 * np.diff(seconds)[:, None])])
    reach = 1
    while reach < len(R):       # products of 2, 4, 8... steps; many at a time
        R = np.concatenate([R[:reach], R[:-reach] @ R[reach:]])
        reach *= 2
    return R


def exponentials(vectors: np.ndarray) -> np.ndarray:
    """Return the rotations (N, 3, 3) by axes times angles (N, 3): Rodrigues' formula."""
    square = (vectors**2).sum(1)[:, None, None]
    angle = np.sqrt(square)
    small = angle < 1e-4
    angle = np.where(small, 1.0, angle)
    first = np.where(small, 1 - square / 6, np.sin(angle) / angle)
    second = np.where(small, 0.5 - square / 24, (1 - np.cos(angle)) / angle**2)
    K = skew(vectors)
    return np.eye(3) + first * K + second * (K @ K)
