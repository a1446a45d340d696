"""What the odometry hands to a map: a keyframe on its own, with what it knew when it was made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from superslam_ros.data import Camera, Features
from superslam_ros.geometry.camera import Pinhole, alone, ideal, to_ideal
from superslam_ros.geometry.pnp import landmark_information
from superslam_ros.geometry.pose import carry_covariance, inverse, rotate_covariance, transform
from superslam_ros.geometry.reprojection import linearise, normal_equations, whitening

if TYPE_CHECKING:   # PyTorch is not needed to read a map
    from superslam_ros.slam.mapping.map import View
    from superslam_ros.slam.motion import MotionEstimator

SHARED = 12
"""Landmarks that tie two keyframes to each other."""
CORRELATED = 1.5
"""How much larger an edge's variance is than its pixels alone would have it: landmarks share errors (in point worlds
between 1.3 and 1.7)."""
LEAST_VARIANCE = 1e-10
"""Of every direction of an edge (m^2, rad^2), and 1/m^2 of what is known of any landmark."""
_POSES = ('T_odom_camera', 'covariance', 'T_previous_camera', 'edge_covariance')


@dataclass(frozen=True, eq=False)
class Keyframe:
    """A keyframe of the odometry; row i belongs to keypoint i. Live, from a message and from a bag it is the same.

    :ivar segment: which odometry: poses of different segments have nothing to do with each other.
    :ivar pinhole: the ideal camera of ``pixels``; ``image_size`` (width, height).
    :ivar T_odom_camera: (4, 4) pose of the ideal camera's optical frame; ``covariance`` (6, 6) of it, in odom.
    :ivar previous_stamp_ns: the earlier keyframe of this segment that it is tied to, None for the first: the newest
        that shares landmarks, or else the one before. ``T_previous_camera`` (4, 4) and ``edge_covariance`` (6, 6), in
        the axes of that camera, are as they were when this keyframe was made: the smoother moves keyframes later, so
        poses of different times are not to be compared.
    :ivar pixels: (N, 2) float32 ideal pixels; ``sigma_px`` (N,) their deviations; ``scores`` (N,); ``scales`` (N,) as
        in ``Features``; ``descriptors`` (N, D) float32, unit length.
    :ivar landmark_ids: (N,) int64 identities in the odometry, which live as long as the segment; 0 where none.
    :ivar points: (N, 3) float32 metres in this camera's frame, NaN where no landmark; ``point_covariance`` (N, 3, 3).
    :ivar metric: False when the unit is not the metre (one camera without scale).
    :ivar weights: SHA-256 of those that made the descriptors, as in ``Features``.
    """

    stamp_ns: int
    segment: int
    pinhole: Pinhole
    image_size: tuple[int, int]
    T_odom_camera: np.ndarray
    covariance: np.ndarray
    previous_stamp_ns: int | None
    T_previous_camera: np.ndarray
    edge_covariance: np.ndarray
    pixels: np.ndarray
    sigma_px: np.ndarray
    scores: np.ndarray
    scales: np.ndarray
    descriptors: np.ndarray
    landmark_ids: np.ndarray
    points: np.ndarray
    point_covariance: np.ndarray
    metric: bool = True
    weights: str = ''

    def __post_init__(self) -> None:
        """Bring the arrays to their types.

        :raises ValueError: naming the field that has another shape than its keypoints ask for, is not finite, or not
            positive where it has to be.
        """
        count = len(self.landmark_ids)
        shapes = {'T_odom_camera': (4, 4), 'covariance': (6, 6), 'T_previous_camera': (4, 4),
                  'edge_covariance': (6, 6), 'pixels': (count, 2), 'sigma_px': (count,), 'scores': (count,),
                  'scales': (count,), 'descriptors': (count, np.shape(self.descriptors)[-1]), 'landmark_ids': (count,),
                  'points': (count, 3), 'point_covariance': (count, 3, 3)}
        for name, shape in shapes.items():
            kind = np.int64 if name == 'landmark_ids' else np.float64 if name in _POSES else np.float32
            value = np.ascontiguousarray(getattr(self, name), dtype=kind)
            if value.shape != shape:
                raise ValueError(f'keyframe: {name} has shape {value.shape}, expected {shape}')
            if name not in ('points', 'point_covariance') and not np.isfinite(value).all():
                raise ValueError(f'keyframe: {name} holds NaN or infinity')
            if name in ('sigma_px', 'scales') and not (value > 0).all():
                raise ValueError(f'keyframe: {name} must be positive')
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        """Return the number of keypoints."""
        return len(self.pixels)

    def select(self, rows: np.ndarray) -> Keyframe:
        """Return the keyframe with some of its keypoints, by index or mask."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _ROWS})

    def strongest(self, count: int) -> Keyframe:
        """Return the keyframe with at most ``count`` keypoints, those of landmarks first, then by score; in order."""
        if len(self) <= count:
            return self
        order = np.lexsort((-self.scores, self.landmark_ids == 0))
        return self.select(np.sort(order[:count]))


