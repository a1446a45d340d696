"""Pictures of maps have the shape of what they show, as seen from where most of it is seen."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from laps import mapper
from places import EMBEDDING, Looker, all_round
from points import PointWorld

from superslam_ros.geometry.pose import T_BODY_OPTICAL, compose
from superslam_ros.maps.map import Map
from superslam_ros.pictures.maps import draw_map


def made(steps: np.ndarray) -> Map:
    """Return a map of a camera that looks along x, at some places (N, 3)."""
    world = PointWorld(all_round().landmarks * [1, 1, 0.2] + [9, 0, 0])
    looker, one = Looker(world), Map()
    session = one.add_session('drive', 0)
    for place in steps:
        T = compose(np.eye(3), place) @ T_BODY_OPTICAL
        one.add(looker.look(T), T, session, EMBEDDING)
    return one


def ratio(kept: Map, path: Path) -> float:
    """Return height over width of its picture."""
    draw_map(path, kept, 'a map')
    height, width = cv2.imread(str(path)).shape[:2]
    return height / width


def test_a_straight_drive_up_a_slope_is_drawn_from_above(tmp_path: Path) -> None:
    """It goes higher by more than it goes aside: from the side, the world would be a line."""
    along = np.arange(6.0)
    from_above = ratio(made(np.stack([along, 0.01 * along, 0.05 * along], 1)), tmp_path / 'above.png')
    from_aside = ratio(made(np.stack([along, 0.01 * along, 0.6 * along], 1)), tmp_path / 'aside.png')
    assert from_aside < 0.5 < from_above


def test_a_map_without_keyframes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='no keyframes'):
        draw_map(tmp_path / 'none.png', mapper().map, 'none')
