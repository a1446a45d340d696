"""Pairs of frames of one recording whose relative pose is known, narrow and wide, and front-ends on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from superslam_ros.data import Features, Matches
from superslam_ros.evaluation import relative_pose
from superslam_ros.evaluation.gaps import ORDERS
from superslam_ros.evaluation.homography import FrontEnd
from superslam_ros.geometry import two_view
from superslam_ros.geometry.camera import Pinhole


@dataclass(frozen=True, eq=False)
class PosePairs:
    """Pairs of frames of a recording, in order of the time of the first one.

    :ivar image: gives the (H, W) uint8 image of a frame, of the ``pinhole`` camera.
    :ivar frames: (P, 2) numbers of the frames.
    :ivar times_s: (P,) of the first ones.
    :ivar T_1_0: (P, 4, 4) maps points of the first camera to the second.
    :ivar wide: (P,) bool: they have little in common.
    :ivar turned_only: (P,) bool: they are too near to each other for the direction of the translation to be judged.
    """

    name: str
    image: Callable[[int], np.ndarray]
    pinhole: Pinhole
    frames: np.ndarray
    times_s: np.ndarray
    T_1_0: np.ndarray
    wide: np.ndarray
    turned_only: np.ndarray

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.frames)

    def select(self, keep: np.ndarray) -> PosePairs:
        """Return the pairs of a boolean mask or an index array."""
        return PosePairs(self.name, self.image, self.pinhole, *(
            part[keep] for part in (self.frames, self.times_s, self.T_1_0, self.wide, self.turned_only)))


def measure(
    end: FrontEnd, recordings: Sequence[PosePairs], on_pair: Callable[[], None] = lambda: None
) -> tuple[np.ndarray, np.ndarray]:
    """Return pose errors (P, 5) in degrees and the number of right matches (P,) of the pairs of all recordings.

    Each pair's matches are taken in 5 orders. Infinite where no pose was found.

    :param on_pair: called after every pair.
    """
    errors, right = [], []
    for pairs in recordings:
        for number, (first, _, matches) in enumerate(matched(end, pairs)):
            result = judge(pairs, number, matches, len(first))
            errors.append([one.rotation_deg if pairs.turned_only[number] else one.error_deg for one in result])
            right.append(round(result[0].precision * result[0].matches) if not pairs.turned_only[number] else 0)
            on_pair()
    return np.reshape(np.array(errors, np.float64), (-1, ORDERS)), np.array(right, np.int64)


def matched(end: FrontEnd, pairs: PosePairs) -> Iterator[tuple[Features, Features, Matches]]:
    """Yield the features of every pair, and their matches; of each frame, features are extracted once."""
    last = np.zeros(int(pairs.frames.max(initial=-1)) + 1, np.int64)
    for number, pair in enumerate(pairs.frames):
        last[pair] = number
    known: dict[int, Features] = {}
    for number, pair in enumerate(pairs.frames.tolist()):
        for frame in pair:
            if frame not in known:
                known[frame] = end.extract(pairs.image(frame))
        features0, features1 = (known[frame] for frame in pair)
        yield features0, features1, end.matcher(features0, features1)
        known = {frame: features for frame, features in known.items() if last[frame] > number}


def judge(pairs: PosePairs, number: int, matches: Matches, keypoints: int) -> list[relative_pose.PoseResult]:
    """Return the figures of a pair's matches, in every order; ``keypoints`` as many as the first image has."""
    camera = pairs.pinhole
    rays0, rays1 = (camera.rays(points)[:, :2] for points in (matches.keypoints0, matches.keypoints1))
    return [relative_pose.measure(rays0, rays1, (camera.fx + camera.fy) / 2, pairs.T_1_0[number], keypoints, order,
                                  two_view.LOCALLY_OPTIMISED) for order in range(ORDERS)]


def right_matches(pairs: PosePairs, number: int, matches: Matches) -> np.ndarray:
    """Return (M,) bool: matches of a pair that agree with the true epipolar geometry."""
    rays0, rays1 = (
        pairs.pinhole.rays(points)[:, :2] for points in (matches.keypoints0, matches.keypoints1))
    return relative_pose.epipolar_distance(rays0, rays1, pairs.T_1_0[number]) < relative_pose.RIGHT