_ROWS = ('pixels', 'sigma_px', 'scores', 'scales', 'descriptors', 'landmark_ids', 'points', 'point_covariance')


def of_frame(features: Features, camera: Camera, rectified: bool, pair: bool, stamp_ns: int) -> Keyframe:
    """Return a keyframe of one frame, which knows nothing but its keypoints.

    :param camera: of the image; ``rectified``: whether that is; ``pair``: whether there is a right one, too. The
        keyframe is of the ideal camera, as :func:`~superslam_ros.geometry.camera.rectification` turns it.
    """
    if not rectified and not pair:
        camera = alone(camera)
    pixels = to_ideal(camera, features.keypoints, rectified)
    good = np.flatnonzero(np.isfinite(pixels).all(1))
    count, eye, scales = len(good), np.eye(6), features.scales[good]
    return Keyframe(
        stamp_ns, 1, ideal(camera, rectified), features.image_size, np.eye(4), eye, None, np.eye(4), eye, pixels[good],
        scales, features.scores[good], scales, features.descriptors[good], np.zeros(count, np.int64),
        np.full((count, 3), np.nan), np.full((count, 3, 3), np.nan), True, features.weights)


class KeyframeFeed:
    """Hands out every keyframe of an odometry once, and counts its segments: every map that it begins is one."""

    def __init__(self, motion: MotionEstimator) -> None:
        """Begin with segment 1."""
        self._motion, self._map, self._told, self.segment = motion, motion.map, 0, 1

    def new(self) -> list[Keyframe]:
        """Return the keyframes that have come since the last call, oldest first; to be called after every frame.

        Mostly one or none; two where the frame before has become a keyframe as well.
        """
        if self._motion.map is not self._map:
            self._map, self._told = self._motion.map, 0
            self.segment += 1
        count = min(self._map.total - self._told, len(self._map.keyframes))
        self._told = self._map.total
        return [keyframe_of(self._motion, self.segment, -back) for back in range(count, 0, -1)]


def keyframe_of(motion: MotionEstimator, segment: int, position: int = -1) -> Keyframe:
    """Return a keyframe of an odometry's local map as it is now, by default the newest.

    :param segment: the number to give it.
    :raises IndexError: when there is none.
    """
    keyframes = motion.map.keyframes
    view, honesty = keyframes[position], motion.noise.honesty()
    earlier = keyframes[:len(keyframes) + position]
    previous = _tied_to(view, earlier)
    T_odom_camera = view.T_odom_camera.copy()
    T_previous_camera, edge_covariance = np.eye(4), np.eye(6)
    if previous is not None:
        T_previous_camera = inverse(previous.T_odom_camera) @ T_odom_camera
        edge_covariance = _edge_covariance(motion, previous, view)
    good = np.flatnonzero(np.isfinite(view.pixels).all(1))      # a very wide lens sees more than the ideal camera
    ids, points, covariance = _landmarks(motion, view, good)
    return Keyframe(
        view.stamp_ns, segment, view.pinhole, view.features.image_size, T_odom_camera,
        view.covariance * honesty + motion.doubt.of_position(T_odom_camera[:3, 3]),
        None if previous is None else previous.stamp_ns, T_previous_camera, edge_covariance, view.pixels[good],
        view.pixel_sigma[good] * np.sqrt(honesty), view.features.scores[good], view.features.scales[good],
        view.features.descriptors[good], ids, points, covariance * honesty, motion.metric,
        view.features.weights)


