"""How much of what a frame sees another one sees too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from superslam_ros.evaluation import measures
from superslam_ros.geometry import two_view
from superslam_ros.geometry.camera import Pinhole
from superslam_ros.improve.evidence import Evidence
from superslam_ros.improve.structure import Structure
from superslam_ros.improve.tracks import Tracks

MOST_POINTS = 150
"""Of a frame, evenly over its tracks."""
FEWEST_POINTS = 10
_BEHIND = 1.1
"""A point so many times farther away than what a frame sees there is hidden."""
_BEYOND = 1.5
"""Where no depth was recorded: so many times farther than nearly all points of the frame."""
_KEYPOINTS, _DISTANCE = 300, 0.7
SAME_PLACE = 25
"""Matches of two frames that fit one motion: they see the same place."""
_THRESHOLD_PX = 1.5


class Overlap:
    """The points of a recording's structure that its frames have observed."""

    def __init__(self, evidence: Evidence, tracks: Tracks, structure: Structure) -> None:
        """Collect them."""
        self._evidence, self._poses = evidence, structure.T_world_camera
        frames = len(evidence.stamps_ns)
        track = np.repeat(np.arange(len(structure.points)), np.diff(tracks.first))
        known = np.isfinite(structure.points[track, 0])
        frame, track = tracks.frame[known], track[known]
        order = np.lexsort((track, frame))
        ends = np.searchsorted(frame[order], np.arange(frames + 1))
        chosen = [track[order[start:end]][::max(1, -(-(end - start) // MOST_POINTS))]
                  for start, end in zip(ends[:-1], ends[1:])]
        self._points = structure.points[np.concatenate([np.zeros(0, int), *chosen])]
        self._first = np.concatenate([[0], np.cumsum([len(one) for one in chosen])])
        owner = np.repeat(np.arange(frames), np.diff(self._first))
        self._away = np.linalg.norm(self._points - self._poses[owner, :3, 3], axis=1)
        self.placed = (evidence.segment >= 0) & np.isfinite(self._poses).all((1, 2))
        self.placed &= np.diff(self._first) >= FEWEST_POINTS

    def depth(self, frame: int) -> float:
        """Return the median depth of a frame's points; NaN without any."""
        points = self._points[self._first[frame]:self._first[frame + 1]]
        return float(np.median(self._in(frame, points)[:, 2])) if len(points) else np.nan

    def shares(self, frames: Sequence[int], other: int, scale: float = np.inf) -> np.ndarray:
        """Return which share of the points of each frame another frame sees, (N,); NaN where the poses do not tell.

        They do not between two segments, and for a frame that was lost.

        :param scale: points that are more times nearer to one frame than to the other do not look the same, nor count.
        """
        frames = np.asarray(frames, np.int64)
        many = self._first[frames + 1] - self._first[frames]
        index = np.concatenate([np.zeros(0, int), *(
            np.arange(self._first[frame], self._first[frame + 1]) for frame in frames)])
        owner = np.repeat(np.arange(len(frames)), many)
        seen = self._sees(other, self._points[index]) if self.placed[other] else np.zeros(len(index), bool)
        there = np.linalg.norm(self._points[index] - self._poses[other, :3, 3], axis=1)
        seen &= (there <= scale * self._away[index]) & (self._away[index] <= scale * there)
        shares = np.bincount(owner, seen, len(frames)) / np.maximum(many, 1)
        segment = self._evidence.segment
        told = self.placed[frames] & self.placed[other] & (segment[frames] == segment[other])
        return np.where(told, shares, np.nan)

    def _in(self, frame: int, points: np.ndarray) -> np.ndarray:
        T = self._poses[frame]
        return (points - T[:3, 3]) @ T[:3, :3]

    def _sees(self, frame: int, points: np.ndarray) -> np.ndarray:
        """Return (N,) bool: which points (N, 3) of the world are in a frame's image, and not hidden."""
        local = self._in(frame, points)
        width, height = self._evidence.size
        pixels = self._evidence.pinhole.project(local)
        with np.errstate(invalid='ignore'):
            inside = (local[:, 2] > 0) & ((pixels >= -0.5) & (pixels < [width - 0.5, height - 0.5])).all(1)
        depth_m = self._evidence.depth(frame)
        if depth_m is None:
            own = self._in(frame, self._points[self._first[frame]:self._first[frame + 1]])
            farthest = np.full(len(points), _BEYOND * np.percentile(own[:, 2], 95))
        else:
            x, y = np.where(inside[:, None], np.rint(np.nan_to_num(pixels)), 0).astype(int).T
            farthest = _BEHIND * np.nan_to_num(depth_m[y, x], nan=np.inf)
        return inside & (local[:, 2] <= farthest)


def same_place(first: Evidence, frames0: Sequence[int], second: Evidence, frames1: Sequence[int]) -> np.ndarray:
    """Return (N, M) bool: which frames of two recordings, or segments, show the same place by their keypoints."""
    strong0, strong1 = ([_strongest(one, frame) for frame in frames]
                        for one, frames in ((first, frames0), (second, frames1)))
    found = np.zeros((len(frames0), len(frames1)), bool)
    for row, (pixels0, descriptors0) in enumerate(strong0):
        for column, (pixels1, descriptors1) in enumerate(strong1):
            if min(len(pixels0), len(pixels1)) < SAME_PLACE:
                continue
            likeness = descriptors0 @ descriptors1.T
            best, back = likeness.argmax(1), likeness.argmax(0)
            keep = back[best] == np.arange(len(best))
            keep &= likeness[np.arange(len(best)), best] >= 1 - _DISTANCE**2 / 2
            found[row, column] = keep.sum() >= SAME_PLACE and _fit(
                first.pinhole, second.pinhole, pixels0[keep], pixels1[best[keep]])
    return found


def _fit(camera0: Pinhole, camera1: Pinhole, pixels0: np.ndarray, pixels1: np.ndarray) -> bool:
    """Whether enough matches (N, 2) fit one plane or a turn of the camera, or one motion."""
    H = measures.estimate_homography(pixels0, pixels1)
    if H is not None and measures.right_matches(pixels0, pixels1, H).sum() >= SAME_PLACE:
        return True
    motion = two_view.pose_from_rays(
        camera0.rays(pixels0)[:, :2], camera1.rays(pixels1)[:, :2], _THRESHOLD_PX / camera0.fx)
    return motion is not None and motion[2].sum() >= SAME_PLACE


def _strongest(evidence: Evidence, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels (N, 2) and descriptors (N, 256) float32 of a frame's strongest keypoints."""
    start, end = evidence.first[frame:frame + 2]
    order = start + np.argsort(-evidence.scores[start:end], kind='stable')[:_KEYPOINTS]
    return evidence.pixels[order], evidence.descriptors[order].astype(np.float32)
