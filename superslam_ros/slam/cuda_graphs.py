"""Work of fixed shapes on a GPU, recorded once and played again: the host launches it as one, not kernel by kernel."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from superslam_ros.slam import gpu
from superslam_ros.slam.decode import Decoded

log = logging.getLogger(__name__)
Work = Callable[[Tensor], list[Decoded]]
MOST = 4
"""Shapes that are recorded; each keeps the memory of its own intermediate results."""
ALIKE = 1e-2
"""Results of the first replay are nearer than this to those of the work itself, or graphs are not used."""
_WARM_UP = 3


def record(work: Work, example: Tensor) -> Work:
    """Return what does the same as ``work`` for tensors of the shape and type of an example, by a CUDA graph.

    Other threads may use the GPU meanwhile: only what this one does is restricted while it records.

    :param work: without steps that wait for the GPU, and with shapes that do not depend on what is in the tensor.
    :raises RuntimeError: when it cannot be recorded.
    """
    if 'capture_error_mode' not in inspect.signature(torch.cuda.graph.__init__).parameters:
        raise RuntimeError('PyTorch 2.1 or later is needed')
    given, stream, graph = example.clone(), torch.cuda.Stream(), torch.cuda.CUDAGraph()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):     # what is allocated or chosen at a first call is no part of the graph
        for _ in range(_WARM_UP):
            work(given)
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph, stream=stream, capture_error_mode='thread_local'):
        kept = work(given)

    def replay(tensor: Tensor) -> list[Decoded]:
        given.copy_(tensor)
        graph.replay()
        # The next replay writes into the same memory.
        return [Decoded(*(part if part is None else part.clone() for part in one)) for one in kept]

    return replay


class Recorded:
    """Does work by graphs where that is possible, and as it is where it is not."""

    def __init__(self, recorder: Callable[[Work, Tensor], Work] = record) -> None:
        """Begin without graphs.

        :param recorder: makes them.
        """
        self._recorder, self._failed = recorder, False
        self._settings: Any = None
        self._known: dict[tuple[int, ...], Work | None] = {}

    def __call__(self, work: Work, tensor: Tensor, settings: Any) -> list[Decoded]:
        """Return ``work(tensor)``; from the third tensor of a shape on by a graph, for :data:`MOST` shapes.

        :param settings: all else that the result depends on; when they change, the graphs are made anew.
        """
        if settings != self._settings:
            self._settings = settings
            self._known.clear()
        shape = tuple(tensor.shape)
        replay = self._known.get(shape)
        if replay is not None:
            return replay(tensor)
        if not self._failed and shape in self._known:
            return self._first(work, tensor)
        if not self._failed and len(self._known) < MOST:
            self._known[shape] = None       # images of a camera come again
        return work(tensor)

    def _first(self, work: Work, tensor: Tensor) -> list[Decoded]:
        """Make the graph of a shape."""
        expected = work(tensor)
        try:
            replay = self._recorder(work, tensor)
            if not all(torch.allclose(*parts, atol=ALIKE) for pair in zip(replay(tensor), expected)
                       for parts in zip(*pair) if parts[0] is not None):
                raise RuntimeError('a replay gave something else')
            self._known[tuple(tensor.shape)] = replay
        except RuntimeError as error:
            self._failed = True
            self._known.clear()
            gpu.release()
            log.warning('no CUDA graphs are used, which is slower: %s', error)
        return expected
