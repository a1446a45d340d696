"""Which keypoints of a keyframe show which landmarks of a map."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from superslam_ros.geometry.pose import inverse, transform
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.landmarks import PlaceLandmarks
from superslam_ros.slam.mapping.map import match_near

Found = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Rows of keypoints and of landmarks, and confidences in ]0, 1], about the part of such matches that is right, (M,)
each; a row at most once."""
_WORTHLESS, _SURE = 0.57, 0.92
"""Cosines of mutual nearest neighbours of which about none and all are right, between which it is about linear:
measured on 13,500 of rendered places."""


class MapMatcher(Protocol):
    """What matches a keyframe to the landmarks of a place."""

    def match(self, keyframe: Keyframe, landmarks: PlaceLandmarks, T_map_camera: np.ndarray | None) -> Found:
        """Return the matches.

        :param T_map_camera: about where the camera is: as far off as the keyframe that looks most like it may be.
        """


class NearestLandmarks:
    """Pairs that are each other's nearest by their descriptors."""

    def __init__(self, min_similarity: float = 0.6, ratio: float = 0.97) -> None:
        """Begin.

        :param min_similarity: lowest cosine of a pair.
        :param ratio: of all keypoints, the second-nearest to a landmark must be so much farther. Not of landmarks: two
            of them may be of the same point, found twice.
        """
        self.min_similarity, self.ratio = min_similarity, ratio

    def match(self, keyframe: Keyframe, landmarks: PlaceLandmarks, T_map_camera: np.ndarray | None) -> Found:
        """Return the matches, wherever the camera is."""
        if not len(keyframe) or not len(landmarks):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        similarity = landmarks.descriptors @ keyframe.descriptors.T
        rows, nearest = np.arange(len(similarity)), similarity.argmax(1)
        best = similarity[rows, nearest]
        mutual = similarity.argmax(0)[nearest] == rows
        similarity[rows, nearest] = -1
        second = similarity.max(1)
        # Distances of unit vectors, squared: |a - b|^2 = 2 - 2 a.b
        good = np.flatnonzero(mutual & (best >= self.min_similarity) & (1 - best <= self.ratio**2 * (1 - second)))
        return nearest[good], good, np.clip((best[good] - _WORTHLESS) / (_SURE - _WORTHLESS), 0.05, 0.9)


def joined(first: Found, second: Found, share: float) -> Found:
    """Return matches, and of others those whose rows are free, with ``share`` of their confidences."""
    free = ~np.isin(second[0], first[0]) & ~np.isin(second[1], first[1])
    keypoints, rows, confidences = (np.concatenate([one, other[free]]) for one, other in zip(first, second))
    confidences[len(first[2]):] *= share
    return keypoints, rows, confidences


def match_guided(
    keyframe: Keyframe, landmarks: PlaceLandmarks, T_map_camera: np.ndarray, radius_px: float, min_similarity: float
) -> tuple[np.ndarray, np.ndarray]:
    """Match the landmarks to the keypoints near where a camera whose pose is known should see them.

    :returns: rows of keypoints and of landmarks, (M,) each, each at most once.
    """
    projected = keyframe.pinhole.project(transform(inverse(T_map_camera), landmarks.points))
    width, height = keyframe.image_size
    with np.errstate(invalid='ignore'):
        inside = ((projected > -radius_px) & (projected < [width + radius_px, height + radius_px])).all(1)
    inside = np.flatnonzero(inside)
    keypoints, rows = match_near(
        keyframe.pixels, keyframe.descriptors, projected[inside], landmarks.descriptors[inside], radius_px,
        min_similarity)
    return keypoints, inside[rows]
