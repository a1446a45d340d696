"""The networks that find and describe keypoints: which one a file holds, its tensors say."""

from __future__ import annotations

import os

from superslam_ros.models import checkpoint, runtime
from superslam_ros.models.compact import CompactSuperPoint
from superslam_ros.models.runtime import OnnxSuperPoint
from superslam_ros.models.superpoint import SuperPoint


def load(path: str | os.PathLike) -> SuperPoint | CompactSuperPoint:
    """Return the network of a checkpoint in evaluation mode: the paper's, as the published weights, or a compact one.

    :raises FileNotFoundError: naming the file.
    :raises ValueError: naming the file, when it is damaged or holds another network.
    """
    state = checkpoint.load_state(path)
    network = (CompactSuperPoint if CompactSuperPoint.is_in(state) else SuperPoint).like(state)
    checkpoint.fill(network, state, path)
    return network.eval().requires_grad_(False)


def load_to_run(path: str | os.PathLike) -> SuperPoint | CompactSuperPoint | OnnxSuperPoint:
    """Return the network of a checkpoint, or of a file of ``superslam export`` for ONNX Runtime.

    :raises RuntimeError: when ONNX Runtime is not installed.
    :raises FileNotFoundError, ValueError: as :func:`load` does.
    """
    return OnnxSuperPoint(path) if runtime.is_exported(path) else load(path)
