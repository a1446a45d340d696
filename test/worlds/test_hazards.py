"""What moves, shines and sways, and what is said of its pixels."""

import numpy as np
import pytest

from superslam_ros import worlds
from superslam_ros.worlds import HazardOptions, Hazards, Kind

CAMERA = worlds.pinhole(96, 72)
POSES = np.stack([worlds.look_at((0.06 * k - 2, 0, 1.2), (0.06 * k, 0.1, 1)) for k in range(60)])


def look(room, frame=10, at=None, **some):
    options = HazardOptions(**{'movers': 0, 'highlights': False, 'shadows': False, **some})
    return Hazards(room, POSES, 10.0, options).render(CAMERA, POSES[frame], frame if at is None else at)


def test_without_hazards_the_world_is_as_it_is(room):
    plain, seen = worlds.render(room, CAMERA, POSES[10]), look(room)
    np.testing.assert_array_equal(seen.image, plain.image)
    np.testing.assert_array_equal(seen.depth_m, plain.depth_m)
    assert not seen.kind.any()


def test_movers_move_and_only_they(room):
    now, later = (look(room, at=at, movers=2) for at in (10, 18))
    assert 0.02 < (now.kind == Kind.MOVER).mean() < 0.8 and set(np.unique(now.kind)) == {Kind.STEADY, Kind.MOVER}
    still = (now.kind == Kind.STEADY) & (later.kind == Kind.STEADY)
    np.testing.assert_array_equal(now.image[still], later.image[still])
    plain = worlds.render(room, CAMERA, POSES[10])
    assert (now.depth_m <= plain.depth_m).all() and (now.depth_m < plain.depth_m).any()
    assert ((now.kind == Kind.MOVER) != (later.kind == Kind.MOVER)).any()


def test_highlights_are_of_the_view_not_of_the_time(room):
    seen = look(room, highlights=True)
    np.testing.assert_array_equal(seen.image, look(room, at=30, highlights=True).image)
    plain = worlds.render(room, CAMERA, POSES[10])
    brighter = seen.image.astype(int) - plain.image
    assert brighter.min() >= 0 and (seen.kind[brighter > 20] == Kind.HIGHLIGHT).all() and (brighter > 20).any()
    assert (brighter[seen.kind == Kind.STEADY] <= 15).all()


def test_shadows_sway_over_what_stays(room):
    now, later = (look(room, at=at, shadows=True) for at in (10, 14))
    plain = worlds.render(room, CAMERA, POSES[10]).image.astype(float)
    assert (now.image <= plain).all() and (now.image < 0.7 * plain).any()
    edges, others = now.kind == Kind.SHADOW, later.kind == Kind.SHADOW
    assert edges.any() and (edges != others).mean() > 0.01
    np.testing.assert_array_equal(now.depth_m, later.depth_m)


@pytest.mark.parametrize('seed', [0, 1])
def test_the_same_seed_makes_the_same(room, seed):
    one, other = (Hazards(room, POSES, 10.0, HazardOptions(seed=seed)).render(CAMERA, POSES[5], 5) for _ in range(2))
    for a, b in zip(one, other):
        np.testing.assert_array_equal(a, b)
    assert (one.image != Hazards(room, POSES, 10.0, HazardOptions(seed=2)).render(CAMERA, POSES[5], 5).image).any()


def test_a_recording_shows_them(room):
    hazards = Hazards(room, POSES, 10.0)
    recording = worlds.Recording(room, POSES[:2], 10.0, worlds.Photometry(worlds.PhotometryConfig(noise=0.0)), CAMERA,
                                 hazards=hazards)
    frames = [frame for frame, _ in recording]
    np.testing.assert_array_equal(frames[1].depth_m, hazards.render(CAMERA, POSES[1], 1).depth_m)
    assert (frames[1].depth_m != worlds.render(room, CAMERA, POSES[1]).depth_m).any()
