"""Where a keyframe is in a map: places are proposed by their looks, and believed by their geometry only."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np

from superslam_ros.geometry.p3p import draw_pose
from superslam_ros.geometry.pnp import PoseEstimate, refine_pose
from superslam_ros.geometry.pose import difference, inverse, transform
from superslam_ros.geometry.reprojection import Observations
from superslam_ros.maps import uncertainty
from superslam_ros.maps.config import MapConfig
from superslam_ros.maps.embedding import Places, Vocabulary
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.landmarks import PlaceLandmarks
from superslam_ros.maps.map import Map
from superslam_ros.maps.matching import MapMatcher, NearestLandmarks, match_guided
from superslam_ros.maps.similarity import Unit

LIKELY = 20
"""Keyframes that look most alike, of which places are made."""
DRAWS = 1000
"""Of three matches each, to find a pose among wrong ones."""
EVIDENCE, SHARE = 0.6, 0.35
"""What has to agree on a pose before landmarks are searched for around where it puts them: so many, as a part of the
least inliers, and of the matches in view (:func:`share_in_view`). In a building of the same shape in other paint, poses
on which so many agreed had .26 at most; of right ones .71 in 19 of 20 frames, at night."""
SPREAD = 0.03
"""Deviation of the inliers' pixels across the direction in which they vary most, as part of the image's diagonal."""
RIVAL = 0.5
"""Part of the inliers with which a second pose makes the first one doubtful."""
APART_M, APART_RAD, AROUND = 0.5, 0.2, 4.0
"""Poses farther apart than this are different; places so many times as far from a pose are not around it."""
GUIDED_PX, FIRST_SIGMA_PX, LEAST_SIGMA_PX = 6.0, 1.5, 0.25
"""How far landmarks are searched for around where a pose puts them; deviation of pixels until it has been measured."""


class Reason(enum.IntEnum):
    """Why there is no pose in the map; the numbers are those of the ROS messages."""

    OK = 0
    NO_MAP = 1
    NO_PLACE = 2
    FEW_MATCHES = 3
    FEW_INLIERS = 4
    AMBIGUOUS = 5
    DISAGREES = 6
    UNCONFIRMED = 7
    OTHER_WEIGHTS = 8
    NOT_METRIC = 9


@dataclass(frozen=True, eq=False)
class Fix:
    """Where a keyframe is in the map.

    :ivar T_map_camera: (4, 4); ``covariance`` (6, 6) in the map's axes, ``place`` taken for true.
    :ivar place: the keyframe of the map that it was found by.
    :ivar keypoints: (M,) rows of the keypoints that show ``landmarks`` (M,), ids of the map.
    :ivar residual_px: root mean square of their reprojection errors.
    :ivar unit: of the keyframe's odometry in the map, where one of them is not in metres.
    """

    T_map_camera: np.ndarray
    covariance: np.ndarray
    place: int
    keypoints: np.ndarray
    landmarks: np.ndarray
    residual_px: float
    unit: Unit | None = None

    @property
    def inliers(self) -> int:
        """How many landmarks agree on it."""
        return len(self.landmarks)


@dataclass(frozen=True)
class Refusal:
    """Why a keyframe has no pose in the map, in a word and in a sentence."""

    reason: Reason
    text: str


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a keyframe gave a mapper.

    :ivar reason: OK where the camera was found; else why not, with a sentence in ``text``.
    :ivar fix: where it was found, even if that is not believed (UNCONFIRMED, DISAGREES).
    :ivar added: it has become a keyframe of the map; ``loop``: a loop was closed; ``moved``: keyframes of the map, or
        what is believed of the odometry's place in it, have jumped.
    :ivar in_a_row: so many keyframes, this one included, agree on a fix that is not believed yet.
    """

    reason: Reason
    text: str = ''
    fix: Fix | None = None
    added: bool = False
    loop: bool = False
    moved: bool = False
    in_a_row: int = 0


def matcher_of(config: MapConfig) -> MapMatcher:
    """Return the matcher that the options ask for.

    :raises FileNotFoundError, ValueError, RuntimeError: when its weights or device are not there, or not of it.
    """
    if config.matcher == 'nearest':
        return NearestLandmarks(config.min_similarity)
    from superslam_ros.maps.supermap import SuperMapConfig, SuperMapMatcher  # and PyTorch with it

    return SuperMapMatcher(SuperMapConfig(config.matcher_weights, config.device), config.min_similarity)


