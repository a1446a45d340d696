"""Rotation between two views of a camera that only turned."""

from __future__ import annotations

import numpy as np


def rotation_between(
    rays0: np.ndarray, rays1: np.ndarray, threshold_rad: float, rounds: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """Fit R_0_1 with ``ray0 ~ R_0_1 ray1`` to rays (N, 3), dropping those that disagree.

    Orthogonal Procrustes (Kabsch 1976) on unit vectors, repeated on the rays within the threshold, which shrinks
    from the median error down to ``threshold_rad``.

    :param rays0: NaN rows agree with nothing; likewise ``rays1``.
    :returns: R_0_1 (3, 3) and (N,) bool, the rays that agree.
    """
    unit0, unit1 = (rays / np.linalg.norm(rays, axis=1, keepdims=True) for rays in (rays0, rays1))
    # Of a very wide lens, what lies beside the ideal camera has no ray.
    agree, R = np.isfinite(unit0).all(1) & np.isfinite(unit1).all(1), np.eye(3)
    for _ in range(rounds):
        if agree.sum() < 3:
            break
        u, _, vt = np.linalg.svd(unit0[agree].T @ unit1[agree])
        R = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
        error = np.linalg.norm(unit0 - unit1 @ R.T, axis=1)
        agree = error < max(threshold_rad, float(np.nanmedian(error)))
    return R, np.linalg.norm(unit0 - unit1 @ R.T, axis=1) < threshold_rad
