"""An exported extractor in int8: steps of the integers from images, and what is lost by it.

Static quantisation: a scale for every channel of the weights, one for every tensor between layers, from the range that
it has on images. The first convolution, which sees single pixels, and the last ones of the detector and of a stability
head, whose outputs go into an exponential, stay float32: in int8 throughout, 14 % of the keypoints of photographs are
lost, so 5 %, in less time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from superslam_ros.models.superpoint import CELL, score_map, select, suppress
from superslam_ros.offline.demo import DemoOptions, render_frames

LONGEST = 640
"""Larger images are made smaller to this (pixels)."""
_ROOMS = 2
_STRONGEST, _BORDER = 500, 4
_LEAST = {'keypoints_kept': 0.8, 'descriptor_cosine': 0.98}


def rendered() -> list[np.ndarray]:
    """Return some images of rendered rooms, (H, W) uint8; photographs served no better."""
    return [frame.image for seed in range(_ROOMS)
            for frame, _ in render_frames(DemoOptions(2, seed, 640, 480, texels_per_metre=160))]


def quantise(file: Path, images: Sequence[np.ndarray]) -> None:
    """Put an int8 network in the place of a .onnx of float32, which keeps what the file says of itself.

    :param images: (H, W) uint8.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.rest = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.rest, None)
            return None if image is None else {'image': as_input(image).numpy()}

    model = onnx.load(str(file))
    convolutions = [node for node in model.graph.node if node.op_type == 'Conv']
    stay = [node.name for node in convolutions if 'image' in node.input or {'logits', 'stability'} & set(node.output)]
    about = {one.key: one.value for one in model.metadata_props}
    ready, target = (file.with_name(f'{file.name}.{step}') for step in ('ready', 'int8'))
    quant_pre_process(str(file), str(ready), skip_symbolic_shape=True)
    quantization.quantize_static(
        str(ready), str(target), Images(), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
        weight_type=quantization.QuantType.QInt8, activation_type=quantization.QuantType.QUInt8, nodes_to_exclude=stay)
    model = onnx.load(str(target))
    onnx.helper.set_model_props(model, about)
    onnx.save(model, str(file))
    os.remove(ready)
    os.remove(target)


def agreement(
    network: nn.Module, run: Callable[[Sequence[np.ndarray]], list[np.ndarray]], images: Sequence[np.ndarray]
) -> dict[str, float]:
    """Return how much int8 leaves of the keypoints and descriptors of float32.

    :param network: of float32; ``run`` of int8.
    :returns: ``keypoints_kept``, the part of the strongest that has one within a pixel; ``descriptor_cosine``, the mean
        over the cells.
    :raises RuntimeError: when that is too little for use.
    """
    kept, cosines = [], []
    for image in images:
        tensor = as_input(image)
        with torch.no_grad():
            exact = network(tensor)
        logits, descriptors = (torch.from_numpy(part) for part in run([tensor.numpy()])[:2])
        one, other = _strongest(exact[0]), _strongest(logits)
        if len(one):
            kept.append(float((torch.cdist(one, other).amin(1) < 1.5).float().mean()) if len(other) else 0.0)
        cosines.append(float(F.cosine_similarity(exact[1], descriptors).mean()))
    found = {'keypoints_kept': float(np.mean(kept)) if kept else 0.0, 'descriptor_cosine': float(np.mean(cosines))}
    for name, least in _LEAST.items():
        if not found[name] >= least:
            raise RuntimeError(f'int8 loses too much with these weights: {name} is {found[name]:.3f}, and at least '
                               f'{least} is taken; use --precision float32, or --images like those of your camera')
    return found


def as_input(image: np.ndarray) -> Tensor:
    """Return (1, 1, h, w) in [0, 1], of sides that are multiples of 8, of (H, W) uint8."""
    scale = min(1.0, LONGEST / max(image.shape))
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = (side // CELL * CELL for side in image.shape)
    return torch.from_numpy(image[:height, :width].astype(np.float32))[None, None] / 255


def _strongest(logits: Tensor) -> Tensor:
    return select(suppress(score_map(logits), 4)[0], 0.005, _BORDER, _STRONGEST)[0]
