"""What a map holds, and what is asked of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.maps.landmarks import LandmarkTable, PlaceLandmarks, unit
from superslam_ros.maps.parts import Edge, MapKeyframe, Session, in_metres


class Content:
    """Keyframes of many sessions, the landmarks that they see, and the edges between them.

    Ids of all are from 1 on, and never given twice.

    :ivar sessions: by id; ``cameras``: (pinhole, image size) by id; ``keyframes`` by id.
    :ivar landmarks: each is kept in the frame of one of the keyframes that see it.
    :ivar edges: what the odometry said, and the loops.
    :ivar next_id: of the next keyframe.
    :ivar vocabulary: SHA-256 of that which made the embeddings; '' where not known.
    :ivar revision: grows with every change.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self.sessions: dict[int, Session] = {}
        self.cameras: dict[int, tuple[Pinhole, tuple[int, int]]] = {}
        self.keyframes: dict[int, MapKeyframe] = {}
        self.landmarks = LandmarkTable()
        self.edges: list[Edge] = []
        self.next_id = 1
        self.vocabulary = ''
        self.revision = 0
        self._guests: dict[int, set[int]] = {}      # of a host: who sees landmarks of its, and some that do not

    def __len__(self) -> int:
        """Return the number of keyframes."""
        return len(self.keyframes)

    @property
    def weights(self) -> str:
        """SHA-256 of the network that made the descriptors; empty where not known."""
        return next((one.weights for one in self.sessions.values() if one.weights), '')

    @property
    def metric(self) -> bool:
        """Whether the unit is the metre."""
        return in_metres(self.sessions.values())

    @property
    def embedding_size(self) -> int:
        """How many numbers an embedding has; 0 of an empty map."""
        return next((len(one.embedding) for one in self.keyframes.values()), 0)

    def camera(self, pinhole: Pinhole, image_size: tuple[int, int]) -> int:
        """Return the id of a camera, which is given one where it is new."""
        camera = pinhole, tuple(image_size)
        for number, known in self.cameras.items():
            if known == camera:
                return number
        self.cameras[len(self.cameras) + 1] = camera
        return len(self.cameras)

    def put(self, keyframe: MapKeyframe) -> None:
        """Put a keyframe in as it is, whose landmarks are there."""
        self.keyframes[keyframe.id] = keyframe
        self.next_id = max(self.next_id, keyframe.id + 1)
        self.admit(keyframe.id)
        self.revision += 1

    def admit(self, keyframe_id: int) -> None:
        """Note whose landmarks a keyframe sees, after they or their hosts have changed."""
        rows = self.landmarks.rows(self.keyframes[keyframe_id].landmark_ids)
        for host in np.unique(self.landmarks.host[rows]).tolist():
            self._guests.setdefault(host, set()).add(keyframe_id)

    def hand_over(self, host: int, others: list[int]) -> None:
        """Note that the landmarks of a host have others now."""
        guests = self._guests.pop(host, set())
        for other in others:
            self._guests.setdefault(other, set()).update(guests)

    def hosts(self, rows: np.ndarray) -> np.ndarray:
        """Return T_map_camera (M, 4, 4) of the hosts of landmarks (M,), by row."""
        hosts, which = np.unique(self.landmarks.host[rows], return_inverse=True)
        if not len(hosts):
            return np.zeros((0, 4, 4))
        return np.stack([self.keyframes[one].T_map_camera for one in hosts.tolist()])[which.ravel()]

    def points_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the points (M, 3) in the map of landmarks (M,), by row."""
        T = self.hosts(rows)
        return np.einsum('nij,nj->ni', T[:, :3, :3], self.landmarks.points[rows]) + T[:, :3, 3]

    def landmarks_of(self, keyframe_ids: Iterable[int]) -> PlaceLandmarks:
        """Return all landmarks that some keyframes see."""
        seen = [self.keyframes[one].landmark_ids for one in keyframe_ids]
        rows = self.landmarks.rows(np.unique(np.concatenate(seen)) if seen else np.zeros(0, dtype=np.int64))
        table, R = self.landmarks, self.hosts(rows)[:, :3, :3]
        return PlaceLandmarks(
            table.ids[rows], self.points_of(rows), R @ table.covariance[rows] @ R.transpose(0, 2, 1),
            unit(table.descriptors[rows]), table.octave[rows], table.count[rows],
            unit(np.einsum('nij,nj->ni', R, table.direction[rows])), table.last_seen_ns[rows], table.host[rows])

    def sharing(self, keyframe_id: int) -> tuple[np.ndarray, np.ndarray]:
        """Return which other keyframes see which landmarks of a keyframe: keyframe ids and landmark ids, (M,) each."""
        own = self.keyframes[keyframe_id].landmark_ids
        hosts = np.unique(self.landmarks.host[self.landmarks.rows(own)]).tolist()
        others = sorted(set().union(*(self._guests.get(host, set()) for host in hosts)) - {keyframe_id})
        others = [self.keyframes[one] for one in others if one in self.keyframes]
        if not others:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        landmarks = np.concatenate([one.landmark_ids for one in others])
        keyframes = np.repeat([one.id for one in others], [len(one.landmark_ids) for one in others])
        shared = np.isin(landmarks, own)
        return keyframes[shared], landmarks[shared]

    def seen_by(self, landmark_ids: np.ndarray) -> dict[int, set[int]]:
        """Return by landmark which keyframes see it."""
        rows = self.landmarks.rows(landmark_ids)
        hosts = np.unique(self.landmarks.host[rows[rows >= 0]]).tolist()
        found: dict[int, set[int]] = {number: set() for number in landmark_ids.tolist()}
        for one in set().union(*(self._guests.get(host, set()) for host in hosts)) & self.keyframes.keys():
            ids = self.keyframes[one].landmark_ids
            for number in ids[np.isin(ids, landmark_ids)].tolist():
                found[number].add(one)
        return found

    def neighbours(self, keyframe_id: int, count: int) -> list[int]:
        """Return the keyframes that share landmarks with one, those that share most first, at most ``count``."""
        others, shared = np.unique(self.sharing(keyframe_id)[0], return_counts=True)
        return others[np.argsort(-shared, kind='stable')[:count]].tolist()

    def move(self, poses: Mapping[int, np.ndarray], scales: Mapping[int, float] | None = None) -> None:
        """Move keyframes, and with them the landmarks that they host.

        :param poses: T_map_camera (4, 4) by keyframe id.
        :param scales: by keyframe id, by how much its surroundings grow; by default not at all.
        """
        for number, T in poses.items():
            self.keyframes[number].T_map_camera = np.array(T, dtype=np.float64)
        if scales:
            factor = np.ones(self.next_id, dtype=np.float32)
            factor[list(scales)] = list(scales.values())
            factor = factor[self.landmarks.host]
            self.landmarks.points[:] *= factor[:, None]
            self.landmarks.covariance[:] *= factor[:, None, None]**2
            self.edges = [edge.grown(scales.get(edge.start, 1.0), scales.get(edge.end, 1.0)) for edge in self.edges]
        self.revision += 1
