"""The networks as they are trained: normalisation, and branches beside a convolution, are folded away on export."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from superslam_ros.models import checkpoint, stability
from superslam_ros.models.board_corners import BoardCorners
from superslam_ros.models.board_refine import BoardRefine
from superslam_ros.models.compact import CompactSuperPoint
from superslam_ros.models.superpoint import SuperPoint

HEADS = ('convPb', 'convDb', stability.LAST)


class TrainableSuperPoint(SuperPoint):
    """SuperPoint with batch normalisation between convolution and ReLU."""

    def __init__(self, stable: int = 0) -> None:
        """Make the layers, weights drawn for ReLU networks (He initialisation).

        :param stable: channels of a stability head; 0 for none.
        """
        super().__init__(stable)
        inner = [name for name in self.layers if name not in HEADS]
        self.norms = nn.ModuleDict({name: nn.BatchNorm2d(self.layers[name][1]) for name in inner})
        for name in inner:
            nn.init.kaiming_normal_(getattr(self, name).weight, nonlinearity='relu')

    def activation(self, name: str, x: Tensor) -> Tensor:
        """Convolution ``name``, normalised, then ReLU."""
        return F.relu(self.norms[name](getattr(self, name)(x)), inplace=True)

    def _block_in_strips(self, block: str, x: Tensor) -> Tensor:
        """Take the block whole: what is measured before a normalisation is to be measured of the image."""
        return self._block(block, x)

    @torch.no_grad()
    def begin_from(self, weights: Path, images: Tensor) -> None:
        """Start as a plain :class:`SuperPoint`: every normalisation undoes itself on typical images.

        A stability head that the weights do not have begins anew; one that this network does not have stays behind.

        :param images: (B, 1, H, W) in [0, 1], as training will see them.
        :raises FileNotFoundError, ValueError: when the weights are missing, or not a SuperPoint's.
        """
        self.load_state_dict(checkpoint.load_like(SuperPoint, weights).state_dict(), strict=False)
        _undo_themselves(self, list(self.norms.values()), images)

    def folded(self) -> dict[str, Tensor]:
        """Return the weights of the plain :class:`SuperPoint` that computes the same in evaluation mode."""
        return _folded(self, self.layers)


class TrainableCompact(CompactSuperPoint):
    """The compact network as it is trained: branches beside every 3x3 convolution, each normalised, then their sum.

    A 1x1 convolution, and where the shapes allow it the input itself (RepVGG, arXiv 2101.03697, section 3.2).
    """

    def __init__(self, *widths: Any, **named: int) -> None:
        """Make the layers, weights drawn for ReLU networks (He initialisation)."""
        super().__init__(*widths, **named)
        self.inner = [name for name in self.layers if name not in HEADS]
        for name in self.inner:
            channels_in, channels_out, kernel, stride = self.layers[name]
            nn.init.kaiming_normal_(getattr(self, name).weight, nonlinearity='relu')
            branches = {'wide': nn.BatchNorm2d(channels_out)}
            if kernel > 1:
                branches['point'] = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
                branches['narrow'] = nn.BatchNorm2d(channels_out)
            if channels_in == channels_out and stride == 1:
                branches['same'] = nn.BatchNorm2d(channels_in)
            setattr(self, f'{name}_branches', nn.ModuleDict(branches))

    @torch.no_grad()
    def begin_from(self, weights: Path, images: Tensor) -> None:
        """Start as a plain :class:`CompactSuperPoint`: the other branches add nothing at first.

        Weights of a narrower network are taken, too: what is new begins without a say. So are those with a stability
        head, which stays behind where this network has none; one that the weights do not have begins anew.

        :param images: (B, 1, H, W) in [0, 1], as training will see them.
        :raises FileNotFoundError, ValueError: when the weights are missing, or not those of a compact network.
        """
        state = checkpoint.load_state(weights)
        state = state if hasattr(self, stability.HIDDEN) else stability.without(state)
        plain = CompactSuperPoint.like(state)
        checkpoint.fill(plain, state, weights)
        own = self.state_dict()
        try:
            if len(plain.widths) != len(self.widths):
                raise KeyError(f'conv{len(plain.widths) + 1}')
            self.load_state_dict({name: _widened(tensor, own[name]) for name, tensor in plain.state_dict().items()},
                                 strict=False)
        except (KeyError, RuntimeError) as error:
            raise ValueError(f'weights {weights}: a compact network of other layers or more channels') from error
        wide = []
        for name in self.inner:
            branches = getattr(self, f'{name}_branches')
            wide.append(branches['wide'])
            for other in ('narrow', 'same'):
                if other in branches:
                    nn.init.zeros_(branches[other].weight)
        _undo_themselves(self, wide, images)

    def activation(self, name: str, x: Tensor) -> Tensor:
        """The branches of convolution ``name``, then ReLU."""
        branches = getattr(self, f'{name}_branches')
        y = branches['wide'](getattr(self, name)(x))
        if 'point' in branches:
            y = y + branches['narrow'](branches['point'](x))
        if 'same' in branches:
            y = y + branches['same'](x)
        return F.relu(y, inplace=True)

    def folded(self) -> dict[str, Tensor]:
        """Return the weights of the plain :class:`CompactSuperPoint` that computes the same in evaluation mode."""
        state = {}
        for name in self.layers:
            layer = getattr(self, name)
            weight, bias = layer.weight.detach(), layer.bias.detach()
            if name in self.inner:
                branches = getattr(self, f'{name}_branches')
                weight, bias = _fold(weight, bias, branches['wide'])
                others = []
                if 'point' in branches:
                    point = F.pad(branches['point'].weight.detach(), (1, 1, 1, 1))
                    others.append(_fold(point, torch.zeros_like(bias), branches['narrow']))
                if 'same' in branches:
                    itself = F.pad(torch.eye(len(bias), device=bias.device)[..., None, None], (1, 1, 1, 1))
                    others.append(_fold(itself, torch.zeros_like(bias), branches['same']))
                weight, bias = (sum(part) for part in zip((weight, bias), *others))
            state[f'{name}.weight'], state[f'{name}.bias'] = weight, bias
        return state


def _widened(given: Tensor, own: Tensor) -> Tensor:
    """Return a layer's tensor with more channels: outputs that are new are as in ``own``, new inputs have no weight."""
    widened = own.clone()
    if given.ndim > 1:
        widened[:len(given)] = 0
        widened[:len(given), :given.shape[1]] = given
    else:
        widened[:len(given)] = given
    return widened