def _tied_to(view: View, earlier: list[View]) -> View | None:
    """Return the newest of earlier keyframes that shares enough landmarks with a view, or the newest of all."""
    own = view.landmark_ids[view.landmark_ids > 0]
    for one in reversed(earlier):
        if np.isin(own, one.landmark_ids).sum() >= SHARED:
            return one
    return earlier[-1] if earlier else None


def _landmarks(motion: MotionEstimator, view: View, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ids (N,), points (N, 3) and covariance (N, 3, 3) in the view's frame of what keypoints (N,) show."""
    table, R = motion.map.landmarks, view.T_odom_camera[:3, :3]
    at, known = motion.map.known(view, rows)
    ids = np.zeros(len(rows), dtype=np.int64)
    points, covariance = np.full((len(rows), 3), np.nan), np.full((len(rows), 3, 3), np.nan)
    ids[at] = table.ids[known]
    points[at] = transform(inverse(view.T_odom_camera), table.points[known])
    covariance[at] = R.T @ table.covariance[known] @ R
    return ids, points, covariance


def _edge_covariance(motion: MotionEstimator, previous: View, view: View) -> np.ndarray:
    """Return the covariance (6, 6) of a view's pose in an earlier one, in the axes of that one's camera.

    By the landmarks that both see: what the view's pixels tell of its pose, the landmarks being as uncertain as the
    others left them. Where too few are shared, by how much surer or less sure of its pose the odometry has become.
    """
    at, rows = motion.map.known(view)
    shared = np.isin(view.landmark_ids[at], previous.landmark_ids) & np.isfinite(view.pixels[at]).all(1)
    step = view.T_odom_camera[:3, 3] - previous.T_odom_camera[:3, 3]
    if shared.sum() >= SHARED:
        covariance = CORRELATED * _from_pixels(motion, view, at[shared], rows[shared])
    else:
        change = view.covariance - carry_covariance(previous.covariance, step)
        values, axes = np.linalg.eigh(change)
        covariance = (axes * np.abs(values)) @ axes.T
    covariance = covariance * motion.noise.honesty()
    if motion.metric:
        covariance = covariance + motion.doubt.of_velocity(np.append(step, np.zeros(3)))
    covariance = rotate_covariance(previous.T_odom_camera[:3, :3].T, covariance + LEAST_VARIANCE * np.eye(6))
    return (covariance + covariance.T) / 2


def _from_pixels(motion: MotionEstimator, view: View, indices: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the covariance (6, 6) of a view's pose in odom from what landmarks (M,) are without its own pixels."""
    table = motion.map.landmarks
    points, T = table.points[rows], view.T_odom_camera
    own = landmark_information(view.observing(indices, points, table.covariance[rows]), view.pinhole, T)
    values, axes = np.linalg.eigh(np.linalg.inv(table.covariance[rows]) - own)
    before = (axes / np.maximum(values, LEAST_VARIANCE)[:, None]) @ axes.transpose(0, 2, 1)
    seen = view.observing(indices, points, before)
    information, _ = normal_equations(linearise(seen, view.pinhole, T, whitening(seen, view.pinhole, T)))
    return np.linalg.pinv(information, hermitian=True)
