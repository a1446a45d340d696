"""Keyframes of exact worlds without an odometry, and what has to be true of every map."""

from __future__ import annotations

import numpy as np
from points import LEFT, PointWorld, names

from superslam_ros.geometry.camera import ideal
from superslam_ros.geometry.pose import T_BODY_OPTICAL, compose, inverse, rotation_exp, transform
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.map import Map

STEP_NS = 500_000_000
EMBEDDING = np.zeros(8)


def all_round(seed: int = 0, noise_px: float = 0.0) -> PointWorld:
    """Return a world whose landmarks are on all sides of the camera."""
    points = np.random.default_rng(seed).uniform([-9, -9, -2], [9, 9, 2], (1200, 3))
    return PointWorld(points[np.abs(points[:, :2]).max(1) > 5], noise_px, seed)


def lap(count: int, radius_m: float = 2.0) -> list[np.ndarray]:
    """Return poses on a circle, looking outward."""
    return [compose(rotation_exp([0, 0, angle]), radius_m * np.array([np.cos(angle), np.sin(angle), 0]))
            @ T_BODY_OPTICAL for angle in np.arange(count) * (2 * np.pi / count)]


class Looker:
    """Makes the keyframes of one segment: landmark i of the world is known to its odometry as ``first_id + i``."""

    def __init__(self, world: PointWorld, start_ns: int = 0, segment: int = 1, first_id: int = 1) -> None:
        """Begin at a time."""
        self.world, self.segment, self.first_id = world, segment, first_id
        self.stamp_ns, self.last, self.origin = start_ns, None, None

    def look(self, T_world_camera: np.ndarray, seen: np.ndarray | None = None) -> Keyframe:
        """Return the keyframe of a pose, half a second after the last one; odom begins at the first.

        :param seen: (L,) bool, of the world's landmarks: which have keypoints.
        """
        points = transform(inverse(T_world_camera), self.world.landmarks)
        pixels = ideal(LEFT, True).project(points)
        with np.errstate(invalid='ignore'):
            inside = (points[:, 2] > 0.3) & (pixels > 0).all(1) & (pixels < [639, 479]).all(1)
        which = np.flatnonzero(inside if seen is None else inside & seen)
        self.origin = T_BODY_OPTICAL @ inverse(T_world_camera) if self.origin is None else self.origin
        T, last, count = self.origin @ T_world_camera, self.last, len(which)
        self.stamp_ns += STEP_NS
        keyframe = Keyframe(
            self.stamp_ns, self.segment, ideal(LEFT, True), (640, 480), T, 1e-6 * np.eye(6),
            None if last is None else last.stamp_ns, np.eye(4) if last is None else inverse(last.T_odom_camera) @ T,
            1e-6 * np.eye(6), pixels[which], np.ones(count), np.ones(count), np.ones(count),
            names(len(points))[which], which + self.first_id, points[which],
            np.tile(1e-4 * np.eye(3), (count, 1, 1)), True)
        self.last = keyframe
        return keyframe


def built(world: PointWorld, poses: list[np.ndarray]) -> tuple[Map, Looker]:
    """Return a map of one session at the true poses, and who made its keyframes."""
    looker, made = Looker(world), Map()
    session = made.add_session('first', 0)
    for T in poses:
        made.add(looker.look(T), T, session, EMBEDDING)
    return made, looker


def numbers_in(made: Map, world: PointWorld, keyframe_ids: list[int]) -> np.ndarray:
    """Return which landmarks of the world the landmarks of some keyframes are, by their descriptors."""
    return (made.landmarks_of(keyframe_ids).descriptors @ names(len(world.landmarks)).T).argmax(1)


def check(made: Map) -> None:
    """Assert what holds for every map."""
    seen: dict[int, set[int]] = {}
    for number, one in made.keyframes.items():
        assert one.id == number < made.next_id and one.session in made.sessions and one.camera in made.cameras
        assert len(one.pixels) == len(one.sigma_px) == len(one.landmark_ids) <= one.keypoints
        assert len(np.unique(one.landmark_ids)) == len(one.landmark_ids)
        assert (made.landmarks.rows(one.landmark_ids) >= 0).all()
        for landmark in one.landmark_ids.tolist():
            seen.setdefault(landmark, set()).add(number)
    living, table = made.landmarks.living(), made.landmarks
    assert len(living) == len(table) and (np.diff(table.ids) > 0).all()
    assert set(table.ids[living].tolist()) == set(seen)
    for row in living.tolist():
        number = int(table.ids[row])
        assert int(table.host[row]) in seen[number] and table.count[row] >= 1
        assert table.first_seen_ns[row] <= table.last_seen_ns[row]
    assert {number: set(made.keyframes) & keyframes for number, keyframes in made.seen_by(table.ids[living]).items()} \
        == seen
    for edge in made.edges:
        assert edge.start in made.keyframes and edge.end in made.keyframes and edge.start != edge.end
        assert (np.linalg.eigvalsh(edge.covariance) > 0).all()


def true_to(made: Map, poses: dict[int, np.ndarray], atol: float = 1e-6) -> None:
    """Assert that edges say how poses, by keyframe id, lie to each other."""
    for edge in made.edges:
        np.testing.assert_allclose(edge.T_start_end, inverse(poses[edge.start]) @ poses[edge.end], atol=atol)
