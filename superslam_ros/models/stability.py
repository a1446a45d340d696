"""The stability head: which cells of an image show what stays where it is (arXiv 1812.03245, section 5).

A 3x3 convolution on the shared encoder and a 1x1 convolution to two logits a cell, of what is unstable and of what is
stable. Weights may have it, as the tensors ``convSa.*`` and ``convSb.*``; those of the paper (arXiv 1712.07629), and
all that have learnt from single photographs, do not.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

HIDDEN, LAST = 'convSa', 'convSb'
WIDTH, COMPACT_WIDTH = 256, 48
"""Channels between the two convolutions: the paper's, and those of a head for the compact network."""
LOGITS = 2
STABLE = 1
"""Number of the logit of what is stable."""


def width(state: Mapping[str, Tensor]) -> int:
    """Return the channels of the head that a checkpoint's tensors have, 0 where they have none."""
    return len(state.get(f'{HIDDEN}.weight', ()))


def without(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a checkpoint's tensors less those of the head."""
    return {name: tensor for name, tensor in state.items() if name.split('.')[0] not in (HIDDEN, LAST)}


def layers(channels: int, width: int) -> dict[str, tuple[int, int, int]]:
    """Return name -> (channels in, channels out, kernel) of a head of ``width`` on so many channels; 0: of none."""
    return {HIDDEN: (channels, width, 3), LAST: (width, LOGITS, 1)} if width else {}


def logits(network: nn.Module, encoded: Tensor) -> list[Tensor]:
    """Return (B, 2, h, w) of what all heads see (B, C, h, w); nothing where the network has no such head.

    :param network: with the layers as its attributes, and ``activation(name, x)``.
    """
    if not hasattr(network, HIDDEN):
        return []
    return [getattr(network, LAST)(network.activation(HIDDEN, encoded))]
