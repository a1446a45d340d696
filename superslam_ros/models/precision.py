"""In which arithmetic a network runs: half precision where the machine computes in it, not where it imitates it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch

INT8 = 'int8'
"""Of exported extractors only: the file holds the steps of the integers."""
DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}


def pick(name: str, device: torch.device) -> torch.dtype:
    """Resolve ``auto``, and refuse what the device only imitates.

    :param name: ``auto``, one of ``DTYPES``, or ``INT8``.
    :raises RuntimeError: naming the precision and what to use instead.
    """
    if name == 'auto':
        if device.type == 'cuda':
            return torch.float16
        return torch.bfloat16 if native_bfloat16() else torch.float32
    if name == INT8:
        raise RuntimeError('precision int8 is that of a file: give as extractor.weights the .onnx that '
                           '`superslam export --precision int8` writes')
    dtype = DTYPES[name]
    if device.type == 'cpu' and dtype == torch.float16:
        raise RuntimeError('precision float16 is for GPUs: on a CPU use bfloat16, float32 or auto')
    if device.type == 'cpu' and dtype == torch.bfloat16 and not native_bfloat16():
        raise RuntimeError('precision bfloat16: this CPU does not compute in it natively, and would be many times '
                           'slower; use float32 or auto')
    if dtype == torch.bfloat16 and device.type == 'cuda' and torch.cuda.get_device_capability(device) < (8, 0):
        raise RuntimeError('precision bfloat16: this GPU is older than Ampere; use float16 or auto')
    return dtype


@cache
def native_bfloat16() -> bool:
    """Return whether the CPU multiplies in bfloat16 itself (AVX512_BF16, AMX or ARM's BF16), as Linux tells.

    Without, it is twice as slow as float32 with the rest of AVX-512, and seven times with AVX2. So it is where oneDNN
    is kept from AVX-512 (ONEDNN_MAX_CPU_ISA).
    """
    if not getattr(torch.ops.mkldnn, '_is_mkldnn_bf16_supported', lambda: True)():
        return False
    return not {'avx512_bf16', 'amx_bf16', 'bf16'}.isdisjoint(_cpu_flags())


def native_int8() -> bool:
    """Return whether the CPU adds up products of int8 in 32 bits (VNNI, or ARM's dot product), as Linux tells.

    Others add pairs of them in 16 bits, which overflow.
    """
    return not {'avx512_vnni', 'avx_vnni', 'asimddp'}.isdisjoint(_cpu_flags())


def _cpu_flags() -> list[str]:
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return []
    return next((line.split(':', 1)[1].split() for line in lines if line.startswith(('flags', 'Features'))), [])
