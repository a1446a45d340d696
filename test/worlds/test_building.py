"""Buildings and the walks through them."""

import numpy as np
import pytest

from superslam_ros import worlds
from superslam_ros.worlds import paint
from superslam_ros.worlds.building import building
from superslam_ros.worlds.walks import Walk, lap, walk

SMALL = worlds.BuildingOptions(length_m=11.0, width_m=8.0, corridor_m=2.0, columns=2, rows=1, texels_per_metre=40)
CAMERA = worlds.pinhole(64, 48)


@pytest.fixture(scope='module')
def small():
    return building(SMALL)


@pytest.fixture
def bare(monkeypatch):
    """Leave walls unpainted, where only their places count."""
    for name in ('wall', 'floor', 'ceiling', 'crate'):
        monkeypatch.setattr(paint, name, lambda size_m, texels_per_metre, rng: np.full((8, 8), 128, np.uint8))


def test_the_lap_is_about_a_hundred_metres():
    assert 95 < len(lap(worlds.BuildingOptions(), Walk().visits)) / 100 < 115


def test_what_is_out_of_sight_is_left_out_and_nothing_else(small):
    fewest = len(small.world.surfaces)
    for pose in walk(SMALL, Walk(rate_hz=0.3, visits=(0, 1), heading_rad=0.4)):
        seen = small.seen_from(CAMERA, pose)
        fewest = min(fewest, len(seen.surfaces))
        whole, part = worlds.render(small.world, CAMERA, pose), worlds.render(seen, CAMERA, pose)
        np.testing.assert_array_equal(part.image, whole.image)
        np.testing.assert_array_equal(part.depth_m, whole.depth_m)
        assert np.isfinite(part.depth_m).all()      # walls without gaps
    assert fewest < 0.2 * len(small.world.surfaces)


def test_a_camera_with_a_distorted_lens_sees_as_much(small):
    camera = worlds.pinhole(64, 48)
    camera.distortion[:2] = -0.25, 0.05
    pose = walk(SMALL, Walk(rate_hz=0.4, visits=()))[3]
    np.testing.assert_array_equal(worlds.render(small.seen_from(camera, pose), camera, pose).image,
                                  worlds.render(small.world, camera, pose).image)


@pytest.mark.parametrize('options', [worlds.BuildingOptions(), worlds.BuildingOptions(moved=1.0, seed=3), SMALL])
def test_a_walk_keeps_clear_of_everything(options, bare):
    empty = building(options)
    for how in (Walk(rate_hz=0.3, visits=(0, 1)), Walk(rate_hz=0.2, visits=(0,), side_m=0.25, back=True)):
        for pose in walk(options, how):
            assert np.nanmin(worlds.render(empty.seen_from(CAMERA, pose), CAMERA, pose, 1).depth_m) > 0.15


def test_a_walk_is_smooth_and_its_laps_are_alike():
    options = worlds.BuildingOptions()
    poses = walk(options, Walk(laps=2, visits=(0,)))
    steps = np.linalg.norm(np.diff(poses[:, :2, 3], axis=0), axis=1)
    assert steps.max() < 0.1
    turns = np.einsum('nji,njk->nik', poses[:-1, :3, :3], poses[1:, :3, :3])
    assert np.degrees(np.arccos(((np.trace(turns, axis1=1, axis2=2) - 1) / 2).clip(-1, 1))).max() < 8
    length = len(lap(options, (0,))) / 100
    first, second = poses[0], poses[round(length / 0.09)]
    assert np.linalg.norm(first[:2, 3] - second[:2, 3]) < 0.1
    assert not np.allclose(first, second, atol=1e-3)    # never quite the same again


def test_other_sessions_differ_as_they_are_told():
    plain, other = (walk(SMALL, how)[20] for how in (
        Walk(visits=(0,)), Walk(visits=(0,), side_m=0.2, height_m=1.6, heading_rad=0.3)))
    assert other[2, 3] - plain[2, 3] == pytest.approx(0.25)
    assert np.linalg.norm((other - plain)[:2, 3]) == pytest.approx(0.2)
    forward = [np.arctan2(pose[1, 2], pose[0, 2]) for pose in (plain, other)]
    assert forward[1] - forward[0] == pytest.approx(0.3, abs=0.02)
    back = walk(SMALL, Walk(visits=(0,), back=True, start=0.3))[0]
    along = walk(SMALL, Walk(visits=(0,), start=0.3))[0]
    np.testing.assert_allclose(back[:2, 3], along[:2, 3], atol=1e-9)
    assert back[:3, 2] @ along[:3, 2] < -0.8