class TrainableBoardCorners(BoardCorners):
    """The network for corners of boards with batch normalisation between convolution and ReLU."""

    def __init__(self, ids: int = 0) -> None:
        """Make the layers, weights drawn for ReLU networks (He initialisation)."""
        super().__init__(ids=ids)
        inner = [name for name in self.layers if name not in ('boardB', 'boardI')]
        self.norms = nn.ModuleDict({name: nn.BatchNorm2d(self.layers[name][1]) for name in inner})
        for name in inner:
            nn.init.kaiming_normal_(getattr(self, name).weight, nonlinearity='relu')

    def begin_from(self, weights: Path, images: Tensor) -> None:
        """Start as a plain :class:`BoardCorners`, whose normalisations undo themselves; ids are learnt anew.

        :param images: (B, 1, H, W) in [0, 1], as training will see them.
        :raises FileNotFoundError, ValueError: when the weights are missing, or not of such a network.
        """
        state, plain = checkpoint.load_state(weights), BoardCorners()
        checkpoint.fill(plain, {name: tensor for name, tensor in state.items() if name[:6] not in ('boardC', 'boardI')},
                        weights)
        self.load_state_dict(plain.state_dict(), strict=False)
        _undo_themselves(self, [norm for name, norm in self.norms.items() if name != 'boardC'], images)

    def activation(self, name: str, x: Tensor) -> Tensor:
        """Convolution ``name``, normalised, then ReLU."""
        return F.relu(self.norms[name](getattr(self, name)(x)), inplace=True)

    def folded(self) -> dict[str, Tensor]:
        """Return the weights of the plain :class:`BoardCorners` that computes the same in evaluation mode."""
        return _folded(self, self.layers)


class TrainableBoardRefine(BoardRefine):
    """The network for positions between pixels with batch normalisation between convolution and ReLU."""

    def __init__(self) -> None:
        """Make the layers, weights drawn for ReLU networks (He initialisation)."""
        super().__init__()
        self.norms = nn.ModuleDict({name: nn.BatchNorm2d(shape[1]) for name, shape in self.convolutions.items()})
        for name in self.convolutions:
            nn.init.kaiming_normal_(getattr(self, name).weight, nonlinearity='relu')

    def begin_from(self, weights: Path, patches: Tensor) -> None:
        """Start as a plain :class:`BoardRefine`, whose normalisations undo themselves on patches (B, 1, 24, 24).

        :raises FileNotFoundError, ValueError: when the weights are missing, or not of such a network.
        """
        plain = BoardRefine()
        checkpoint.load_into(plain, weights)
        self.load_state_dict(plain.state_dict(), strict=False)
        _undo_themselves(self, list(self.norms.values()), patches)

    def activation(self, name: str, x: Tensor) -> Tensor:
        """Convolution ``name``, normalised, then ReLU."""
        return F.relu(self.norms[name](getattr(self, name)(x)), inplace=True)

    def folded(self) -> dict[str, Tensor]:
        """Return the weights of the plain :class:`BoardRefine` that computes the same in evaluation mode."""
        return _folded(self, [*self.convolutions, 'refineA', 'refineB'])


def _folded(network: nn.Module, names: Iterable[str]) -> dict[str, Tensor]:
    """Return the convolutions ``names`` with the normalisations of ``network.norms`` in them."""
    state = {}
    for name in names:
        layer = getattr(network, name)
        weight, bias = layer.weight.detach(), layer.bias.detach()
        if name in network.norms:
            weight, bias = _fold(weight, bias, network.norms[name])
        state[f'{name}.weight'], state[f'{name}.bias'] = weight, bias
    return state


def _fold(weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a convolution with the normalisation behind it."""
    scale = norm.weight.detach() * torch.rsqrt(norm.running_var + norm.eps)
    return weight * scale[:, None, None, None], (bias - norm.running_mean) * scale + norm.bias.detach()


@torch.no_grad()
def _undo_themselves(network: nn.Module, norms: list[nn.BatchNorm2d], images: Tensor) -> None:
    """Let every normalisation return what it gets, on images as typical as (B, 1, H, W)."""
    def measure(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        mean, variance = inputs[0].float().mean((0, 2, 3)), inputs[0].float().var((0, 2, 3))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(mean)

    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    network.eval()(images)
    for hook in hooks:
        hook.remove()