class Localizer:
    """Finds keyframes in a map; the same input gives the same answer, to the bit."""

    def __init__(
        self, config: MapConfig, vocabulary: Vocabulary, matcher: MapMatcher | None = None
    ) -> None:
        """Begin; places are learnt from the maps that are given."""
        self.config, self.vocabulary = config, vocabulary
        self.matcher = matcher or matcher_of(config)
        self._map: Map | None = None

    def locate(
        self, keyframe: Keyframe, within: Map, hint: np.ndarray | None = None, without: Collection[int] = (),
        embedding: np.ndarray | None = None,
    ) -> Fix | Refusal:
        """Find a keyframe.

        :param hint: T_map_camera where it is said to be: places near it are tried first, then all.
        :param without: keyframes of the map that are not to be proposed.
        :param embedding: of the keyframe, where it has been computed.
        """
        self._learn(within)
        if not len(self._places):
            return Refusal(Reason.NO_MAP, 'the map has no keyframes')
        keyframe = keyframe.strongest(self.config.max_keypoints)
        if embedding is None:
            embedding = self.vocabulary.embed(keyframe.descriptors)
        answers = []
        for barred in self._rounds(hint, set(without), within):
            answer = self._search(keyframe, within, self._propose(embedding, within, barred))
            if isinstance(answer, Fix) or answer.reason is Reason.AMBIGUOUS:
                return answer
            answers.append(answer)
        return max(answers, key=lambda answer: answer.reason)

    def _rounds(self, hint: np.ndarray | None, without: set[int], within: Map) -> Iterator[set[int]]:
        """Yield the keyframes that are not to be proposed: at first those far from the hint."""
        if hint is not None:
            away = np.linalg.norm(self._positions(within) - hint[:3, 3], axis=1)
            far = without | set(self._numbers[away > self.config.hint_radius].tolist())
            if len(far) < len(self._numbers):
                yield far
        yield without

    def _learn(self, within: Map) -> None:
        """Bring the index of places up to what is in the map."""
        if within is not self._map:
            self._places, self._map, self._revision = Places(self.vocabulary), within, -1
            self._numbers = np.zeros(0, dtype=np.int64)
        if within.revision == self._revision:
            return
        learnt = set(self._numbers.tolist())
        for number in learnt - within.keyframes.keys():
            self._places.remove(number)
        for number in sorted(within.keyframes.keys() - learnt):
            self._places.add(number, within.keyframes[number].embedding)
        self._numbers, self._revision = np.array(list(within.keyframes), dtype=np.int64), within.revision
        self._at: np.ndarray | None = None

    def _positions(self, within: Map) -> np.ndarray:
        """Return where the keyframes are (N, 3)."""
        if self._at is None:
            self._at = np.array([one.T_map_camera[:3, 3] for one in within.keyframes.values()]).reshape(-1, 3)
        return self._at

    def _propose(self, embedding: np.ndarray, within: Map, without: set[int]) -> Iterator[list[int]]:
        """Yield the keyframes of places, which see the same things; that which looks most alike comes first."""
        taken: set[int] = set()
        for number in self._places.query(embedding, LIKELY, without)[0].tolist():
            if number not in taken:
                place = [number, *(one for one in within.neighbours(number, self.config.keyframes_per_place - 1)
                                   if one not in without)]
                taken.update(place)
                yield place

    def _search(self, keyframe: Keyframe, within: Map, places: Iterator[list[int]]) -> Fix | Refusal:
        """Try places in turn, until one is found and no other that could rival it."""
        best: Fix | None = None
        refusal, tried = Refusal(Reason.NO_PLACE, 'no place of the map looks like it'), 0
        for place in places:
            if best is not None and not apart(within.keyframes[place[0]].T_map_camera, best.T_map_camera, AROUND):
                continue
            if tried == self.config.places:
                break
            tried += 1
            least = 0 if best is None else round(RIVAL * best.inliers)
            found = self._try(keyframe, within, place, max(self.config.min_inliers, least))
            if isinstance(found, Refusal):
                refusal = max(refusal, found, key=lambda one: one.reason)
                continue
            if best is not None and _rivals(found, best):
                return Refusal(Reason.AMBIGUOUS, f'keyframes {best.place} and {found.place} of the map look like it, '
                               f'with {best.inliers} and {found.inliers} landmarks')
            best = found if best is None or found.inliers > best.inliers else best
        return refusal if best is None else best

    def _try(self, keyframe: Keyframe, within: Map, place: list[int], minimum: int) -> Fix | Refusal:
        landmarks = within.landmarks_of(place)
        start = within.keyframes[place[0]].T_map_camera
        keypoints, rows, confidences = self.matcher.match(keyframe, landmarks, start)
        if len(rows) < minimum:
            return Refusal(Reason.FEW_MATCHES, f'{len(rows)} of the landmarks around keyframe {place[0]} are seen, '
                           f'{minimum} are needed (map.min_inliers)')
        seen = landmarks.points[rows], keyframe.pixels[keypoints]
        pose = draw_pose(*seen, keyframe.pinhole, self.config.threshold_px, round(EVIDENCE * minimum), DRAWS,
                         weights=confidences)
        if pose is None or share_in_view(keyframe, *seen, confidences, pose, self.config.threshold_px) < SHARE:
            return self._few(place[0], len(rows))
        # What the matcher missed is found around where it has to be. By chance, some is at any pose: it proves nothing.
        more, more_rows = match_guided(keyframe, landmarks, pose, GUIDED_PX, self.config.min_similarity)
        new = ~np.isin(more, keypoints) & ~np.isin(more_rows, rows)
        keypoints, rows = np.concatenate([keypoints, more[new]]), np.concatenate([rows, more_rows[new]])
        estimate = refine(observe(keyframe, keypoints, landmarks, rows, within), keyframe, pose, minimum)
        if estimate is None:
            return self._few(place[0], len(rows))
        keypoints, rows = keypoints[estimate.inliers], rows[estimate.inliers]
        spread = np.sqrt(np.linalg.eigvalsh(np.cov(keyframe.pixels[keypoints].T))[0])
        if spread < SPREAD * np.hypot(*keyframe.image_size):
            return Refusal(Reason.FEW_INLIERS, f'the landmarks around keyframe {place[0]} that agree on a pose lie too '
                           'close together, or on one line')
        return _fix(keyframe, estimate, place, keypoints, rows, landmarks, within)

    def _few(self, place: int, matches: int) -> Refusal:
        return Refusal(Reason.FEW_INLIERS, f'of {matches} landmarks around keyframe {place} fewer than '
                       f'{self.config.min_inliers} agree on a pose (map.min_inliers), or too few of those in view')


