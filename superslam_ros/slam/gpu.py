"""What the GPU in use tells about itself, and what is done when it is full."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import torch


class OutOfMemory(RuntimeError):
    """The GPU cannot hold even the least that a frame needs."""

    reason = 'GPU out of memory'


def upload(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """Return an array as a tensor on a device; a GPU takes it from pinned memory, while the host goes on."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == 'cuda' else tensor


def release() -> None:
    """Give back what PyTorch holds and does not use, after it has run out of memory."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def name() -> str:
    """Return the name of the GPU in use; empty without one."""
    return torch.cuda.get_device_name() if torch.cuda.is_initialized() else ''


def values() -> dict[str, str]:
    """Return memory and, where the driver tells, temperature of the GPU in use; nothing without one."""
    if not torch.cuda.is_initialized():
        return {}
    free, total = torch.cuda.mem_get_info()
    told = {'GPU memory of all (MiB)': f'{(total - free) >> 20} of {total >> 20}',
            'GPU memory of this process (MiB)': str(torch.cuda.memory_reserved() >> 20)}
    temperature = temperature_c()
    if temperature is not None:
        told['GPU temperature (C)'] = f'{temperature:.0f}'
    return told


def temperature_c(zones: Path = Path('/sys/class/thermal')) -> float | None:
    """Return degrees Celsius from the kernel (Jetson), or from the driver where the package pynvml is installed."""
    for zone in zones.glob('thermal_zone*'):
        with suppress(OSError, ValueError):     # it may be asleep
            if 'gpu' in (zone / 'type').read_text().lower():
                return int((zone / 'temp').read_text()) / 1000
    with suppress(Exception):       # of the driver's library, which has its own; no temperature is worth a node
        return float(torch.cuda.temperature())
    return None
