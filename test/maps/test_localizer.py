"""Rendered views of a room are found in a map of it, those of its twin are not."""

from __future__ import annotations

import numpy as np
import pytest

from superslam_ros import worlds
from superslam_ros.geometry.camera import ideal
from superslam_ros.geometry.pose import difference
from superslam_ros.maps.config import MapConfig
from superslam_ros.maps.embedding import Vocabulary
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.localizer import Fix, Localizer, Reason, share_in_view
from superslam_ros.maps.map import Map
from superslam_ros.maps.supermap import SuperMapMatcher
from superslam_ros.slam.extract import Extractor

CAMERA = worlds.pinhole(320, 240)
SIGMA_PX = 0.7


class Camera:
    """Makes keyframes of rendered views, each with landmarks of its own where depth was measured."""

    def __init__(self, seed: int) -> None:
        """Load the network."""
        self.extract, self.photometry = Extractor(), worlds.Photometry(worlds.PhotometryConfig(seed=seed))
        self.count = 0

    def look(self, world: worlds.World, T_world_camera: np.ndarray) -> Keyframe:
        """Return what is seen from a pose."""
        view, self.count = worlds.render(world, CAMERA, T_world_camera), self.count + 1
        seen, pinhole = self.extract(self.photometry(view.image, self.count)), ideal(CAMERA, True)
        columns, rows = np.rint(seen.keypoints).astype(int).T
        z, count = view.depth_m[rows, columns].astype(np.float64), len(seen)
        points = pinhole.rays(seen.keypoints) * z[:, None]
        away = points / np.linalg.norm(points, axis=1, keepdims=True)
        along = away[:, :, None] * away[:, None]
        covariance = (SIGMA_PX * z / pinhole.fx)[:, None, None]**2 * (np.eye(3) - along) \
            + (0.005 * z)[:, None, None]**2 * along
        return Keyframe(
            self.count, 1, pinhole, CAMERA.image_size, T_world_camera, np.eye(6), None, np.eye(4), np.eye(6),
            seen.keypoints, np.full(count, SIGMA_PX), seen.scores, seen.scales, seen.descriptors,
            1 + 10000 * self.count + np.arange(count), points, covariance)


def aside(T_world_camera: np.ndarray) -> np.ndarray:
    """Return a pose to the right, higher up, turned and rolled."""
    position, forward = T_world_camera[:3, 3], T_world_camera[:3, 2]
    beside = position + 0.2 * T_world_camera[:3, 0] + [0, 0, 0.15]
    return worlds.look_at(beside, beside + forward + 0.2 * T_world_camera[:3, 0], 0.1)


@pytest.fixture(scope='module')
def poses() -> np.ndarray:
    """Return poses half a metre and more apart."""
    return worlds.demo_trajectory(7, 1.0, 0)


@pytest.fixture(scope='module')
def made(room: worlds.World, poses: np.ndarray) -> Map:
    """Return a map of the room at the true poses."""
    camera, kept, vocabulary = Camera(0), Map(), Vocabulary.load()
    session = kept.add_session('room', 0)
    for T in poses:
        keyframe = camera.look(room, T)
        kept.add(keyframe, T, session, vocabulary.embed(keyframe.descriptors))
    return kept


@pytest.fixture(scope='module')
def localizer() -> Localizer:
    """Return a localizer with the vocabulary that is shipped."""
    return Localizer(MapConfig(), Vocabulary.load())


def test_a_second_session_is_found_to_the_centimetre_and_knows_how_well(room, poses, made, localizer) -> None:
    camera, squares = Camera(5), []
    for T in map(aside, poses):
        fix = localizer.locate(camera.look(room, T), made)
        assert isinstance(fix, Fix), fix
        error = difference(fix.T_map_camera, T)
        assert np.linalg.norm(error[:3]) < 0.05 and np.linalg.norm(error[3:]) < np.radians(1)
        assert len(fix.keypoints) == len(np.unique(fix.landmarks)) == fix.inliers >= localizer.config.min_inliers
        squares.append(error @ np.linalg.solve(fix.covariance, error))
    band = 3.3 * np.sqrt(12 / len(squares))
    assert max(0.5, 6 - band) < np.mean(squares) < 6 + band, np.round(squares, 1)


