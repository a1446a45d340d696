"""Weights between old and new ones (Wortsman et al., CVPR 2022): less is learned, and less forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from superslam_ros.models import checkpoint


def write(old: Path, new: Path, share: float, out: Path, about: Mapping[str, str] | None = None) -> None:
    """Write weights so far from the old to the new ones; tensors that only the new ones have stay as they are.

    :param share: 0 for the old ones, 1 for the new ones.
    :param about: metadata, besides those of the new ones.
    :raises ValueError: when they are not of one network; OSError when the file cannot be written.
    """
    before, after = checkpoint.load_state(old), checkpoint.load_state(new)
    for name, tensor in before.items():
        if name not in after or after[name].shape != tensor.shape:
            raise ValueError(f'{new}: tensor {name} is not as in {old}: weights of another network')
    mixed = {name: torch.lerp(before[name], tensor, share) if name in before and tensor.is_floating_point() else tensor
             for name, tensor in after.items()}
    checkpoint.save(mixed, out, {**checkpoint.metadata(new), **(about or {})})
