"""Long work that can be broken off."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch.overrides import TorchFunctionMode

Interrupt = Callable[[], None]
"""Called many times during long work; it ends the work by raising."""


def go_on() -> None:
    """Never end the work."""


def interruptible(interrupt: Interrupt, when: bool = True) -> AbstractContextManager[Any]:
    """Have ``interrupt`` called before every operation of PyTorch that this thread does inside the block.

    That takes some microseconds for each: ``when`` tells whether the operations are long enough to be worth it.
    """
    return _Interruptible(interrupt) if when and interrupt is not go_on else nullcontext()


class _Interruptible(TorchFunctionMode):
    def __init__(self, interrupt: Interrupt) -> None:
        super().__init__()
        self._interrupt = interrupt

    def __torch_function__(
        self, function: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        self._interrupt()
        return function(*args, **(kwargs or {}))
