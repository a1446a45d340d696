"""Lattices of rendered boards: every corner at its own place, none of the false ones."""

import numpy as np
import pytest

from superslam_ros.boards.board import Board
from superslam_ros.boards.lattice import lattices
from superslam_ros.data import Camera
from superslam_ros.worlds.boards import Placed, facing, render_boards

BOARD = Board('b', 7, 6, 0.04, 0.03, 'DICT_5X5_100')
K = np.array([[260.0, 0, 159.5], [0, 260, 119.5], [0, 0, 1]])


@pytest.mark.parametrize(('tilt', 'k1', 'missing', 'noise_px', 'false'), [
    (0.0, 0.0, 0.0, 0.3, 0), (1.0, 0.0, 0.1, 0.5, 10), (0.4, -0.3, 0.15, 0.8, 20), (0.7, 0.1, 0.2, 1.0, 10)])
def test_every_corner_has_its_place(found_corners, tilt, k1, missing, noise_px, false) -> None:
    camera = Camera(320, 240, K, np.array([k1, 0, 0, 0]), 'plumb_bob')
    scene = render_boards(camera, [Placed(BOARD, facing(BOARD, 0.32, tilt, 0.8, 0.4))], supersample=1)
    found = found_corners(scene, noise_px, missing, false)(scene.image)
    best = lattices(scene.image, found.pixels, found.scores)[0]
    apart = np.linalg.norm(found.pixels[best.index][:, None] - scene.pixels[0][None], axis=2)
    own = apart.min(1) < 4 * noise_px
    place = np.stack(np.divmod(apart.argmin(1), 6)[::-1], 1)
    true = len(found.pixels) - false
    assert own.sum() >= 0.9 * true and (~own).sum() <= 1
    # One turn and one shift bring all cells to their places: right-handed, with no shear.
    design = np.column_stack([best.cells[own], np.ones(own.sum())])
    map_, *_ = np.linalg.lstsq(design, place[own], rcond=None)
    np.testing.assert_allclose(design @ map_, place[own], atol=1e-6)
    assert np.linalg.det(map_[:2]) == pytest.approx(1)
    assert np.abs(map_[:2]).sum() == pytest.approx(2)
    # The top left square is black: so is that right below corner 0.
    assert best.chess > 0.3 * len(best) or best.chess < -0.3 * len(best)


def test_what_is_no_lattice_gives_none_that_looks_like_chess() -> None:
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 1, (120, 160)).astype(np.float32)
    for count in (0, 1, 3, 40):
        for one in lattices(image, rng.uniform(0, 1, (count, 2)) * [160, 120], np.ones(count)):
            assert abs(one.chess) < 6
