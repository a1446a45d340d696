"""Which parts of an image hold no keypoints: what the user has masked, and the black frame of undistorted images."""

from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np

from superslam_ros.slam.checks import SkippedFrame

BLACK = 8
"""Levels up to this are black; JPEG leaves a few of a black area."""
MARGIN_PX = 8
"""A frame's edge is seen as far as this by the network, whose cells have so many pixels."""
_LEAST, _DEEP = 0.05, 0.005
"""Part of half a side that has to be black for a frame to be looked for, and how deep it has to go on average."""
_MOST = 0.6
"""Part of an image that a frame may cover."""
_NEAR_PX, _AGREE, _BRIGHT = 1.5, 0.6, 0.03
"""So near to the curve so many of the lines have to end; so many may be bright before it."""
_ANCHORS = 12


def load(path: str | os.PathLike[str]) -> np.ndarray:
    """Return a mask (H, W) bool from an image file: where it is black, no keypoints are to be.

    :raises ValueError: naming the file, when it cannot be read, or masks everything.
    """
    try:
        content = np.frombuffer(Path(path).read_bytes(), np.uint8)
    except OSError as error:
        raise ValueError(f'extractor.mask: {path} cannot be read ({error.strerror})') from error
    image = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if len(content) else None
    if image is None:
        raise ValueError(f'extractor.mask: {path} is no image; give a PNG of the size of the images, black where no '
                         'keypoints are to be')
    if not (image > 127).any():
        raise ValueError(f'extractor.mask: {path} is black everywhere; it is to be white where keypoints may be')
    return image > 127


def allowed(
    gray: np.ndarray, mask: np.ndarray | None, given: np.ndarray | None, black_frame: bool
) -> np.ndarray | None:
    """Return where in an image keypoints may be, (H, W) bool; None where they may be anywhere.

    :param gray: (H, W) uint8; ``mask``: (H, W) bool, the same for all images; ``given``: (H, W), for this image, zero
        where keypoints may not be.
    :raises SkippedFrame: when a mask is of another size.
    """
    parts = []
    for name, part in (('extractor.mask', mask), ('the mask', None if given is None else given > 0)):
        if part is None:
            continue
        if part.shape != gray.shape:
            raise SkippedFrame('mask of another size', f'{name} is {part.shape[1]}x{part.shape[0]}, the image '
                               f'{gray.shape[1]}x{gray.shape[0]}; make it of that size')
        parts.append(part)
    frame = outside_frame(gray) if black_frame else None
    if frame is not None:
        parts.append(frame)
    return np.logical_and.reduce(parts) if parts else None


def outside_frame(gray: np.ndarray) -> np.ndarray | None:
    """Return where an image (H, W) is clear of its black frame, (H, W) bool; None where it has none.

    Undistorted images end in black along smooth curves, letterboxes along straight lines: from every half of a side
    inwards, most lines turn bright where a parabola says. What is dark in the scene has no such edge.
    """
    covered = np.zeros(gray.shape, bool)
    for turned, at in ((gray, covered), (gray[:, ::-1], covered[:, ::-1]), (gray.T, covered.T),
                       (gray[::-1].T, covered[::-1].T)):
        middle = len(turned) // 2
        for half, at_half in ((turned[:middle], at[:middle]), (turned[middle:], at[middle:])):
            depth = _depth(half)
            if depth is not None:
                at_half |= np.arange(half.shape[1]) < depth[:, None]
    if not covered.any() or covered.mean() > _MOST:
        return None
    grown = cv2.dilate(covered.astype(np.uint8), np.ones((2 * MARGIN_PX + 1,) * 2, np.uint8))
    return grown == 0


def _depth(lines: np.ndarray) -> np.ndarray | None:
    """Return how deep a frame goes into each of the lines (N, M) from their beginnings, (N,) pixels; None without one.

    Of the parabolas through any three of some lines' ends, that which most lines agree with.
    """
    if len(lines) < 2 * _ANCHORS or (lines[:, 0] <= BLACK).mean() < _LEAST:
        return None
    bright = lines > BLACK
    some = bright.any(1)        # others lie in the frame of another side
    depth = bright.argmax(1)[some].astype(float)
    if len(depth) < 2 * _ANCHORS:
        return None
    place = np.flatnonzero(some) / len(lines)
    anchors = np.linspace(0, len(depth) - 1, _ANCHORS).round().astype(int)
    triples = anchors[np.array(list(combinations(range(_ANCHORS), 3)))]
    powers = np.array([0, 1, 2])
    curves = np.linalg.solve(place[triples][:, :, None]**powers, depth[triples][:, :, None])[:, :, 0]
    ends = np.maximum(curves @ (place[:, None]**powers).T, 0)
    agreeing = np.where(ends > 0, np.abs(ends - depth) <= _NEAR_PX, depth <= _NEAR_PX).mean(1)
    best = int(agreeing.argmax())
    before = (depth < ends[best] - 2 * _NEAR_PX).mean()
    if agreeing[best] < _AGREE or before > _BRIGHT or ends[best].mean() < _DEEP * lines.shape[1]:
        return None
    return np.maximum((np.arange(len(lines)) / len(lines))[:, None]**powers @ curves[best], 0)
