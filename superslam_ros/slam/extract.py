"""Stage 1: images to SuperPoint features."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from superslam_ros.config import option
from superslam_ros.data import Features
from superslam_ros.models import checkpoint, extractors, precision, superpoint
from superslam_ros.models.runtime import OnnxSuperPoint
from superslam_ros.slam import gpu, masks
from superslam_ros.slam.cuda_graphs import Recorded
from superslam_ros.slam.decode import Decoded, Level, collect, decode
from superslam_ros.slam.interrupt import Interrupt, go_on, interruptible

log = logging.getLogger(__name__)
SMALLEST = 64
"""No octave has a side of fewer pixels."""
LARGE = 2**19
"""Images of so many pixels in all keep a CPU busy for so long that every operation may be the last."""


@dataclass(frozen=True)
class ExtractorConfig:
    """Options of the keypoint extractor."""

    weights: str = option('', 'Path of SuperPoint weights (.safetensors or .pth), or the name of shipped ones: '
                         'compact, the default, or superpoint, the network of the paper, '
                         'which takes many times as long; or a .onnx of `superslam export`, which ONNX Runtime '
                         'runs on the CPU')
    device: str = option('auto', 'Where the network runs; auto takes the GPU if there is one',
                         choices=('auto', 'cpu', 'cuda'))
    threads: int = option(0, 'CPU threads of PyTorch and OpenCV in this process, matching included; fewer leave cores '
                          'to others. 0: OMP_NUM_THREADS or, where that is not set, half of the cores in nodes, all in '
                          'commands', low=0, high=1024)
    max_keypoints: int = option(1000, 'Strongest keypoints kept per image; 0 for all', low=0, high=20000, live=True)
    threshold: float = option(0.005, 'Lowest detection confidence of a keypoint', low=0.0, high=1.0, live=True)
    nms_radius: int = option(4, 'Keypoints are at least this far apart (pixels)', low=0, high=32, live=True)
    border: int = option(4, 'Keypoints nearer to the image edge are dropped (pixels)', low=0, high=64, live=True)
    refine: str = option('corners', 'Sub-pixel positions: by a soft-argmax of the scores; with harris then on the peak '
                         'of the corner response near by, or with corners drawn to where image gradients meet',
                         choices=('none', 'scores', 'corners', 'harris'), live=True)
    octaves: int = option(2, 'Image sizes that are searched, each half of the one before: 2 matches views whose scale '
                          'differs by more than 1.5, for a fifth more time than 1', low=1, high=4, live=True)
    max_size: int = option(1600, 'Larger images are searched in a copy whose longer side has so many pixels, 64 or '
                           'more, which bounds time and memory; keypoints are refined in the image itself. '
                           '0: no limit', low=0, high=20000, live=True)
    precision: str = option('auto', 'Arithmetic of the network: auto takes float16 on a GPU, bfloat16 on a CPU that '
                            'computes in it natively, else float32; a .onnx has its own, float32 or int8',
                            choices=('auto', *precision.DTYPES, precision.INT8))
    cuda_graphs: bool = option(True, 'On a GPU, launch all of the work on an image at once; not with max_keypoints 0')
    mask: str = option('', 'Image file of the size of the images, black where no keypoints are to be, such as on the '
                       'robot itself')
    black_frame: bool = option(True, 'Leave out keypoints on the black frame of undistorted images and of letterboxes, '
                               'where the image has one', live=True)
    black_level: float = option(0.0, 'Level of an image of more than 8 bits that is black; 0, with white_level 0, too: '
                                'all levels of the encoding or, where few are used, those of the first images',
                                low=-1e9, high=1e9, live=True)
    white_level: float = option(0.0, 'Level of an image of more than 8 bits that is white; see black_level',
                                low=-1e9, high=1e9, live=True)


def use_threads(count: int) -> None:
    """Have PyTorch and OpenCV compute with so many threads for this one, and those that begin later; 0: no change.

    PyTorch keeps the number for every thread by itself.
    """
    if count and torch.get_num_threads() != count:
        torch.set_num_threads(count)
        cv2.setNumThreads(count)


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

    def __init__(self, config: ExtractorConfig | None = None, interrupt: Interrupt = go_on) -> None:
        """Load the weights.

        :param interrupt: called between parts of the work; what it raises breaks the work off, and harms nothing.
        :raises FileNotFoundError: when the weights file is missing.
        :raises ValueError: when the file is not a SuperPoint, or ``mask`` no image.
        :raises RuntimeError: when the device is not there, or does not compute in that precision, or ONNX Runtime is
            needed and not there.
        """
        self.config, self._interrupt = config or ExtractorConfig(), interrupt
        use_threads(self.config.threads)
        path = checkpoint.locate('superpoint', self.config.weights)
        network, self.weights = extractors.load_to_run(path), checkpoint.digest(path)
        if isinstance(network, OnnxSuperPoint):
            _check_exported(self.config, network)
            self.device, self.dtype, self.precision = torch.device('cpu'), torch.float32, network.precision
        else:
            self.device = pick_device(self.config.device)
            self.dtype = precision.pick(self.config.precision, self.device)
            self.precision = str(self.dtype).removeprefix('torch.')
        self.network = network.to(self.device, memory_format=torch.channels_last)
        self._together, self._recorded = True, Recorded()
        self._mask = masks.load(self.config.mask) if self.config.mask else None
        self._shrunk: set[tuple[int, int]] = set()

    def __call__(self, gray: np.ndarray) -> Features:
        """Detect and describe keypoints.

        :param gray: (H, W) uint8.
        :raises ValueError: for another shape or type, or an empty image.
        """
        return self.batch([gray])[0]

    def batch(
        self, grays: Sequence[np.ndarray], given: Sequence[np.ndarray | None] | None = None
    ) -> list[Features]:
        """Do the same for several images; those of one size go through the network together.

        :param given: per image a mask (H, W), zero where no keypoints are to be, or None.
        :raises SkippedFrame: when a mask is of another size than its image.

        A GPU that has no memory for that gets them one by one from then on.

        :raises OutOfMemory: when it has none for one image.
        """
        for gray in grays:
            if gray.ndim != 2 or gray.dtype != np.uint8 or gray.size == 0:
                raise ValueError(f'expected a gray (H, W) uint8 image, got {gray.shape} {gray.dtype}')
        clear = [masks.allowed(gray, self._mask, mask, self.config.black_frame)
                 for gray, mask in zip(grays, given or [None] * len(grays))]
        if self._together and len({gray.shape for gray in grays}) == 1:
            try:
                return self._extract(grays, clear)
            except torch.cuda.OutOfMemoryError:
                gpu.release()
                if len(grays) > 1:
                    self._together = False
                    log.warning('GPU out of memory with %d images at once: one by one from now on', len(grays))
        try:
            return [features for gray, one in zip(grays, clear) for features in self._extract([gray], [one])]
        except torch.cuda.OutOfMemoryError as error:
            gpu.release()
            raise gpu.OutOfMemory(f'GPU out of memory with one image of {grays[0].shape[1]}x{grays[0].shape[0]} '
                                  'pixels; give it smaller images, or device: cpu') from error

    def _extract(self, grays: Sequence[np.ndarray], clear: Sequence[np.ndarray | None]) -> list[Features]:
        """Take images of one size through the network, each smaller copy of them in turn."""
        use_threads(self.config.threads)
        large = self.device.type == 'cpu' and len(grays) * grays[0].size >= LARGE
        with torch.inference_mode(), interruptible(self._interrupt, when=large):
            images = gpu.upload(np.stack(grays), self.device)
            # How many keypoints there are without a limit, is not known beforehand.
            fixed = images.is_cuda and self.config.cuda_graphs and self.config.max_keypoints > 0
            fixed &= all(mask is None for mask in clear)        # the same work for all images
            found = self._recorded(self._find, images, self.config) if fixed else self._find(images, clear)
            return collect(found, grays[0].shape[::-1], self.weights)

    def _find(self, images: Tensor, clear: Sequence[np.ndarray | None] = ()) -> list[Decoded]:
        """Find the keypoints of (B, H, W) uint8 images on the device, where masks (H, W) bool of them allow it."""
        config, (size, *smaller) = self.config, self._sizes(*images.shape[1:])
        searched = _at_size(images, size)
        levels = [self._levels(searched), *(self._levels(_shrink(searched, one)) for one in smaller)]
        if any(mask is not None for mask in clear):
            levels = [[level if mask is None else _masked(level, mask) for level, mask in zip(one, clear)]
                      for one in levels]
        return [decode(image, of_image, config.threshold, config.border, config.max_keypoints, config.refine)
                for image, *of_image in zip(images, *levels)]

    def _sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return the (height, width) of the copies that are searched."""
        largest = max(self.config.max_size, SMALLEST) if self.config.max_size else 0
        if 0 < largest < max(height, width):
            if (height, width) not in self._shrunk:
                self._shrunk.add((height, width))
                log.info('images of %dx%d are searched at %d pixels along their longer side (extractor.max_size)',
                         width, height, largest)
            height, width = (max(1, round(side * largest / max(height, width))) for side in (height, width))
        sizes = [(height, width)]
        # By a size, not a factor: of odd sizes, the ratio of the sizes is then the scale.
        while len(sizes) < self.config.octaves and min(sizes[-1]) >= 2 * SMALLEST:
            sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
        return sizes

    def _levels(self, images: Tensor) -> list[Level]:
        """Take (B, h, w) images in [0, 1] through the network."""
        self._interrupt()
        height, width = images.shape[1:]
        half = self.dtype if self.dtype != torch.float32 else None       # PyTorch 2.0 takes no float32 here
        with torch.autocast(self.device.type, half, enabled=half is not None):
            padded = superpoint.pad_to_cells(images[:, None])
            scores, descriptors, *stable = self.network(padded.contiguous(memory_format=torch.channels_last))
        scores, descriptors = scores[:, :height, :width].float(), descriptors.float()
        peaks = superpoint.suppress(scores, self.config.nms_radius)
        return [Level(*parts) for parts in zip(images, scores, peaks, descriptors, *(part.float() for part in stable))]