def view(options, place, towards):
    pose = worlds.look_at(place, towards)
    return worlds.render(building(options).seen_from(CAMERA, pose), CAMERA, pose)


def local_view(options, room):
    """Look across a room, from and to the same places in its own frame."""
    (x, y), yaw = options.room_pose(room)
    c, s = np.cos(yaw), np.sin(yaw)
    places = [(x + c * u - s * v, y + s * u + c * v, z) for u, v, z in ((0.3, -0.5, 1.3), (-1.0, 2.0, 1.0))]
    return view(options, *places)


def test_twin_rooms_have_the_same_shape_and_the_copy_looks_the_same():
    options = worlds.BuildingOptions(texels_per_metre=40)
    first, twin, copy, other = (local_view(options, room) for room in (0, 2, 5, 1))
    np.testing.assert_allclose(twin.depth_m, first.depth_m, rtol=1e-5)
    assert np.abs(twin.image.astype(float) - first.image).mean() > 10
    np.testing.assert_allclose(copy.depth_m, first.depth_m, rtol=1e-5)
    assert np.abs(copy.image.astype(float) - first.image).mean() < 0.5
    assert not np.allclose(other.depth_m, first.depth_m, rtol=0.05)
    assert options.copied() == [0, 5] and SMALL.copied() == []
    assert options.within(5, np.array([*options.room_pose(5)[0], 1.0]))
    assert not options.within(5, np.array([*options.room_pose(0)[0], 1.0]))


def test_paint_and_furniture_change_by_themselves():
    options = worlds.BuildingOptions(texels_per_metre=40)
    plain = local_view(options, 3)
    painted = local_view(worlds.BuildingOptions(texels_per_metre=40, paint=1), 3)
    moved = local_view(worlds.BuildingOptions(texels_per_metre=40, moved=1.0), 3)
    np.testing.assert_array_equal(painted.depth_m, plain.depth_m)
    assert np.abs(painted.image.astype(float) - plain.image).mean() > 10
    same = np.isclose(moved.depth_m, plain.depth_m)
    assert 0.3 < same.mean() < 0.98
    np.testing.assert_array_equal(moved.image[same][:10], plain.image[same][:10])


def test_the_same_building_is_the_same_to_the_bit():
    options = worlds.BuildingOptions(texels_per_metre=40)
    np.testing.assert_array_equal(local_view(options, 1).image, local_view(options, 1).image)


@pytest.mark.parametrize(('wrong', 'said'), [
    ({'rows': 3}, 'one or two rows'), ({'moved': 2.0}, 'from 0 to 1'), ({'columns': 20}, 'at least 3 x 3'),
    ({'height_m': 2.0}, 'a height of 2 m')])
def test_what_cannot_be_built_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        worlds.BuildingOptions(**wrong)


def test_a_camera_outside_and_a_room_that_is_not_there_are_refused(small):
    with pytest.raises(ValueError, match='outside of the building'):
        small.seen_from(CAMERA, worlds.look_at((-1, 1, 1), (1, 1, 1)))
    for wrong, said in ((Walk(visits=(2,)), 'the rooms are 0 to 1'), (Walk(visits=(), laps=0), '0 laps'),
                        (Walk(visits=(), side_m=1), 'at most 0.35 m'), (Walk(visits=(), height_m=2.7), 'ceiling')):
        with pytest.raises(ValueError, match=said):
            walk(SMALL, wrong)


def test_less_light_is_darker_and_the_day_is_as_it_was():
    gray = np.full((48, 64), 128, np.uint8)
    means = [worlds.Photometry(worlds.LIGHTS[name])(gray, 0).mean() for name in ('day', 'evening', 'night')]
    assert means[0] > 1.5 * means[1] > 2 * means[2]


def test_a_recording_is_of_the_walk():
    poses = walk(SMALL, Walk(laps=0.01, visits=()))
    left, right = worlds.stereo_pair(64, 48)
    recording = worlds.Recording(building(SMALL), poses, 10.0, worlds.Photometry(), left, right)
    frames = list(recording)
    assert len(frames) == len(recording) == len(poses) > 2
    for (frame, pose), expected in zip(frames, poses):
        np.testing.assert_array_equal(pose, expected)
        assert frame.right_image is not None and frame.depth_m.shape == (48, 64)
    alone = list(worlds.Recording(building(SMALL), poses, 10.0, worlds.Photometry(), left))
    np.testing.assert_array_equal(alone[2][0].image, frames[2][0].image)
    assert alone[2][0].right_image is None
