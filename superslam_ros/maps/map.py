"""A map in memory, as it is built."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import numpy as np

from superslam_ros.geometry.pose import carry_covariance, inverse, rotate_covariance
from superslam_ros.geometry.similarity import resized, resized_covariance
from superslam_ros.maps import culling, joining
from superslam_ros.maps.content import Content
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.landmarks import quantised, unit
from superslam_ros.maps.parts import Edge, MapError, MapKeyframe, Session, step_of

LEAST_KNOWN = 0.5
"""A landmark is taken when the deviation of its distance is below this part of it."""
REDUNDANT, COVERED, WINDOW = 0.9, 0.3, 20
"""A keyframe goes when others see the first part of its landmarks, or when the second part of them was known before:
to another session, or to its own more than so many keyframes ago."""
TRACKS, RECENT = 20000, 50
"""Of a session: landmarks of the odometry whose identity in the map is remembered, and keyframes that new ones may be
tied to; the newest ones."""


class Map(Content):
    """A map that grows: what the odometry says of keyframes goes in, and what is not needed goes out."""

    def __init__(self) -> None:
        """Begin empty."""
        super().__init__()
        self._tracks: dict[int, dict[int, int]] = {}        # by session: landmarks of the odometry -> of the map
        self._latest: dict[int, Keyframe] = {}
        self._scales: dict[int, float] = {}                 # by session: the unit of its odometry, in the map's
        self._stand_ins: dict[int, dict[int, Edge]] = {}    # by session and stamp, to the keyframe of then
        self.growth: dict[int, float] = {}
        """By keyframe, what its surroundings have been multiplied by since somebody took note of it."""

    def add_session(self, name: str, start_ns: int, weights: str = '', metric: bool = True) -> int:
        """Begin a session and return its id.

        :raises MapError: when its descriptors are of another network than the map's.
        """
        if weights and self.weights and weights != self.weights:
            raise MapError(f'the map was made with the weights {self.weights[:12]} of SuperPoint, these keyframes with '
                           f'{weights[:12]}: use the same extractor.weights, or build a new map')
        number = max(self.sessions, default=0) + 1
        self.sessions[number] = Session(number, name, start_ns, weights, metric)
        self.revision += 1
        return number

    def add(
        self, keyframe: Keyframe, T_map_camera: np.ndarray, session: int, embedding: np.ndarray,
        matches: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> int:
        """Add a keyframe, its landmarks and its odometry edge, and return its id.

        :param embedding: (E,).
        :param matches: rows (M,) of keypoints that show landmarks (M,) of the map, by id: what the odometry takes for
            new is known again by them.
        :raises MapError: when the places of the map were embedded by another vocabulary.
        """
        if len(self) and len(embedding) != self.embedding_size:
            raise MapError(f'the map knows places by {self.embedding_size} numbers, and this keyframe has '
                           f'{len(embedding)}: it was made with another vocabulary; build a new map')
        keyframe = _grown(keyframe, self._scales.setdefault(session, 1.0))
        edge = self._tie(keyframe, session)
        number, table = self.next_id, self.landmarks
        ids = self._identify(keyframe, session, matches)
        known = np.flatnonzero(ids > 0)
        self._see(keyframe, T_map_camera, session, known, table.rows(ids[known]))
        new = np.flatnonzero((ids == 0) & _well_known(keyframe))
        ids[new] = table.append(
            host=np.full(len(new), number), points=keyframe.points[new], covariance=keyframe.point_covariance[new],
            octave=np.log2(keyframe.scales[new]), count=np.ones(len(new)), direction=unit(keyframe.points[new]),
            first_seen_ns=np.full(len(new), keyframe.stamp_ns), last_seen_ns=np.full(len(new), keyframe.stamp_ns),
            descriptors=quantised(keyframe.descriptors[new]))
        self._remember(keyframe, session, ids)
        shown = np.flatnonzero(ids > 0)
        self.put(MapKeyframe(
            number, keyframe.stamp_ns, session, self.camera(keyframe.pinhole, keyframe.image_size),
            np.array(T_map_camera, dtype=np.float64), np.asarray(embedding, dtype=np.float16), keyframe.pixels[shown],
            keyframe.sigma_px[shown], ids[shown], len(keyframe)))
        if edge is not None:
            self.edges.append(replace(edge, end=number))
        self._latest[session] = keyframe
        stand_ins = self._stand_ins.setdefault(session, {})
        stand_ins[keyframe.stamp_ns] = Edge(number, 0, np.eye(4), np.zeros((6, 6)))
        for old in list(stand_ins)[:-RECENT]:
            del stand_ins[old]
        return number

    def tie(self, keyframe: Keyframe, session: int) -> Edge | None:
        """Return what the odometry says of a keyframe that is not in the map yet: an edge to it, with end 0.

        From the keyframe that it is tied to, or from one that stands in for it; where that never came, from the
        session's latest. None for the first of a session.
        """
        return self._tie(_grown(keyframe, self._scales.get(session, 1.0)), session)

    def _tie(self, keyframe: Keyframe, session: int) -> Edge | None:
        stand_ins, latest = self._stand_ins.get(session, {}), self._latest.get(session)
        tracks = self._tracks.get(session, {})
        shared = sum(own in tracks for own in keyframe.landmark_ids.tolist())
        if keyframe.previous_stamp_ns in stand_ins:
            step = step_of(keyframe, keyframe.T_previous_camera, keyframe.edge_covariance, shared)
            return stand_ins[keyframe.previous_stamp_ns].then(step)
        if latest is None or latest.stamp_ns not in stand_ins:
            return None
        T = latest.T_odom_camera
        change = keyframe.covariance - carry_covariance(latest.covariance, keyframe.T_odom_camera[:3, 3] - T[:3, 3])
        values, axes = np.linalg.eigh(rotate_covariance(T[:3, :3].T, change))
        covariance = (axes * np.abs(values)) @ axes.T + keyframe.edge_covariance
        step = step_of(keyframe, inverse(T) @ keyframe.T_odom_camera, covariance, shared)
        return stand_ins[latest.stamp_ns].then(step)

    def known_as(self, keyframe: Keyframe, session: int) -> np.ndarray:
        """Return the landmark (N,) in the map of every keypoint by what the odometry follows; 0 where it has none."""
        return self._identify(keyframe, session, None)

    def _identify(
        self, keyframe: Keyframe, session: int, matches: tuple[np.ndarray, np.ndarray] | None
    ) -> np.ndarray:
        """Return the landmark (N,) in the map of every keypoint, each at most once; 0 where it has none yet."""
        tracks = self._tracks.get(session, {})
        ids = np.array([tracks.get(own, 0) for own in keyframe.landmark_ids.tolist()], dtype=np.int64)
        if matches is not None:
            rows, found = matches
            free = (ids[rows] == 0) & ~np.isin(found, ids)
            ids[rows[free]] = found[free]
        ids[self.landmarks.rows(ids) < 0] = 0
        first = np.zeros(len(ids), dtype=bool)
        first[np.unique(ids, return_index=True)[1]] = True
        return np.where(first, ids, 0)

    def _see(
        self, keyframe: Keyframe, T_map_camera: np.ndarray, session: int, known: np.ndarray, rows: np.ndarray
    ) -> None:
        """Let landmarks (M,), by row, know of the keypoints (M,) that show them."""
        if not len(rows):
            return
        table = self.landmarks
        T_camera_host = inverse(T_map_camera) @ self.hosts(rows)
        R = T_camera_host[:, :3, :3]
        ways = np.einsum('nij,nj->ni', R, table.points[rows]) + T_camera_host[:, :3, 3]
        table.see(rows, keyframe.descriptors[known], unit(np.einsum('nji,nj->ni', R, ways)), keyframe.stamp_ns)
        # Where a landmark of this session is, the odometry goes on finding out.
        mine = np.array([self.keyframes[one].session == session for one in table.host[rows].tolist()], dtype=bool)
        covariance = R.transpose(0, 2, 1) @ keyframe.point_covariance[known] @ R
        with np.errstate(invalid='ignore'):
            mine &= np.trace(covariance, axis1=1, axis2=2) < np.trace(table.covariance[rows], axis1=1, axis2=2)
        points = np.einsum('nji,nj->ni', R, keyframe.points[known] - T_camera_host[:, :3, 3])
        table.points[rows[mine]], table.covariance[rows[mine]] = points[mine], covariance[mine]

    def _remember(self, keyframe: Keyframe, session: int, ids: np.ndarray) -> None:
        """Remember which landmarks of the odometry are which of the map."""
        tracks = self._tracks.setdefault(session, {})
        both = (keyframe.landmark_ids > 0) & (ids > 0)
        tracks.update(zip(keyframe.landmark_ids[both].tolist(), ids[both].tolist()))
        if len(tracks) > 2 * TRACKS:
            self._tracks[session] = dict(sorted(tracks.items())[-TRACKS:])

    # --- what goes, and what becomes one ----------------------------------------------------------

    def remove(self, keyframe_id: int, heirs: Collection[int] = ()) -> None:
        """Remove a keyframe; landmarks that others see stay, and its edges are joined into those of its neighbour.

        :param heirs: among which that neighbour is, if one is tied to it.
        """
        instead = culling.remove(self, keyframe_id, heirs)
        for session, stand_ins in self._stand_ins.items():
            self._stand_ins[session] = {
                stamp_ns: instead.then(edge) if edge.start == keyframe_id else edge
                for stamp_ns, edge in stand_ins.items() if instead is not None or edge.start != keyframe_id}

    def move(self, poses: Mapping[int, np.ndarray], scales: Mapping[int, float] | None = None) -> None:
        """Move keyframes as :meth:`Content.move` does; what a session adds from now on is as large as its latest."""
        super().move(poses, scales)
        if not scales:
            return
        for number, factor in scales.items():
            self.growth[number] = self.growth.get(number, 1.0) * factor
        for session, stand_ins in self._stand_ins.items():
            latest = stand_ins.get(self._latest[session].stamp_ns)
            factor = 1.0 if latest is None else scales.get(latest.start, 1.0)
            self._grow(session, factor)
            self._stand_ins[session] = {stamp_ns: edge.grown(scales.get(edge.start, 1.0), factor)
                                        for stamp_ns, edge in stand_ins.items()}

    def rescale(self, factor: float) -> None:
        """Multiply all lengths."""
        poses = {number: resized(one.T_map_camera, factor) for number, one in self.keyframes.items()}
        self.move(poses, dict.fromkeys(poses, factor))

    def unit(self, session: int) -> float:
        """Return what lengths of a session's odometry are multiplied by to be those of the map, as of now."""
        return self._scales.get(session, 1.0)

    def cull(
        self, keyframe_ids: Iterable[int] | None = None, max_keyframes: int = 0, latest: int = 1
    ) -> list[int]:
        """Remove the keyframes that others make superfluous, and landmarks that nobody has seen again.

        :param keyframe_ids: which to look at, those that have been added since and some before; by default all.
        :param max_keyframes: where there are more, those that are missed least go, until a twentieth less than so many
            are left; 0: no limit.
        :param latest: of every session, so many stay.
        :returns: the ids of what was removed.
        """
        wanted = list(self.keyframes if keyframe_ids is None else keyframe_ids)
        sessions = {self.keyframes[number].session for number in wanted if number in self.keyframes}
        newest = culling.latest(self, set(self.sessions) if 0 < max_keyframes < len(self) else sessions, latest)
        gone = []
        for number in wanted:
            if number in self.keyframes and number not in newest and (
                    self._known_before(number) >= COVERED or culling.redundancy(self, number) >= REDUNDANT):
                self.remove(number)
                gone.append(number)
        if 0 < max_keyframes < len(self):
            for number in culling.fewer(self, max_keyframes - max_keyframes // 20, newest):
                self.remove(number)
                gone.append(number)
        culling.forget_unconfirmed(self, wanted)
        return gone

    def _known_before(self, keyframe_id: int) -> float:
        """Return which part of a recent keyframe's landmarks was known to another session, or to its own long ago."""
        keyframe = self.keyframes[keyframe_id]
        stamps = [one for one in self._stand_ins.get(keyframe.session, ()) if one <= keyframe.stamp_ns]
        rows = self.landmarks.rows(keyframe.landmark_ids)
        if not stamps or not len(rows):
            return 0.0
        since = stamps[-WINDOW] if len(stamps) >= WINDOW else self.sessions[keyframe.session].start_ns
        hosts = self.landmarks.host[rows].tolist()
        others = np.array([self.keyframes[one].session != keyframe.session for one in hosts], dtype=bool)
        return float((others | (self.landmarks.first_seen_ns[rows] < since)).mean())

    def merge_landmarks(self, pairs: np.ndarray) -> int:
        """Make one landmark of each pair (M, 2) of ids; the first one's id stays. Returns how many are gone.

        A pair that one keyframe sees as two keypoints is two landmarks, and stays.
        """
        merged = joining.merge_landmarks(self, pairs)
        for tracks in self._tracks.values():
            tracks.update({own: merged[number] for own, number in tracks.items() if number in merged})
        return len(merged)

    def join(self, other: Map, T_map_other: np.ndarray, scale: float = 1.0) -> joining.Joined:
        """Add all that another map holds; a session of its that is going on may go on in this one.

        :param T_map_other: (4, 4) of the other map's origin in this one.
        :param scale: what the other map's lengths are multiplied by before that.
        :raises MapError: when they were made with different weights or vocabularies.
        """
        joined = joining.join(self, other, T_map_other, scale)
        for session, latest in other._latest.items():
            new = joined.sessions[session]
            self._latest[new] = latest
            self._tracks[new] = {own: joined.landmarks[number] for own, number in other._tracks[session].items()
                                 if number in joined.landmarks}
            self._stand_ins[new] = {stamp_ns: replace(edge.grown(scale, scale), start=joined.keyframes[edge.start])
                                    for stamp_ns, edge in other._stand_ins[session].items()}
            self._scales[new] = other._scales[session]
            self._grow(new, scale)
        return joined

    def _grow(self, session: int, factor: float) -> None:
        """Take the unit of a session's odometry to be so many times as large from now on."""
        self._scales[session] *= factor
        self._latest[session] = _grown(self._latest[session], factor)


def _well_known(keyframe: Keyframe) -> np.ndarray:
    """Return which keypoints (N,) show a point whose distance is known."""
    with np.errstate(invalid='ignore'):
        distance = np.linalg.norm(keyframe.points, axis=1)
        return np.trace(keyframe.point_covariance, axis1=1, axis2=2) < (LEAST_KNOWN * distance)**2


def _grown(keyframe: Keyframe, factor: float) -> Keyframe:
    """Return a keyframe with all lengths multiplied by a factor."""
    if factor == 1:
        return keyframe
    return replace(
        keyframe, T_odom_camera=resized(keyframe.T_odom_camera, factor),
        covariance=resized_covariance(keyframe.covariance, factor),
        T_previous_camera=resized(keyframe.T_previous_camera, factor),
        edge_covariance=resized_covariance(keyframe.edge_covariance, factor), points=factor * keyframe.points,
        point_covariance=factor**2 * keyframe.point_covariance)
