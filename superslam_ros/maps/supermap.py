"""The SuperMap network as a matcher of keyframes to a map."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch

from superslam_ros.config import option
from superslam_ros.geometry.pose import compose, inverse
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.landmarks import PlaceLandmarks
from superslam_ros.maps.matching import Found, NearestLandmarks, joined
from superslam_ros.models import checkpoint, precision, superglue, supermap
from superslam_ros.models.folded import FoldedSuperMap
from superslam_ros.models.supermap import Known, LandmarkSet, Place
from superslam_ros.slam.extract import pick_device

MORE = 1.25
"""Landmarks of a place that are looked at, at most, as a multiple of the keypoints: then a pass of the network takes no
longer than one of SuperGlue with as many keypoints on either side."""
_LEAST = 64
"""Landmarks that are looked at however few keypoints there are."""
DOUBTED = 0.7
"""How much less likely a pair of nearest neighbours is to be right where the network has not found it."""
PLACES = 64
"""Places that are kept."""
_NEAREST = 0.05
"""Landmarks nearer than this part of the median distance of a place are not in front of a view."""


@dataclass(frozen=True)
class SuperMapConfig:
    """Options of the network."""

    weights: str = option('', 'Path of SuperMap weights (.safetensors), or of SuperGlue weights, by which nothing of '
                         'landmarks counts but descriptor and position; empty: those that are shipped')
    device: str = option('auto', 'Where the network runs; auto takes the GPU if there is one',
                         choices=('auto', 'cpu', 'cuda'))
    match_threshold: float = option(0.2, 'Lowest confidence of a match of the network', low=0.0, high=1.0)
    sinkhorn_iterations: int = option(20, 'Iterations of the optimal transport', low=1, high=200)
    precision: str = option('auto', 'Arithmetic of the network: auto takes float16 on a GPU, bfloat16 on a CPU that '
                            'computes in it natively, else float32', choices=('auto', *precision.DTYPES))


class SuperMapMatcher:
    """Matches keyframes to the landmarks of places; what the network makes of a place by itself is kept.

    Nearest neighbours by descriptor whose keypoint and landmark the network leaves alone are added: a pose draws on its
    matches as it trusts them (:func:`~superslam_ros.geometry.p3p.draw_pose`), so wrong ones do little harm.

    A place is looked at from a reference view: the pose that is given, such as that of the keyframe of the map that it
    was proposed by, or one made of the landmarks. Give the same one for a place to be known again.
    """

    def __init__(self, config: SuperMapConfig | None = None, min_similarity: float = 0.6) -> None:
        """Load the weights.

        :param min_similarity: lowest cosine of nearest neighbours that are added.
        :raises FileNotFoundError, ValueError: when the file is missing, or of another network.
        :raises RuntimeError: when the device is not there, or does not compute in that precision.
        """
        self.config = config or SuperMapConfig()
        self._nearest = NearestLandmarks(min_similarity)
        self.device = pick_device(self.config.device)
        dtype = precision.pick(self.config.precision, self.device)
        network = supermap.load(checkpoint.locate('supermap', self.config.weights))
        self.network = FoldedSuperMap(network.eval().requires_grad_(False).to(self.device), dtype)
        self._places: OrderedDict[bytes, tuple[np.ndarray, Place | None]] = OrderedDict()

    def match(self, keyframe: Keyframe, landmarks: PlaceLandmarks, T_map_camera: np.ndarray | None = None) -> Found:
        """Return rows of keypoints and of landmarks, and confidences, (M,) each; a row at most once.

        :param T_map_camera: about where the camera is, where that is known.
        :raises ValueError: when the descriptors of both are not those of a SuperPoint.
        """
        for what, one in (('keyframe', keyframe), ('map', landmarks)):
            if len(one) and one.descriptors.shape[1] != superglue.SIZE:
                raise ValueError(f'descriptors of the {what} have {one.descriptors.shape[1]} values, SuperMap takes '
                                 f'{superglue.SIZE}: use the superpoint extractor with it, or match to the nearest')
        nothing = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        if not len(keyframe) or not len(landmarks):
            return nothing
        with torch.inference_mode():
            rows, place = self._place(keyframe, landmarks, T_map_camera)
            if place is None:
                return self._nearest.match(keyframe, landmarks, None)
            query = superglue.KeypointSet(
                superglue.normalise(self._tensor(keyframe.pixels), keyframe.image_size), self._tensor(keyframe.scores),
                self._tensor(keyframe.descriptors))
            query = superglue.KeypointSet(*(part[None] for part in query[:3]))
            assigned = self.network(query, place, self.config.sinkhorn_iterations)[0, :-1, :-1].exp()
            found = superglue.mutual_matches(assigned, self.config.match_threshold)
        keypoints, chosen, confidences = (part.cpu().numpy() for part in found)
        by_network = keypoints, rows[chosen], confidences.clip(0.01, 1)
        return joined(by_network, self._nearest.match(keyframe, landmarks, None), DOUBTED)

    def _place(
        self, keyframe: Keyframe, landmarks: PlaceLandmarks, T_map_camera: np.ndarray | None
    ) -> tuple[np.ndarray, Place | None]:
        """Return the rows of the landmarks that are looked at, and what the network keeps of them."""
        count = max(_LEAST, round(MORE * len(keyframe)))
        T = view_of(landmarks) if T_map_camera is None else np.asarray(T_map_camera, dtype=np.float64)
        camera = keyframe.pinhole, keyframe.image_size
        key = hashlib.blake2b(repr((camera, count)).encode(), digest_size=16)
        for part in (T, landmarks.ids, landmarks.points, landmarks.count, landmarks.last_seen_ns):
            key.update(np.ascontiguousarray(part).tobytes())
        kept = self._places.get(key.digest())
        if kept is None:
            rows = in_view(landmarks, T, keyframe, count)
            kept = rows, self._remember(landmarks.select(rows), T, keyframe) if len(rows) else None
            self._places[key.digest()] = kept
            while len(self._places) > PLACES:
                self._places.popitem(last=False)
        self._places.move_to_end(key.digest())
        return kept

    def _remember(self, landmarks: PlaceLandmarks, T: np.ndarray, keyframe: Keyframe) -> Place:
        ages_s = (landmarks.last_seen_ns.max() - landmarks.last_seen_ns) * 1e-9
        # Relative to the view: maps may be large, and float32 is not.
        parts = (landmarks.points - T[:3, 3], landmarks.covariance, landmarks.direction,
                 np.exp2(landmarks.octave), landmarks.count, ages_s)
        reference = self._tensor(inverse(compose(T[:3, :3], np.zeros(3))))
        keypoints, about = supermap.seen_from(reference, self._tensor(keyframe.pinhole.K), keyframe.image_size,
                                              Known(*map(self._tensor, parts)))
        descriptors = self._tensor(landmarks.descriptors)
        return self.network.remember(LandmarkSet(keypoints[None], descriptors[None], about[None]))

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(self.device)


def in_view(landmarks: PlaceLandmarks, T_map_camera: np.ndarray, keyframe: Keyframe, count: int) -> np.ndarray:
    """Return the rows, in order, of at most ``count`` landmarks in front of a view.

    Those in its image or near it that have been seen most often come first.
    """
    at = (landmarks.points - T_map_camera[:3, 3]) @ T_map_camera[:3, :3]
    front = np.flatnonzero(at[:, 2] > _NEAREST * np.median(np.linalg.norm(at, axis=1)))
    pixels = keyframe.pinhole.project(at[front])
    size = np.array(keyframe.image_size)
    outside = np.maximum(-pixels, pixels - size).max(1) / size.max()     # 0 at the edge, in parts of the image
    near = outside < 0.5
    front, outside = front[near], outside[near].clip(0)
    order = np.lexsort((landmarks.ids[front], -np.log1p(landmarks.count[front]) * (1 - outside)))
    return np.sort(front[order[:count]])


def view_of(landmarks: PlaceLandmarks) -> np.ndarray:
    """Return a T_map_camera that looks at landmarks from where cameras have looked at them, upright (z of the map)."""
    across = np.eye(3) - landmarks.direction[:, :, None] * landmarks.direction[:, None].astype(np.float64)
    # The point that is nearest to all lines of sight.
    eye = np.linalg.lstsq(across.sum(0), np.einsum('nij,nj->i', across, landmarks.points), rcond=1e-6)[0]
    forward = landmarks.direction.mean(0, dtype=np.float64)
    forward = forward / np.linalg.norm(forward) if np.linalg.norm(forward) > 1e-6 else np.array([1.0, 0, 0])
    right = np.cross(forward, [0, 0, 1])
    right = right / np.linalg.norm(right) if np.linalg.norm(right) > 1e-3 else np.array([0.0, -1, 0])
    return compose(np.stack([right, np.cross(forward, right), forward], 1), eye)
