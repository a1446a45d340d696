"""Drives of a robot: what is measured of the odometry with wheels."""

from __future__ import annotations

import numpy as np
import pytest

from superslam_ros import worlds
from superslam_ros.evaluation import wheels
from superslam_ros.geometry.pose import inverse
from superslam_ros.slam import ExtractorConfig, SlamConfig

CASES = {one.name: one for one in wheels.CASES}
EXACT = worlds.WheelErrors(0, 0, 0, 0, 0)


@pytest.fixture(scope='module')
def drive() -> wheels.Drive:
    """Return three seconds of driving, one of them in the dark."""
    building = worlds.BuildingOptions(length_m=8.5, width_m=8.5, corridor_m=2.0, columns=1, rows=1, texels_per_metre=80)
    slam = SlamConfig(ExtractorConfig(max_keypoints=300, precision='float32'))
    return wheels.record(wheels.Setting(building, 8.0, 3.0, 0.5, 1.0, 0.6, (160, 120), slam, EXACT), 0)


def test_the_robot_is_in_a_plane_and_wheels_know_its_way(drive: wheels.Drive) -> None:
    assert np.abs(drive.bases[:, 2, 3]).max() < 1e-9 and np.abs(drive.bases[:, 2, 2] - 1).max() < 1e-9
    guess = drive.guess(CASES['dark, wheels'])
    stamps = [drive.frames[i].frame.stamp_ns for i in (3, 20)]
    np.testing.assert_allclose(guess.between(*stamps).T_0_1, inverse(drive.poses[3]) @ drive.poses[20], atol=1e-9)
    spun = drive.guess(CASES['dark, wheels that spin and turn'])
    assert np.linalg.norm(spun.between(*stamps).T_0_1[:3, 3]) > np.linalg.norm(guess.between(*stamps).T_0_1[:3, 3])


def test_wheels_carry_through_the_dark(drive: wheels.Drive) -> None:
    """Exact ones leave nothing to be wrong but what vision errs before and after."""
    alone, with_wheels = (wheels.measure(drive, CASES[name]) for name in ('dark', 'dark, wheels'))
    assert alone['unplaced'] >= len(drive.trouble) and with_wheels['unplaced'] == 0
    assert with_wheels['guessed'] >= len(drive.trouble) and with_wheels['end_m'] < 0.01 < alone['end_m']
    assert with_wheels['over_wheels'] < 3
    total = wheels.summarise([alone, with_wheels])
    assert total['unplaced'] == alone['unplaced'] and total['over_wheels'] == with_wheels['over_wheels']
    assert total['end_m'] == pytest.approx(np.hypot(alone['end_m'], with_wheels['end_m']) / np.sqrt(2))


def test_a_drive_has_time_for_the_trouble() -> None:
    with pytest.raises(ValueError, match='too short for 2 s without images'):
        wheels.record(wheels.Setting(seconds=2.5), 0)