def share_in_view(
    keyframe: Keyframe, points: np.ndarray, pixels: np.ndarray, confidences: np.ndarray, T_map_camera: np.ndarray,
    threshold_px: float,
) -> float:
    """Return the part of matches that agree with a pose, of those whose landmarks it puts into the image.

    What it puts outside of it is no match, wherever the camera is, and says nothing against the pose.
    """
    at = keyframe.pinhole.project(transform(inverse(T_map_camera), points))
    with np.errstate(invalid='ignore'):
        agree = np.linalg.norm(at - pixels, axis=1) < threshold_px
        inside = agree | ((at > -0.5) & (at < keyframe.image_size)).all(1)
    return float(confidences[agree].sum() / max(confidences[inside].sum(), 1e-9))


def apart(T: np.ndarray, other: np.ndarray, times: float = 1.0) -> bool:
    """Whether two poses are of different places."""
    away = difference(T, other)
    return bool(np.linalg.norm(away[:3]) > times * APART_M or np.linalg.norm(away[3:]) > times * APART_RAD)


def _rivals(one: Fix, other: Fix) -> bool:
    """Whether two poses of a keyframe are apart, and nearly as good."""
    fewer, more = sorted((one.inliers, other.inliers))
    return fewer > RIVAL * more and apart(one.T_map_camera, other.T_map_camera)


def observe(
    keyframe: Keyframe, keypoints: np.ndarray, landmarks: PlaceLandmarks, rows: np.ndarray, within: Map
) -> Observations:
    """Return what keypoints (M,) of a keyframe say of landmarks, rows (M,) of a place."""
    unknown = np.full(len(rows), np.nan)
    return Observations(
        landmarks.points[rows], landmarks.covariance[rows], keyframe.pixels[keypoints].astype(np.float64),
        FIRST_SIGMA_PX * keyframe.scales[keypoints].astype(np.float64), unknown, unknown,
        hosts=within.hosts(within.landmarks.rows(landmarks.ids[rows])))


def refine(
    seen: Observations, keyframe: Keyframe, T_map_camera: np.ndarray, minimum: int
) -> PoseEstimate | None:
    """Refine a pose with the noise that the residuals show.

    How exact the keypoints are from frame to frame says little: a map's were seen from elsewhere.
    """
    first = refine_pose(seen, keyframe.pinhole, T_map_camera, minimum)
    if first is None:
        return None
    variance = float(np.clip(first.pixel_variance, (LEAST_SIGMA_PX / FIRST_SIGMA_PX)**2, 4.0))
    seen = replace(seen, pixel_sigma=seen.pixel_sigma * np.sqrt(variance))
    found = refine_pose(seen, keyframe.pinhole, first.T_world_camera, minimum)
    return found


def _fix(
    keyframe: Keyframe, estimate: PoseEstimate, place: list[int], keypoints: np.ndarray, rows: np.ndarray,
    landmarks: PlaceLandmarks, within: Map,
) -> Fix:
    ids = landmarks.ids[rows]
    T, covariance = uncertainty.as_seen_from(within, place, keyframe, keypoints, ids, estimate.T_world_camera)
    error = keyframe.pinhole.project(transform(inverse(T), landmarks.points[rows])) - keyframe.pixels[keypoints]
    return Fix(T, covariance, place[0], keypoints, ids, float(np.sqrt((error**2).sum(1).mean())))
