"""Fixtures for every room: a rendered world, and a small stereo and depth bag made of it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from superslam_ros import worlds


class DemoBag(NamedTuple):
    """A rendered bag and its exact ground truth."""

    bag: Path
    truth: Path
    frames: int


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no line of a log be wrapped, in the middle of a name or elsewhere."""
    monkeypatch.setenv('COLUMNS', '1000')


@pytest.fixture(scope='session')
def room() -> worlds.World:
    """Return the room at a coarse texture, which is quick to paint."""
    return worlds.room_world(seed=0, texels_per_metre=120)


@pytest.fixture(scope='session')
def demo_bag(tmp_path_factory: pytest.TempPathFactory) -> DemoBag:
    """Return a bag of 20 stereo frames with depth at 10 Hz, 320x240."""
    from superslam_ros.offline.demo import DemoOptions, write_demo

    bag, truth = write_demo(tmp_path_factory.mktemp('demo'), DemoOptions(frames=20, rate_hz=10.0, texels_per_metre=160))
    return DemoBag(bag, truth, 20)
