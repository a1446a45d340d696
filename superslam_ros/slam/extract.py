"""Stage 1: images to SuperPoint features."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from superslam_ros.config import option
from superslam_ros.data import Features
from superslam_ros.models import checkpoint, subpixel, superpoint
from superslam_ros.slam import gpu

log = logging.getLogger(__name__)
SMALLEST = 64
"""No octave has a side of fewer pixels."""


@dataclass(frozen=True)
class ExtractorConfig:
    """Options of the keypoint extractor."""

    weights: str = option('', 'Path of SuperPoint weights (.safetensors or .pth); empty for the open ones shipped')
    device: str = option('auto', 'Where the network runs; auto takes the GPU if there is one',
                         choices=('auto', 'cpu', 'cuda'))
    max_keypoints: int = option(1000, 'Strongest keypoints kept per image; 0 for all', low=0, high=20000, live=True)
    threshold: float = option(0.005, 'Lowest detection confidence of a keypoint', low=0.0, high=1.0, live=True)
    nms_radius: int = option(4, 'Keypoints are at least this far apart (pixels)', low=0, high=32, live=True)
    border: int = option(4, 'Keypoints nearer to the image edge are dropped (pixels)', low=0, high=64, live=True)
    refine: str = option('corners', 'Sub-pixel positions: by a soft-argmax of the scores, and with corners then by the '
                         'image gradients around', choices=('none', 'scores', 'corners'), live=True)
    octaves: int = option(2, 'Image sizes that are searched, each half of the one before: 2 matches views whose scale '
                          'differs by more than 1.5, for a fifth more time than 1', low=1, high=4, live=True)


def pick_device(device: str) -> torch.device:
    """Resolve ``auto``; raise RuntimeError when CUDA is asked for and absent."""
    if device == 'auto':
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    if device == 'cuda' and not torch.cuda.is_available():
        raise RuntimeError('device cuda was asked for, but PyTorch sees no CUDA GPU; use device: auto or cpu')
    return torch.device(device)


class Extractor:
    """SuperPoint with its decoding: gray image in, :class:`~superslam_ros.data.Features` out."""

    name = 'superpoint'

    def __init__(self, config: ExtractorConfig | None = None) -> None:
        """Load the weights.

        :raises FileNotFoundError: when the weights file is missing.
        :raises ValueError: when the file is not a SuperPoint.
        :raises RuntimeError: when the device is not there.
        """
        self.config = config or ExtractorConfig()
        self.device = pick_device(self.config.device)
        network = superpoint.SuperPoint()
        checkpoint.load_into(network, self.config.weights or checkpoint.shipped('superpoint'))
        self.network = network.eval().requires_grad_(False).to(self.device, memory_format=torch.channels_last)
        self._together = True

    def __call__(self, gray: np.ndarray) -> Features:
        """Detect and describe keypoints.

        :param gray: (H, W) uint8.
        :raises ValueError: for another shape or type, or an empty image.
        """
        return self.batch([gray])[0]

    def batch(self, grays: Sequence[np.ndarray]) -> list[Features]:
        """Do the same for several images; those of one size go through the network together.

        A GPU that has no memory for that gets them one by one from then on.

        :raises OutOfMemory: when it has none for one image.
        """
        for gray in grays:
            if gray.ndim != 2 or gray.dtype != np.uint8 or gray.size == 0:
                raise ValueError(f'expected a gray (H, W) uint8 image, got {gray.shape} {gray.dtype}')
        if self._together and len({gray.shape for gray in grays}) == 1:
            try:
                return self._extract(grays)
            except torch.cuda.OutOfMemoryError:
                gpu.release()
                if len(grays) > 1:
                    self._together = False
                    log.warning('GPU out of memory with %d images at once: one by one from now on', len(grays))
        try:
            return [features for gray in grays for features in self._extract([gray])]
        except torch.cuda.OutOfMemoryError as error:
            gpu.release()
            raise gpu.OutOfMemory(f'GPU out of memory with one image of {grays[0].shape[1]}x{grays[0].shape[0]} '
                                  'pixels; give it smaller images, or device: cpu') from error

    def _extract(self, grays: Sequence[np.ndarray]) -> list[Features]:
        """Take images of one size through the network, octave by octave."""
        images = self._upload(grays)
        found = [[features] for features in self._extract_once(images)]
        smaller = grays
        while len(found[0]) < self.config.octaves and min(smaller[0].shape) >= 2 * SMALLEST:
            # By a size, not a factor: of odd sizes, the ratio of the sizes is then the scale.
            size = smaller[0].shape[1] // 2, smaller[0].shape[0] // 2
            smaller = [cv2.resize(gray, size, interpolation=cv2.INTER_AREA) for gray in smaller]
            for octaves, features in zip(found, self._extract_once(self._upload(smaller))):
                octaves.append(features)
        return [self._join(*parts) for parts in zip(images, found)]

    def _upload(self, grays: Sequence[np.ndarray]) -> Tensor:
        """Return (B, H, W) in [0, 1] on the device."""
        return torch.from_numpy(np.stack(grays)).to(self.device).float() / 255

    def _extract_once(self, images: Tensor) -> list[Features]:
        with torch.inference_mode():
            height, width = images.shape[-2:]
            with torch.autocast('cuda', enabled=self.device.type == 'cuda'):
                scores, descriptors = self.network(superpoint.pad_to_cells(images[:, None]))
            scores, descriptors = scores[:, :height, :width].float(), descriptors.float()
            peaks = superpoint.suppress(scores, self.config.nms_radius)
            return [self._decode(*parts) for parts in zip(images, scores, peaks, descriptors)]

    def _decode(self, image: Tensor, scores: Tensor, peaks: Tensor, descriptors: Tensor) -> Features:
        """Turn one image (H, W) and its maps, (H, W), (H, W) and (256, h, w), into features."""
        config = self.config
        keypoints, confidences = superpoint.select(peaks, config.threshold, config.border, config.max_keypoints)
        if config.refine != 'none':
            keypoints = superpoint.refine(scores, keypoints)
        if config.refine == 'corners':
            keypoints = subpixel.to_corners(image, keypoints)
        sampled = superpoint.sample_descriptors(descriptors[None], keypoints[None])[0]
        height, width = scores.shape
        return Features(keypoints.cpu().numpy(), confidences.cpu().numpy(), sampled, (width, height))

    def _join(self, image: Tensor, octaves: Sequence[Features]) -> Features:
        """Merge the octaves of an image (H, W); keypoints of the smaller ones are refined once more, in it."""
        features = merge(octaves, self.config.max_keypoints, self.device)
        coarse = features.scales > 1
        if self.config.refine == 'corners' and coarse.any():
            keypoints = torch.from_numpy(features.keypoints[coarse]).to(self.device)
            features.keypoints[coarse] = subpixel.to_corners(image, keypoints, subpixel.COARSE_PX).cpu().numpy()
        return features


def merge(octaves: Sequence[Features], most: int, device: torch.device) -> Features:
    """Join the features of an image and of smaller copies of it, the strongest ``most`` first; 0 for all.

    Keypoints of different octaves may lie at one place: they describe surroundings of different size.
    """
    first = octaves[0]
    if len(octaves) == 1:
        return first
    # Pixel centres are whole numbers, so the top-left corner of an image is at -.5.
    ratios = [np.float32(first.image_size) / np.float32(one.image_size) for one in octaves]
    keypoints = np.concatenate([(one.keypoints + 0.5) * ratio - 0.5 for one, ratio in zip(octaves, ratios)])
    scores = np.concatenate([one.scores for one in octaves])
    scales = np.concatenate([np.full(len(one), ratio.max()) for one, ratio in zip(octaves, ratios)])
    order = np.argsort(-scores, kind='stable')[:most or None]
    descriptors = torch.cat([one.descriptors_on(device) for one in octaves])
    return Features(
        keypoints[order], scores[order], descriptors[torch.from_numpy(order).to(device)], first.image_size,
        scales[order])
