"""The spine of a map: from a keyframe of the odometry to where it is in the map, and to a better map."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timezone

import numpy as np

from superslam_ros.geometry import bundle
from superslam_ros.maps import loops, similarity
from superslam_ros.maps.agreement import IN_A_ROW, Candidate, Trail, agrees, belief, with_unit
from superslam_ros.maps.calibration import CameraCheck
from superslam_ros.maps.config import MapConfig
from superslam_ros.maps.embedding import Vocabulary
from superslam_ros.maps.held import Held, place
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.localizer import Fix, Localizer, Outcome, Reason, Refusal
from superslam_ros.maps.map import Map
from superslam_ros.maps.matching import MapMatcher
from superslam_ros.maps.parts import LOOP, Edge
from superslam_ros.maps.reembedding import adopt
from superslam_ros.maps.track import Sight, Track
from superslam_ros.maps.whereabouts import Whereabouts, as_told

log = logging.getLogger(__name__)

BUILD, LOCALIZE = 'build', 'localize'
RECENT = 15
"""The newest keyframes of a session are no loop for it."""
SURE, AROUND = 1e-8 * np.eye(6), 10
"""Covariance (m^2, rad^2) of a keyframe in its own frame; keyframes around a new one that it may make superfluous."""


class Mapper:
    """Takes keyframes in the order of their stamps, and says where odom is in the map.

    In mode ``build`` the map grows. The first session begins at its origin; one that comes to a map that is there
    (another day, or a new segment of the odometry) is a map of its own until it has been found in it. In mode
    ``localize`` the map stays as it is.

    :ivar map: the map. Only the mapper may change it meanwhile.
    :ivar mode: may be changed between keyframes; ``hint``: T_map_camera where the camera is said to be, which is tried
        first until it is found; ``session``: name of the next session, '' for the date of its first keyframe.
    :ivar unplaced: sessions that ended without having been found in the map.
    """

    def __init__(
        self, map: Map, config: MapConfig | None = None, mode: str = BUILD, matcher: MapMatcher | None = None, *,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        """Begin.

        :param vocabulary: by default the one that comes with the package.
        :raises ValueError: for a mode that is none of the two.
        """
        if mode not in (BUILD, LOCALIZE):
            raise ValueError(f'mode {mode!r}: expected {BUILD} or {LOCALIZE}')
        if mode == BUILD and bundle.gtsam is None:
            log.warning('GTSAM is not installed: the map is not corrected where a loop closes (pip install gtsam)')
        self.map, self.config, self.mode = map, config or MapConfig(), mode
        self.hint: np.ndarray | None = None
        self.session = ''
        self.unplaced: list[Held] = []
        self.localizer = Localizer(self.config, vocabulary or Vocabulary.load(), matcher)
        adopt(map, self.localizer.vocabulary)
        self._track, self._camera = Track(), CameraCheck()
        self._held: Held | None = None      # what is built until it has been found in the map
        self._begin_segment()
        self._trail = Trail()

    def _begin_segment(self) -> None:
        self._at = Whereabouts()
        if self._held is not None and len(self._held.map) > 1:
            self.unplaced.append(self._held)
        self._held, self._session = None, 0
        self._tied = False                  # no keyframe is in the map since the camera was last found among others
        self._recent: deque[int] = deque(maxlen=RECENT)

    @property
    def T_map_odom(self) -> np.ndarray | None:
        """(4, 4) where the odometry's origin is in the map; None before the camera has been found.

        Where the odometry has another unit than the map, this brings the latest keyframe to its place, and no other.
        """
        found = self._at.odom(self.map)
        return None if found is None else found[0]

    @property
    def unit(self) -> float:
        """What lengths of the odometry are multiplied by to be those of the map."""
        return 1.0 if self._at.edge is None else self._at.edge.scale

    def in_map(self, T_odom_camera: np.ndarray) -> np.ndarray | None:
        """Return T_map_camera (4, 4) of a frame of the same odometry; None before the camera has been found."""
        return self._at.in_map(T_odom_camera, self.map)

    @property
    def T_map_odom_covariance(self) -> np.ndarray | None:
        """(6, 6) of it, in the map's axes, the map taken for true; ``carry_covariance`` brings it to the camera."""
        found = self._at.odom(self.map)
        return None if found is None else found[1]

    def waiting(self) -> list[Map]:
        """Return what has not been found in the map, each a map of its own: what is unplaced, and what goes on."""
        held = [self._held] if self._held is not None and len(self._held.map) > 1 else []
        return [one.map for one in (*self.unplaced, *held)]

    def trajectory(self) -> dict[int, np.ndarray]:
        """Return T_map_camera (4, 4) by stamp of all keyframes that were found in the map as it is now, or added."""
        return self._track.poses(self.map)

    def units(self) -> dict[int, float]:
        """Return by the same stamps what lengths of the odometry are multiplied by to be those of the map there."""
        return self._track.units()

    def forget(self, hint: np.ndarray | None = None) -> None:
        """Believe no longer in where the camera was found; in mode ``build`` a new session begins.

        :param hint: T_map_camera where it is said to be.
        """
        self._begin_segment()
        self._trail, self.hint = Trail(), hint

    def add(self, keyframe: Keyframe) -> Outcome:
        """Take the next keyframe."""
        if self._stranger(keyframe):
            return Outcome(Reason.OTHER_WEIGHTS, f'the map was made with the weights {self.map.weights[:12]} of '
                           f'SuperPoint, not with {keyframe.weights[:12]}: use the same extractor.weights, or build a '
                           'new map')
        keyframe = keyframe.strongest(self.config.max_keypoints)
        if not self._trail.follows(keyframe):
            self._begin_segment()
        self._at.advance(self._trail.step(keyframe), keyframe.T_odom_camera, self.map)
        embedding = self.localizer.vocabulary.embed(keyframe.descriptors)
        if self.mode == LOCALIZE:
            outcome = self._judge(self._locate(keyframe, embedding))
            if outcome.reason is Reason.OK:
                self._note(keyframe, outcome.fix)
                self._camera.add(keyframe, outcome.fix, self.map)
            return outcome
        if not self._session:
            self._begin_session(keyframe)
        return self._hold(keyframe, embedding) if self._held is not None else self._extend(keyframe, embedding)

    def look(self, keyframe: Keyframe) -> tuple[Fix | None, bool]:
        """Find a camera by what it sees alone, and say whether the map knows all of that: then it may be believed.

        What is believed of odom is not asked, and stays as it is.
        """
        if self._stranger(keyframe):
            return None, False
        keyframe = keyframe.strongest(self.config.max_keypoints)
        answer = self.localizer.locate(keyframe, self.map, self.hint)
        return (None, False) if isinstance(answer, Refusal) else (answer, loops.knows(answer, keyframe))

    def _stranger(self, keyframe: Keyframe) -> bool:
        """Whether a keyframe's descriptors are of another network than the map's."""
        return bool(keyframe.weights and self.map.weights and keyframe.weights != self.map.weights)

    def finish(self) -> float:
        """Bring the map into its best shape, when no keyframes come any more.

        What is unplaced is looked for once more, then see :func:`~superslam_ros.maps.loops.finish`. The next keyframe
        begins a session.

        :returns: by how much the adjustment has moved keyframes (m), root mean square.
        """
        self._begin_segment()
        self.unplaced = place(self.unplaced, self.map, self._track, self.localizer)
        moved = loops.finish(self.map)
        self._follow()
        self._track.refine(self.map, self.config.min_inliers)
        return moved

    # --- where it is ------------------------------------------------------------------------------

    def _locate(self, keyframe: Keyframe, embedding: np.ndarray, without: Collection[int] = ()) -> Fix | Refusal:
        metric = not len(self.map) or (keyframe.metric and self.map.metric)
        if self.mode == BUILD and not metric and not similarity.available():
            return Refusal(Reason.NOT_METRIC, similarity.NOT_METRIC)
        hint, known = self.hint, self._at.edge if self.mode == LOCALIZE else None
        if hint is None and known is not None:
            hint = belief(known, self.map)[0]
        answer = self.localizer.locate(keyframe, self.map, hint, without, embedding)
        edge, unclear = self._at.edge, isinstance(answer, Refusal) and answer.reason is Reason.AMBIGUOUS
        if unclear and metric and hint is None and edge is not None:
            near = self.localizer.locate(keyframe, self.map, belief(edge, self.map)[0], without, embedding)
            answer = near if isinstance(near, Fix) and agrees(edge, near, self.map) else answer
        return answer if metric or isinstance(answer, Refusal) else with_unit(answer, keyframe, self.map, known)

    def _judge(self, answer: Fix | Refusal) -> Outcome:
        """Say whether a fix is believed, and believe it; a hint has then served its purpose."""
        known = self._at.edge is not None
        told = self.mode == LOCALIZE and as_told(answer, self.hint, self.config.hint_radius)
        outcome = self._at.judge(answer, self.map, told)
        if outcome.reason is Reason.OK and (outcome.moved or not known):
            self.hint = None
        return outcome

    def _note(self, keyframe: Keyframe, fix: Fix) -> None:
        """Note where a keyframe was found that the map does not take."""
        sight = Sight(keyframe.pinhole, keyframe.pixels[fix.keypoints], keyframe.sigma_px[fix.keypoints], fix.landmarks)
        self._track.add(keyframe.stamp_ns, self._at.edge.start, self._at.edge.T_start_end, sight, self._at.edge.scale)

    # --- what the map becomes ---------------------------------------------------------------------

    def _begin_session(self, keyframe: Keyframe) -> None:
        """Begin a session in the map, where that is empty, or else in one of its own."""
        if not keyframe.metric and not similarity.available():
            log.warning('loops of this session are not looked for: %s', similarity.NOT_METRIC)
        self._held = Held() if len(self.map) else None
        into = self.map if self._held is None else self._held.map
        adopt(into, self.localizer.vocabulary)
        day = datetime.fromtimestamp(keyframe.stamp_ns * 1e-9, timezone.utc).strftime('%Y-%m-%d %H:%M:%S')
        self._session = into.add_session(self.session or day, keyframe.stamp_ns, keyframe.weights, keyframe.metric)

    def _hold(self, keyframe: Keyframe, embedding: np.ndarray) -> Outcome:
        """Add a keyframe to what has not been found in the map yet, and look for it there."""
        number, own = self._held.put(keyframe, self._session, embedding)
        before, outcome = self._at.candidate, self._judge(self._locate(keyframe, embedding))
        if outcome.reason is not Reason.OK:
            if self._at.candidate is not None and self._at.candidate is not before:
                self._at.candidate = replace(self._at.candidate, keyframe=number, own=own)
            return outcome
        edge = self._at.edge
        found = [Candidate(edge, edge, outcome.fix, IN_A_ROW, number, own), *([before] if before else [])]
        joined, found, *closed = loops.join(self.map, self._held.map, found)
        self._track.join(self._held.track, joined)
        self._held, self._session = None, joined.sessions[self._session]
        self._at.candidate, self._at.edge = found[0], Edge(found[0].keyframe, 0, np.eye(4), SURE, scale=joined.scale)
        self._follow()
        self._recent.extend(joined.keyframes.values())
        outcome = self._closed(outcome, *closed)
        self._cull(found[0].keyframe)
        return outcome

    def _extend(self, keyframe: Keyframe, embedding: np.ndarray) -> Outcome:
        """Add a keyframe to the map, unless all that it sees is known, and look whether the place was seen before."""
        answer: Fix | Refusal = Refusal(Reason.NO_PLACE, 'loops are not looked for (map.close_loops)')
        if self.config.close_loops:
            answer = self._locate(keyframe, embedding, self._recent)
        before, candidate = self._at.candidate, self._at.weigh(answer, self.map) if isinstance(answer, Fix) else None
        true = candidate is not None and candidate.count >= IN_A_ROW
        if true and self._tied and loops.knows(answer, keyframe):
            moved = loops.measure(self.map, self._at.edge, candidate.found)
            self._at.edge, self._at.candidate = candidate.found, candidate
            self._follow()
            if self._recent[-1]:        # the next ones are tied to a place that was there before
                self._remove_superfluous([self._recent[-1]], latest=0)
            self._recent.append(0)
            self._note(keyframe, answer)
            return Outcome(Reason.OK, fix=answer, moved=moved)
        number = self._put(keyframe, embedding)
        if candidate is not None:
            self._at.candidate = candidate = replace(
                candidate, keyframe=number, own=self.map.known_as(keyframe, self._session),
                unit=self.map.unit(self._session))
        outcome, self._tied = Outcome(Reason.OK, added=True), False
        if true:
            first = [before] if before.count < IN_A_ROW else []
            closed = loops.close(self.map, [candidate, *first])
            self._follow()
            outcome = self._closed(replace(outcome, fix=answer), *closed)
        self._cull(number)
        return outcome

    def _put(self, keyframe: Keyframe, embedding: np.ndarray) -> int:
        """Add a keyframe where it is believed to be, and return its id."""
        edge = self._at.edge
        T = keyframe.T_odom_camera if edge is None else belief(edge, self.map)[0]
        number, unit = self.map.add(keyframe, T, self._session, embedding), self.map.unit(self._session)
        if edge is not None and edge.kind == LOOP:     # those before it were known, and are not in the map
            self.map.edges.append(replace(edge, end=number, scale=edge.scale / unit))
        self._at.edge = Edge(number, 0, np.eye(4), SURE, scale=unit)
        self._recent.append(number)
        self._track.add(keyframe.stamp_ns, number, np.eye(4), unit=unit)
        return number

    def _follow(self) -> None:
        """Take over by how much parts of the map have grown."""
        growth, self.map.growth = self.map.growth, {}
        self._track.grow(growth)
        self._at.grow(growth)

    def _closed(self, outcome: Outcome, loop: bool, moved: bool) -> Outcome:
        """Return what is to be said after loops were closed."""
        self._tied, text = loop, ''
        if loop:
            text = f'keyframe {outcome.fix.place} is seen again: {outcome.fix.inliers} landmarks agree'
        return replace(outcome, text=text, added=True, loop=loop, moved=outcome.moved | moved)

    def _cull(self, newest: int) -> None:
        """Remove keyframes that have become superfluous by a new one."""
        self._remove_superfluous([*self.map.neighbours(newest, AROUND), newest], self.config.max_keyframes)

    def _remove_superfluous(self, keyframe_ids: list[int], max_keyframes: int = 0, latest: int = 1) -> None:
        before = dict(self.map.keyframes)
        gone = self.map.cull(keyframe_ids, max_keyframes, latest)
        self._track.hand_over([before[number] for number in gone], self.map)
