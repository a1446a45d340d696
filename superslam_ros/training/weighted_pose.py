"""The pose that weighted matches of points and pixels give, differentiable in the weights.

What a match is worth is what it does to the pose (end to end through the solver: arXiv 2205.01694, section 3.3, there
by the weighted eight-point algorithm and bundle adjustment; here by Gauss and Newton on reprojection errors).
"""

from __future__ import annotations

import torch
from torch import Tensor

from superslam_ros.training.data import scenes

_STEPS = 3
_DAMPING = 1e-3
_SCALE_PX = 4.0
"""From here on, errors lose their weight (Geman and McClure), as in geometry.pnp."""


def refine(points: Tensor, pixels: Tensor, weights: Tensor, K: Tensor, T_camera_map: Tensor) -> Tensor:
    """Return poses (B, 4, 4) after a few steps of Gauss and Newton from given ones.

    :param points: (B, M, 3) in the map; ``pixels`` (B, M, 2) that show them; ``weights`` (B, M) 0 and more.
    :param K: (B, 3, 3); ``T_camera_map`` (B, 4, 4) where to begin.
    """
    T = T_camera_map
    for _ in range(_STEPS):
        at = points @ T[:, :3, :3].mT + T[:, None, :3, 3]
        z = at[..., 2].clamp_min(1e-2)
        across = at[..., :2] / z[..., None]
        focal = K[:, None, [0, 1], [0, 1]]
        error = (across * focal + K[:, None, :2, 2] - pixels) / _SCALE_PX
        trust = weights * (1 + error.square().sum(-1)).detach()**-2 * (at[..., 2] > 1e-2)
        jacobian = _by_pose(at, across, z) * (focal / _SCALE_PX)[..., None]
        weighted = jacobian * trust[..., None, None]
        information = torch.einsum('bnij,bnik->bjk', weighted, jacobian)
        gradient = torch.einsum('bnij,bni->bj', weighted, error)
        damping = _DAMPING * information.detach().diagonal(dim1=1, dim2=2) + _DAMPING
        step = torch.linalg.solve(information + torch.diag_embed(damping), -gradient)
        T = _moved(T, step)
    return T


def _by_pose(at: Tensor, across: Tensor, z: Tensor) -> Tensor:
    """Return (B, M, 2, 6): normalised coordinates by a small translation and turn of the points in the camera."""
    zero, (x, y, depth), (u, v) = torch.zeros_like(z), at.unbind(-1), across.unbind(-1)
    by_point = torch.stack([torch.stack([1 / z, zero, -u / z], -1), torch.stack([zero, 1 / z, -v / z], -1)], -2)
    turn = torch.stack([zero, depth, -y, -depth, zero, x, y, -x, zero], -1).unflatten(-1, (3, 3))
    return torch.cat([by_point, by_point @ turn], -1)


def _moved(T: Tensor, step: Tensor) -> Tensor:
    turned = scenes.rotation(*step[:, 3:].unbind(1)) @ T[:, :3]
    turned = turned + torch.nn.functional.pad(step[:, :3, None], (3, 0))
    return torch.cat([turned, T[:, 3:]], 1)


def error(T_camera_map: Tensor, true: Tensor, depth: Tensor) -> Tensor:
    """Return (B,) how far poses (B, 4, 4) are off: the turn in radians plus the way as a part of (B,) depths."""
    relative = T_camera_map @ torch.linalg.inv(true)
    turn = (relative[:, :3, :3] - torch.eye(3, device=true.device)).square().sum((1, 2)) / 2
    way = relative[:, :3, 3].square().sum(1) / depth.square()
    return (turn + way + 1e-10).sqrt()
