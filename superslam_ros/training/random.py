"""One seeded source of random tensors, on one device, with a state that can be saved."""

from __future__ import annotations

import torch
from torch import Tensor


class Rng:
    """A torch.Generator with the few draws that training needs."""

    def __init__(self, seed: int, device: torch.device | str = 'cpu') -> None:
        """Seed it; the same seed and device give the same numbers."""
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Return float32 draws from [low, high)."""
        return torch.rand(shape, generator=self.generator, device=self.device) * (high - low) + low

    def normal(self, *shape: int) -> Tensor:
        """Return standard normal float32 draws."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Return int64 draws from 0 to ``high - 1``."""
        return torch.randint(high, shape, generator=self.generator, device=self.device)

    def sign(self, *shape: int) -> Tensor:
        """Return -1 or 1 with equal probability."""
        return torch.where(self.uniform(0, 1, *shape) < 0.5, -1.0, 1.0)

    def chance(self, probability: float, *shape: int) -> Tensor:
        """Return booleans that are true with ``probability``."""
        return self.uniform(0, 1, *shape) < probability
