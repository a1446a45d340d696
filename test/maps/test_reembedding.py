"""Maps of another vocabulary are described anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from laps import LAP, look, mapper, run, second, vocabulary
from places import all_round, lap

from superslam_ros.maps import storage
from superslam_ros.maps.config import MapConfig
from superslam_ros.maps.localizer import Reason
from superslam_ros.maps.map import Map
from superslam_ros.maps.mapper import Mapper
from superslam_ros.maps.merging import merge
from superslam_ros.maps.reembedding import adopt

OLD, NEW = '0a' * 32, 'b0' * 32


@pytest.fixture
def kept(tmp_path: Path) -> Map:
    """Return a map of an older vocabulary of the same size, from its file."""
    one = Mapper(Map(), MapConfig(), vocabulary=replace(vocabulary(), digest=OLD))
    run(one, look(all_round(), lap(LAP)))
    for keyframe in one.map.keyframes.values():
        keyframe.embedding = np.roll(keyframe.embedding, 7)
    storage.save(one.map, tmp_path / 'old.map')
    return storage.load(tmp_path / 'old.map')


def test_a_map_of_another_vocabulary_is_described_anew_and_found(kept: Map, caplog, tmp_path: Path) -> None:
    assert kept.vocabulary == OLD
    before = {number: one.embedding.copy() for number, one in kept.keyframes.items()}
    now = replace(vocabulary(), digest=NEW)
    one = Mapper(kept, MapConfig(), 'localize', vocabulary=now)
    assert kept.vocabulary == NEW and 'another vocabulary' in caplog.text
    assert all((before[number] != place.embedding).any() for number, place in kept.keyframes.items())
    assert run(one, second(all_round(), lap(LAP)[:3]))[-1].reason is Reason.OK
    storage.save(kept, tmp_path / 'new.map')
    assert adopt(storage.load(tmp_path / 'new.map'), now) == 0


def test_a_map_that_does_not_say_is_taken_as_it_is_if_it_fits(kept: Map) -> None:
    kept.vocabulary = ''
    assert adopt(kept, replace(vocabulary(), digest=NEW)) == 0
    for one in kept.keyframes.values():
        one.embedding = one.embedding[:9]
    assert adopt(kept, vocabulary()) == len(kept) and kept.embedding_size == vocabulary().size


def test_maps_of_two_vocabularies_are_merged(kept: Map) -> None:
    other = mapper()
    run(other, second(all_round(), lap(LAP)[:6]))
    localizer = Mapper(Map(), vocabulary=replace(vocabulary(), digest=NEW)).localizer
    merge(other.map, kept, localizer)
    assert len(other.map.sessions) == 2 and kept.vocabulary == other.map.vocabulary == NEW
