"""What is not found in a map is kept beside it, until it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from laps import LAP, look, mapper, run
from places import all_round, check, lap

from superslam_ros.maps import storage, unplaced
from superslam_ros.maps.mapper import Mapper
from superslam_ros.maps.parts import MapError

LATE = {'start_ns': 10**12, 'first_id': 5001}


@pytest.fixture
def two() -> Mapper:
    """Return a mapper that has not found its second session, which goes on, in the first."""
    one, poses = mapper(), lap(2 * LAP)
    run(one, look(all_round(), poses[:8]))
    run(one, [replace(keyframe, segment=2) for keyframe in look(all_round(), poses[20:24], **LATE)])
    return one


def test_it_is_saved_beside_the_map_and_goes_when_it_is_in_it(two: Mapper, tmp_path: Path) -> None:
    (beside,) = unplaced.save_all(two.map, two.waiting(), tmp_path / 'office.map')
    assert unplaced.files(tmp_path / 'office.map') == [beside] and beside.name in unplaced.advice([beside])
    other = storage.load(beside)
    assert len(other) == 4 and len(other.sessions) == 1 and len(storage.load(tmp_path / 'office.map')) == len(two.map)
    check(other)
    assert unplaced.save_all(two.map, two.waiting(), tmp_path / 'office.map') == [beside]
    bridge = look(all_round(), lap(2 * LAP)[2:24], start_ns=2 * 10**12, first_id=9001)
    run(two, [replace(keyframe, segment=3) for keyframe in bridge])
    two.finish()
    assert len(two.map.sessions) == 3 and not unplaced.save_all(two.map, two.waiting(), tmp_path / 'office.map')
    assert sorted(one.name for one in tmp_path.iterdir()) == ['office.map'] and not unplaced.advice([])


def test_it_is_safe_where_the_map_cannot_be_written(two: Mapper, tmp_path: Path) -> None:
    (tmp_path / 'office.map').mkdir()
    with pytest.raises(MapError, match='directory'):
        unplaced.save_all(two.map, two.waiting(), tmp_path / 'office.map')
    (beside,) = unplaced.files(tmp_path / 'office.map')
    assert len(storage.load(beside)) == 4