def _masked(level: Level, mask: np.ndarray) -> Level:
    """Return a level without its peaks where a mask (H, W) of the image is false."""
    height, width = level.peaks.shape
    at_size = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return replace(level, peaks=level.peaks * torch.from_numpy(at_size).to(level.peaks.device))


def _check_exported(config: ExtractorConfig, network: OnnxSuperPoint) -> None:
    """Refuse what an exported network cannot do.

    :raises RuntimeError: naming the option and the remedy.
    """
    if config.device == 'cuda':
        raise RuntimeError(f'device cuda: {config.weights} runs on the CPU; use device: auto or cpu, or on a GPU the '
                           'weights that it was made of')
    if config.precision not in ('auto', network.precision):
        raise RuntimeError(f'precision {config.precision}: {config.weights} is in {network.precision}; use precision: '
                           'auto, or `superslam export --precision`, which makes float32 and int8')


def _at_size(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (B, h, w) copies in [0, 1] of (B, H, W) uint8 images."""
    if images.shape[1:] != size and superpoint.on_host(images):     # in float32, large images take much memory
        images = torch.from_numpy(np.stack([
            cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA) for image in images.numpy()]))
    images = images.float() / 255
    return images if images.shape[1:] == size else _shrink(images, size)


def _shrink(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (B, h, w) images of another size, each pixel the mean of those it covers."""
    if images.shape[1:] == (2 * size[0], 2 * size[1]):
        return F.avg_pool2d(images[:, None], 2)[:, 0]       # the same, in half of the time
    return F.interpolate(images[:, None], size, mode='area')[:, 0]
