"""SuperPoint while it is trained: batch normalisation behind every convolution, folded away on export."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from superslam_ros.models import checkpoint
from superslam_ros.models.superpoint import LAYERS, SuperPoint

HEADS = ('convPb', 'convDb')


class TrainableSuperPoint(SuperPoint):
    """SuperPoint with batch normalisation between convolution and ReLU."""

    def __init__(self) -> None:
        """Make the layers, weights drawn for ReLU networks (He initialisation)."""
        super().__init__()
        inner = [name for name in LAYERS if name not in HEADS]
        self.norms = nn.ModuleDict({name: nn.BatchNorm2d(LAYERS[name][1]) for name in inner})
        for name in inner:
            nn.init.kaiming_normal_(getattr(self, name).weight, nonlinearity='relu')

    def activation(self, name: str, x: Tensor) -> Tensor:
        """Convolution ``name``, normalised, then ReLU."""
        return F.relu(self.norms[name](getattr(self, name)(x)), inplace=True)

    @torch.no_grad()
    def begin_from(self, weights: Path, images: Tensor) -> None:
        """Start as a plain :class:`SuperPoint`: every normalisation undoes itself on typical images.

        :param images: (B, 1, H, W) in [0, 1], as training will see them.
        :raises FileNotFoundError, ValueError: when the weights are missing, or not a SuperPoint's.
        """
        plain = SuperPoint()
        checkpoint.load_into(plain, weights)
        self.load_state_dict(plain.state_dict(), strict=False)

        def measure(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
            mean, variance = inputs[0].float().mean((0, 2, 3)), inputs[0].float().var((0, 2, 3))
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.copy_(mean)

        hooks = [norm.register_forward_pre_hook(measure) for norm in self.norms.values()]
        self.eval()
        encoded = self.encode(images)
        self.detect(encoded)
        self.describe(encoded)
        for hook in hooks:
            hook.remove()

    def folded(self) -> dict[str, Tensor]:
        """Return the weights of the plain :class:`SuperPoint` that computes the same in evaluation mode."""
        state = {}
        for name in LAYERS:
            layer = getattr(self, name)
            weight, bias = layer.weight.detach(), layer.bias.detach()
            if name in self.norms:
                norm = self.norms[name]
                scale = norm.weight.detach() * torch.rsqrt(norm.running_var + norm.eps)
                weight = weight * scale[:, None, None, None]
                bias = (bias - norm.running_mean) * scale + norm.bias.detach()
            state[f'{name}.weight'], state[f'{name}.bias'] = weight, bias
        return state