def test_the_network_finds_it_as_well_where_it_is_asked_for(room, poses, made, localizer, tmp_path) -> None:
    asked = Localizer(MapConfig(matcher='supermap', device='cpu'), localizer.vocabulary)
    fix = asked.locate(Camera(5).look(room, aside(poses[2])), made)
    assert isinstance(asked.matcher, SuperMapMatcher) and isinstance(fix, Fix)
    error = difference(fix.T_map_camera, aside(poses[2]))
    assert np.linalg.norm(error[:3]) < 0.05 and np.linalg.norm(error[3:]) < np.radians(1)
    with pytest.raises(FileNotFoundError, match='nothing'):
        Localizer(MapConfig(matcher='supermap', matcher_weights=str(tmp_path / 'nothing')), localizer.vocabulary)


def test_the_same_view_gives_the_same_bytes(room, poses, made, localizer) -> None:
    keyframe = Camera(6).look(room, aside(poses[2]))
    first = localizer.locate(keyframe, made)
    again = Localizer(localizer.config, localizer.vocabulary).locate(keyframe, made)
    np.testing.assert_array_equal(first.T_map_camera, again.T_map_camera)
    np.testing.assert_array_equal(first.landmarks, again.landmarks)


def test_a_room_of_the_same_shape_that_looks_different_is_not_found(poses, made, localizer) -> None:
    twin, camera = worlds.room_world(seed=1, texels_per_metre=120), Camera(5)
    answers = [localizer.locate(camera.look(twin, T), made) for T in poses]
    assert {answer.reason for answer in answers} <= {Reason.FEW_MATCHES, Reason.FEW_INLIERS}
    assert all('map.min_inliers' in answer.text for answer in answers)


def test_what_has_no_keypoints_and_a_map_without_keyframes_are_said(room, poses, made, localizer) -> None:
    keyframe = Camera(0).look(room, poses[0])
    assert localizer.locate(keyframe.select(np.zeros(0, dtype=int)), made).reason is Reason.FEW_MATCHES
    assert localizer.locate(keyframe, Map()).reason is Reason.NO_MAP
    everything = set(made.keyframes)
    assert localizer.locate(keyframe, made, without=everything).reason is Reason.NO_PLACE


def test_inliers_in_a_corner_are_too_few(room, poses, made, localizer) -> None:
    keyframe = Camera(0).look(room, poses[0])
    near = np.argsort(np.linalg.norm(keyframe.pixels - np.median(keyframe.pixels, axis=0), axis=1))[:30]
    answer = Localizer(MapConfig(min_inliers=8), localizer.vocabulary).locate(keyframe.select(near), made)
    assert answer.reason in (Reason.FEW_INLIERS, Reason.FEW_MATCHES)


def test_matches_that_a_pose_puts_out_of_view_do_not_speak_against_it():
    ahead = np.array([[0.0, 0, 4], [1, 0.5, 4], [-1, 0.5, 4], [0.5, -0.5, 4]])
    points, pinhole = np.concatenate([ahead, ahead * [1, 1, -1], ahead + np.array([40, 0, 0])]), ideal(CAMERA, True)
    pixels = np.tile(pinhole.project(ahead), (3, 1))
    pixels[3] += 50
    eye, none = np.eye(6), np.full(12, np.nan)
    keyframe = Keyframe(0, 1, pinhole, (320, 240), np.eye(4), eye, None, np.eye(4), eye, pixels, np.ones(12),
                        np.ones(12), np.ones(12), np.eye(12), np.zeros(12), np.stack([none] * 3, 1),
                        np.full((12, 3, 3), np.nan))
    confidences = np.where(np.arange(12) == 3, 0.6, 0.4)
    share = share_in_view(keyframe, points, pixels, confidences, np.eye(4), 4.0)
    assert share == pytest.approx(1.2 / 1.8)
