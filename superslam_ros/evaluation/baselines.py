"""ORB and SIFT behind the interface of the SuperPoint extractor, for comparisons on equal terms."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import cv2
import numpy as np

from superslam_ros.data import Features
from superslam_ros.slam import masks
from superslam_ros.slam.extract import Extractor, ExtractorConfig

NAMES = ('superpoint', 'orb', 'sift')
_ORB_STEP = 1.2


class OrbExtractor:
    """ORB (Rublee et al., ICCV 2011); its 256 bits become +-1/16, so that a.b = 1 - 2 hamming / 256."""

    name = 'orb'

    def __init__(self, max_keypoints: int = 1000) -> None:
        """Make the detector."""
        self._detector = cv2.ORB_create(nfeatures=max_keypoints or 100000, scaleFactor=_ORB_STEP, fastThreshold=7)

    def __call__(self, gray: np.ndarray, mask: np.ndarray | None = None) -> Features:
        """Return the features of an (H, W) uint8 image, where ``mask`` (H, W) is not zero."""
        found, bits = self._detector.detectAndCompute(gray, _mask(gray, mask))
        if bits is None:
            return _features([], np.zeros((0, 256), np.float32), gray, [])
        signs = np.unpackbits(bits, axis=1).astype(np.float32) * 2 - 1
        return _features(found, signs / 16, gray, [_ORB_STEP**point.octave for point in found])

    def batch(
        self, grays: Sequence[np.ndarray], given: Sequence[np.ndarray | None] | None = None
    ) -> list[Features]:
        """Return the features of several images, ``given`` their masks."""
        return [self(gray, mask) for gray, mask in zip(grays, given or [None] * len(grays))]


class SiftExtractor:
    """SIFT (Lowe, IJCV 2004) with the square roots of RootSIFT (Arandjelovic and Zisserman, CVPR 2012)."""

    name = 'sift'

    def __init__(self, max_keypoints: int = 1000) -> None:
        """Make the detector."""
        self._detector = cv2.SIFT_create(nfeatures=max_keypoints)
        self._limit = max_keypoints

    def __call__(self, gray: np.ndarray, mask: np.ndarray | None = None) -> Features:
        """Return the features of an (H, W) uint8 image, where ``mask`` (H, W) is not zero."""
        found, histograms = self._detector.detectAndCompute(gray, _mask(gray, mask))
        if histograms is None:
            return _features([], np.zeros((0, 128), np.float32), gray, [])
        roots = np.sqrt(histograms / np.maximum(histograms.sum(1, keepdims=True), 1e-12))
        # The lowest byte of the octave is signed; the one of the doubled image, -1, is no more exact than the image.
        octaves = np.array([point.octave for point in found]).astype(np.int8)
        return _features(found, roots.astype(np.float32), gray, 2.0**octaves.clip(0), self._limit)

    def batch(
        self, grays: Sequence[np.ndarray], given: Sequence[np.ndarray | None] | None = None
    ) -> list[Features]:
        """Return the features of several images, ``given`` their masks."""
        return [self(gray, mask) for gray, mask in zip(grays, given or [None] * len(grays))]


class Remembering:
    """An extractor that knows its latest images again: front-ends that have it in common extract once."""

    def __init__(self, extractor: Extractor | OrbExtractor | SiftExtractor, latest: int = 2) -> None:
        """Wrap an extractor; features of so many images are kept."""
        self._extractor, self._latest = extractor, latest
        self._known: dict[tuple[bytes, tuple[int, ...]], Features] = {}

    def __call__(self, gray: np.ndarray) -> Features:
        """Return the features of an (H, W) uint8 image."""
        key = hashlib.sha256(gray.tobytes()).digest(), gray.shape
        if key not in self._known:
            if len(self._known) == self._latest:
                del self._known[next(iter(self._known))]
            self._known[key] = self._extractor(gray)
        return self._known[key]


def make_extractor(name: str, config: ExtractorConfig | None = None) -> Extractor | OrbExtractor | SiftExtractor:
    """Return the named front-end, with as many keypoints as the configuration allows.

    :raises ValueError: for a name that is not one of :data:`NAMES`.
    """
    config = config or ExtractorConfig()
    if name == 'superpoint':
        return Extractor(config)
    if name == 'orb':
        return OrbExtractor(config.max_keypoints)
    if name == 'sift':
        return SiftExtractor(config.max_keypoints)
    raise ValueError(f'features {name!r} are not one of {", ".join(NAMES)}')


def _mask(gray: np.ndarray, given: np.ndarray | None) -> np.ndarray | None:
    """Return OpenCV's mask of an image, its black frame left out, as for SuperPoint."""
    clear = masks.allowed(gray, None, given, True)
    return None if clear is None else clear.astype(np.uint8)


def _features(
    found: Sequence, descriptors: np.ndarray, gray: np.ndarray, scales: Sequence[float], limit: int = 0
) -> Features:
    """Sort by response, and keep at most ``limit`` (0: all); of a place with two orientations there are two."""
    keypoints = np.array([point.pt for point in found], np.float32).reshape(-1, 2)
    responses = np.array([point.response for point in found], np.float32)
    order = np.argsort(-responses, kind='stable')[:limit or None]
    scores = responses[order] / max(float(responses.max(initial=0)), 1e-12)
    return Features(keypoints[order], scores, descriptors[order], (gray.shape[1], gray.shape[0]),
                    np.asarray(scales, np.float32)[order])
