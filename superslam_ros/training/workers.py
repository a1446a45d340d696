"""The processes that train together: those that torchrun has started, or this one alone; and how they end."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from superslam_ros.models import precision


def pick_device(name: str) -> torch.device:
    """Resolve ``auto``; each process of a machine has a GPU of its own.

    :raises RuntimeError: when CUDA is asked for and absent.
    """
    if name == 'cuda' and not torch.cuda.is_available():
        raise RuntimeError('--device cuda: PyTorch sees no CUDA GPU; use auto or cpu')
    if name == 'auto':
        name = 'cuda' if torch.cuda.is_available() else 'cpu'
    if name == 'cuda':
        torch.cuda.set_device(int(os.environ.get('LOCAL_RANK', 0)))
    return torch.device(name)


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device computes in bfloat16 faster than in float32, not slower.

    A GPU older than Ampere imitates it, and so do most CPUs.
    """
    if device.type == 'cuda':
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return precision.native_bfloat16()


def autocast(device: torch.device) -> torch.autocast:
    """Return the context for forward passes: in bfloat16 where that is faster, else in float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=has_bfloat16(device))


class Workers:
    """One of ``count`` processes; number 0 leads: it validates, and writes the files."""

    def __init__(self, device: torch.device) -> None:
        """Join the others, if torchrun has started this process."""
        self.count, self.number = int(os.environ.get('WORLD_SIZE', 1)), int(os.environ.get('RANK', 0))
        self._device = device
        if self.count > 1 and not dist.is_initialized():
            dist.init_process_group('nccl' if device.type == 'cuda' else 'gloo')

    def wait(self) -> None:
        """Wait until all are here."""
        if self.count > 1:
            dist.barrier()

    def part(self) -> None:
        """Leave the others; a process that ends without may be aborted by the threads that it still has.

        Nothing must hold the group any more, as what :meth:`together` returned does, or its threads go on.
        """
        if self.count > 1 and dist.is_initialized():
            gc.collect()
            dist.destroy_process_group()

    @property
    def leads(self) -> bool:
        """Whether this is the process that validates and writes."""
        return self.number == 0

    def share(self, batch: int) -> int:
        """Return how much of a batch is this process's."""
        return max(1, batch // self.count)

    def seed(self, seed: int, step: int = 0) -> int:
        """Return a seed that no other process has, another one at every step."""
        return seed + self.number * 1_000_003 + step * 1_009

    def together(self, module: nn.Module) -> nn.Module:
        """Return the module with its gradients averaged over all processes (DistributedDataParallel)."""
        return DistributedDataParallel(module) if self.count > 1 else module

    def agreed(self, figures: Sequence[float], stop: bool) -> tuple[list[float], bool]:
        """Return figures (0 or more) as the leading process has them, and whether any process is to stop."""
        if self.count == 1:
            return list(figures), stop
        told = torch.tensor([*(figures if self.leads else [0.0] * len(figures)), stop],
                            dtype=torch.float64, device=self._device)
        dist.all_reduce(told, dist.ReduceOp.MAX)
        *figures, stop = told.tolist()
        return figures, bool(stop)


class Interrupt:
    """Ctrl-C and SIGTERM, which wait until a step is done; a second one does not.

    :ivar asked: whether there was one.
    """

    def __init__(self) -> None:
        """Begin to listen at ``with``, and only in the main thread, where Python has signals."""
        self.asked, self._since, self._at_once = False, 0.0, False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        """Listen."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        """Leave it to who listened before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, *_: object) -> None:
        # torchrun hands on the Ctrl-C of a terminal, which its processes may have heard already.
        again = self.asked and time.monotonic() - self._since > 1
        if not self.asked:
            self.asked, self._since = True, time.monotonic()
        if again or self._at_once:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Do not wait within this block, by whose end nothing is lost."""
        self._at_once = True
        try:
            if self.asked:
                raise KeyboardInterrupt
            yield
        finally:
            self._at_once = False


class Loss(nn.Module):
    """A stage's loss as a module, which DistributedDataParallel wants."""

    def __init__(self, stage: Any) -> None:
        """Take the stage's network as a part."""
        super().__init__()
        self.network, self._loss = stage.model, stage.loss

    def forward(self, made: Any) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a batch, and figures for the log."""
        return self._loss(made)
