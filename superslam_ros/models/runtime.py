"""An exported extractor in place of PyTorch's: a ``.onnx`` file of ``superslam export``, run by ONNX Runtime.

On a CPU it computes in int8, which PyTorch does not. Sums are exact and in one order, so the same machine gives the
same bytes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from superslam_ros.models import precision
from superslam_ros.models.superpoint import score_map

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

SUFFIX = '.onnx'
_OTHERS = ('.xml', '.bin', '.engine', '.trt', '.plan', '.hef', '.blob')
"""What other runtimes read."""
_REMEDY = f'give the {SUFFIX} that `superslam export` has written'


class OnnxSuperPoint(nn.Module):
    """The same interface as :class:`~superslam_ros.models.superpoint.SuperPoint`, on a CPU."""

    def __init__(self, path: str | os.PathLike) -> None:
        """Read a file.

        :raises RuntimeError: when ONNX Runtime is not installed.
        :raises FileNotFoundError, ValueError: naming the file, when it is missing, damaged, or not an extractor that
            this package has exported for images of any size.
        """
        super().__init__()
        self._session = session(path)
        about = self._session.get_modelmeta().custom_metadata_map
        if about.get('what') != 'extractor':
            raise ValueError(f'weights file {path} is not an extractor of superslam_ros: {_REMEDY}')
        if about.get('size') != 'dynamic':
            raise ValueError(f'weights file {path} takes images of {about.get("size")} only, and an image is searched '
                             'in several sizes: export it with --size dynamic')
        self.precision = about['precision']

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return what SuperPoint does of (B, 1, H, W)."""
        found = self._session.run(None, {'image': np.ascontiguousarray(image.numpy())})
        logits, descriptors, *stable = (torch.from_numpy(part) for part in found)
        return score_map(logits), F.normalize(descriptors, dim=1), *stable


def is_exported(path: str | os.PathLike) -> bool:
    """Return whether a weights file is a whole network, for ONNX Runtime.

    :raises ValueError: for a file of another runtime, with the remedy.
    """
    if Path(path).suffix in _OTHERS:
        raise ValueError(f'weights file {path} is for other programs: give the .safetensors or .pth that it was made '
                         f'of or, of an extractor, the {SUFFIX} that `superslam export` has written')
    return Path(path).suffix == SUFFIX


def metadata(path: str | os.PathLike) -> dict[str, str]:
    """Return what an exported network says about itself.

    :raises RuntimeError, FileNotFoundError, ValueError: as :class:`OnnxSuperPoint` does.
    """
    return dict(session(path).get_modelmeta().custom_metadata_map)


def session(path: str | os.PathLike) -> InferenceSession:
    """Return what runs a .onnx file on the CPU, on as many threads as PyTorch has.

    :raises RuntimeError, FileNotFoundError, ValueError: as :class:`OnnxSuperPoint` does.
    """
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state
    except ImportError as error:
        raise RuntimeError(f'{path}: ONNX Runtime runs such a file, and is not installed: pip install onnxruntime '
                           f'({error})') from error
    if not Path(path).is_file():
        raise FileNotFoundError(f'weights file {path} does not exist')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.log_severity_level = 3
    # Threads that wait for the next image do so asleep.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    # Where sums of products could overflow: ways that take twice as long.
    options.add_session_config_entry('session.x64quantprecision', '0' if precision.native_int8() else '1')
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    except (state.Fail, state.InvalidProtobuf, state.InvalidGraph, state.InvalidArgument, state.NotImplemented,
            state.RuntimeException, UnicodeDecodeError) as error:
        raise ValueError(f'weights file {path} cannot be read by ONNX Runtime: it is damaged, or no network '
                         f'({str(error).splitlines()[0]})') from error
