"""Tracks, structure and labels of a drive whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest
from drive import Drive

from superslam_ros.geometry.pose import inverse
from superslam_ros.improve import labels, points
from superslam_ros.improve.revisits import reconstruct
from superslam_ros.improve.structure import Structure, choose_keyframes, structure
from superslam_ros.improve.tracks import Tracks, chain, join, nearest, seen, split, tracks


@pytest.fixture(scope='module')
def drive():
    return Drive()


def test_tracks_follow_points(drive):
    found = tracks(drive.evidence)
    shown, of = drive.shown(found), found.track_of()
    assert (shown == shown[found.first[:-1]][of]).all()
    assert (np.diff(found.frame)[np.diff(of) == 0] > 0).all() and (found.lengths >= 2).all()
    # Points are missed once in 50 frames; then the track ends.
    assert found.lengths.sum() > 0.95 * len(drive.point) and (found.lengths >= 10).sum() > 100


def test_a_track_that_slips_is_split_where_it_does(drive):
    found = chain(drive.evidence)
    long = np.flatnonzero((found.lengths >= 24) & (drive.shown(found)[found.first[:-1]] >= drive.moving))[:2]
    one, other = (np.arange(found.first[t], found.first[t + 1]) for t in long)
    keypoint = found.keypoint.copy()
    both = np.intersect1d(found.frame[one], found.frame[other])[12:]
    a, b = one[np.isin(found.frame[one], both)], other[np.isin(found.frame[other], both)]
    keypoint[a], keypoint[b] = found.keypoint[b], found.keypoint[a]
    slipped = Tracks(found.first, found.frame, keypoint)
    mended = split(drive.evidence, slipped)
    shown = drive.shown(mended)
    assert (shown != shown[mended.first[:-1]][mended.track_of()]).sum() == 0 < len(mended) - len(found) <= 4
    # What moves is no slip.
    assert len(split(drive.evidence, found)) == len(found)


def test_lost_frames_and_new_segments_end_tracks(drive):
    segment = np.zeros(30)
    segment[10], segment[20:] = -1, 1
    found = tracks(replace(drive.evidence, segment=segment))
    assert not (found.frame == 10).any()
    first, last = found.frame[found.first[:-1]], found.frame[found.first[1:] - 1]
    for begin, end in ((0, 9), (11, 19), (20, 29)):
        inside = (first >= begin) & (first <= end)
        assert inside.any() and (last[inside] <= end).all()


def test_what_is_nearest_only_from_one_side_or_far_is_no_match():
    here = np.eye(4, 8, dtype=np.float16)
    there = np.float16([[1, 0, 0, 0, 0, 0, 0, 0], [0.9, 0.43, 0, 0, 0, 0, 0, 0], [0, 0, 0.6, 0, 0, 0, 0.8, 0]])
    assert [rows.tolist() for rows in nearest(here, there)] == [[0], [0]]


def test_points_are_where_their_rays_meet(drive):
    found = tracks(drive.evidence)
    exact = points.triangulate(drive.evidence.pinhole, seen(drive.evidence, found, drive.poses))
    shown = drive.shown(found)[found.first[:-1]]
    chosen = (shown >= drive.moving) & (found.lengths >= 10)
    off = np.linalg.norm(exact.points - drive.points[shown], axis=1)[chosen]
    assert np.median(off) < 0.02 and np.quantile(off, 0.95) < 0.1
    errors = np.linalg.norm(exact.errors, axis=1)
    assert np.median(errors[chosen[found.track_of()]]) < 0.5
    # Of a point 4 m away that is seen from 1 m to the side the rays are 14 degrees apart.
    assert 3 < np.median(exact.parallax_deg[chosen]) < 25


@pytest.mark.parametrize('depth', [True, False])
def test_the_adjustment_undoes_the_drift(depth):
    pytest.importorskip('gtsam')
    drive = Drive(depth=depth)
    found = tracks(drive.evidence)
    built = structure(drive.evidence, found)

    def off(poses):
        at = np.array([(inverse(poses[0]) @ T)[:3, 3] for T in poses])
        true = drive.poses[:, :3, 3]
        scale = 1 if depth else (at * true).sum() / (at * at).sum()
        return np.sqrt(((scale * at - true)**2).sum(1).mean())

    assert off(built.T_world_camera) < min(0.03, 0.6 * off(drive.evidence.T_world_camera))
    assert built.noise_px < 0.5 and not np.isnan(built.errors).any()
    given = labels.label(built, found, built.noise_px)
    moving, long = drive.shown(found)[found.first[:-1]] < drive.moving, found.lengths >= 10
    assert (given[moving & long] == labels.UNSTABLE).mean() > 0.7 and not (given[moving] == labels.STABLE).sum() > 1
    assert (given[~moving & long] == labels.STABLE).mean() > 0.9 and not (given[~moving] == labels.UNSTABLE).any()


def test_keyframes_share_most_with_the_next(drive):
    found = tracks(drive.evidence)
    keyframes = choose_keyframes(found, np.arange(30))
    assert keyframes[0] == 0 and keyframes[-1] == 29 and 2 < len(keyframes) < 15
    assert (np.diff(keyframes) > 0).all()


def test_tracks_are_joined_where_no_frame_shows_both():
    found = Tracks(np.array([0, 3, 5, 7]), np.array([0, 1, 2, 4, 5, 2, 3]), np.array([0, 0, 0, 1, 1, 2, 2]))
    joined = join(found, [(0, 1), (1, 2)])      # the last one is seen apart from the first, in frame 2
    assert joined.first.tolist() == [0, 5, 7]
    assert joined.frame.tolist() == [0, 1, 2, 4, 5, 2, 3] and joined.keypoint.tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert len(join(found, [])) == 3


@pytest.mark.parametrize(('errors', 'parallax', 'noise', 'expected'), [
    ([0.5] * 10, 5, 0.3, labels.STABLE),
    ([0.5] * 9, 5, 0.3, labels.IGNORED),            # too short
    ([0.5] * 10, 0.5, 0.3, labels.IGNORED),         # any point would do
    ([1.4] * 10, 5, 0.3, labels.IGNORED),
    ([1.4] * 10, 5, 1.5, labels.STABLE),            # a recording that is no better
    ([0.1] * 9 + [8], 5, 0.3, labels.STABLE),       # one slip: its mean is small
    ([1.0] * 9 + [8], 5, 0.3, labels.IGNORED),
    ([1.0] * 6 + [4, 4, 4, 4.9], 5, 0.3, labels.IGNORED),
    ([1.0] * 6 + [4, 4, 4, 5], 5, 0.3, labels.UNSTABLE),
    ([1.0] * 6 + [4, 4, 4, 5], 0.0, 0.3, labels.UNSTABLE),
    ([1.0] * 6 + [4, 4, 4, np.inf], 5, 0.3, labels.UNSTABLE),
    ([np.nan] * 10, 0, 0.3, labels.IGNORED)])
def test_labels_are_those_of_the_paper(errors, parallax, noise, expected):
    count = len(errors)
    found = Tracks(np.array([0, count]), np.arange(count), np.zeros(count, int))
    point = np.full((1, 3), np.nan if np.isnan(errors).any() else 1.0)
    built = Structure(np.tile(np.eye(4), (count, 1, 1)), point, np.array(errors), np.array([float(parallax)]), noise)
    given = labels.label(built, found, noise)
    assert given.dtype == np.int8 and given.tolist() == [expected]


def test_no_tracks_have_no_labels():
    none = Tracks(np.zeros(1, int), np.zeros(0, int), np.zeros(0, int))
    built = Structure(np.zeros((0, 4, 4)), np.zeros((0, 3)), np.zeros(0), np.zeros(0), 1.0)
    assert labels.label(built, none, 1.0).shape == (0,)


def test_without_a_match_there_is_a_structure_of_nothing(drive):
    pytest.importorskip('gtsam')
    nothing = replace(drive.evidence, descriptors=0 * drive.evidence.descriptors)
    found = tracks(nothing)
    built = structure(nothing, found)
    assert len(found) == 0 and np.allclose(built.T_world_camera, nothing.T_world_camera) and built.noise_px == 1


def test_tracks_that_broke_are_joined_and_places_seen_again_are_known(drive):
    pytest.importorskip('gtsam')
    found = tracks(drive.evidence)
    joined, built = reconstruct(drive.evidence)
    shown = drive.shown(joined)
    right = (shown == shown[joined.first[:-1]][joined.track_of()]).mean()
    static = np.unique(drive.point[drive.point >= drive.moving])
    parts = [len(set(one.track_of()[np.isin(drive.shown(one), static)])) for one in (found, joined)]
    assert right > 0.995 and parts[1] < len(static) + 0.3 * (parts[0] - len(static))
    assert len(built.points) == len(joined)


def test_long_recordings_are_worked_on_in_parts(drive, monkeypatch):
    found = tracks(drive.evidence)
    what = seen(drive.evidence, found, drive.poses)
    whole = points.triangulate(drive.evidence.pinhole, what)
    monkeypatch.setattr(points, '_CHUNK', 200)
    parts = points.triangulate(drive.evidence.pinhole, what)
    assert len(list(what.chunks())) > 5
    for one, other in zip(whole, parts):
        np.testing.assert_allclose(one, other, atol=1e-9)
