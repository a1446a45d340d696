"""Fixtures for every room: a rendered world, a small stereo and depth bag made of it, and bags message by message."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from superslam_ros import worlds
from superslam_ros.bags.messages import Messages, typestore
from superslam_ros.bags.writer import BagWriter
from superslam_ros.data import Camera
from superslam_ros.models import precision

IMAGE, INFO = '/cam/image_raw', '/cam/camera_info'
STEP_NS = 100_000_000
DOMAINS = range(20, 100)    # their ports lie below those that Linux gives out


# A shell that starts the tests in the background has them ignore Ctrl-C, and what they start, too.
signal.signal(signal.SIGINT, signal.default_int_handler)


def claim_domain() -> socket.socket:
    """Set ROS_DOMAIN_ID to a domain that no other process on this machine runs tests on.

    It belongs to whoever holds the TCP port of the same number as the domain's UDP port for discovery, which the
    system lets go when the process ends.

    :raises RuntimeError: when all domains are taken.
    """
    for domain in DOMAINS:
        held = socket.socket()
        try:
            held.bind(('127.0.0.1', 7400 + 250 * domain))
        except OSError:
            held.close()
            continue
        os.environ['ROS_DOMAIN_ID'] = str(domain)
        os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
        return held
    raise RuntimeError(f'every ROS domain from {DOMAINS[0]} to {DOMAINS[-1]} is taken by a process that runs tests')


DOMAIN = claim_domain()


class DemoBag(NamedTuple):
    """A rendered bag and its exact ground truth."""

    bag: Path
    truth: Path
    frames: int


AGAIN: list[str] = []


@pytest.hookimpl(optionalhook=True)     # of pytest-xdist
def pytest_handlecrashitem(crashitem: str, report: pytest.TestReport, sched: Any) -> None:
    """Run a test whose process ended once more, and say so at the end.

    Fast DDS can wait for itself for good while a node is destroyed; ``faulthandler_timeout`` then ends the process
    and prints where it was.
    """
    if crashitem not in AGAIN:
        AGAIN.append(crashitem)
        report.outcome = 'rerun'
        sched.mark_test_pending(crashitem)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that were run twice."""
    for test in AGAIN:
        terminalreporter.write_line(f'run twice, since its process ended the first time: {test}')


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no line of a log be wrapped, in the middle of a name or elsewhere."""
    monkeypatch.setenv('COLUMNS', '1000')


@pytest.fixture(autouse=True)
def same_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute in float32, and in int8 in the same way, whatever the CPU can do."""
    for name in ('native_bfloat16', 'native_int8'):
        monkeypatch.setattr(precision, name, lambda: False)


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


class Bag:
    """A bag in the making: one camera at 10 Hz, whose messages a test changes at will."""

    def __init__(self, path: Path) -> None:
        self.path, self.messages = path, []
        self.make = Messages(typestore())
        self.camera = worlds.pinhole(64, 48)

    def put(self, topic: str, index: int, message: Any) -> None:
        """Receive a message at the time of frame ``index``."""
        self.messages.append((topic, (index + 1) * STEP_NS, message))

    def image(self, index: int, array: np.ndarray | None = None, topic: str = IMAGE, **changes: Any) -> None:
        """Add an image (by default 64x48 noise), with some of its fields changed."""
        if array is None:
            array = np.random.default_rng(index).integers(0, 256, (48, 64), dtype=np.uint8)
        stamp = changes.pop('stamp_ns', (index + 1) * STEP_NS)
        message = self.make.image(stamp, 'optical', array)
        for name, value in changes.items():
            setattr(message, name, value)
        self.put(topic, index, message)

    def info(self, index: int = 0, camera: Camera | None = None, topic: str = INFO, **changes: Any) -> None:
        """Add a camera_info, with some of its fields changed."""
        message = self.make.camera_info((index + 1) * STEP_NS, camera or self.camera)
        for name, value in changes.items():
            setattr(message, name, value)
        self.put(topic, index, message)

    def frames(self, count: int, start: int = 0) -> None:
        """Add good images with their camera_info."""
        for index in range(start, start + count):
            self.info(index)
            self.image(index)

    def write(self) -> Path:
        """Write the bag."""
        with BagWriter(self.path, self.make.store) as writer:
            for topic, log_ns, message in self.messages:
                writer.write(topic, log_ns, message)
        return self.path


@pytest.fixture
def bag(tmp_path: Path) -> Bag:
    """Return an empty bag to fill."""
    return Bag(tmp_path / 'bag')


@pytest.fixture
def read() -> Callable[..., tuple[list, dict[str, int]]]:
    """Return a function that reads a bag: its frames, and what was left out."""
    from superslam_ros.bags.bag import open_bag
    from superslam_ros.bags.reader import BagFrames, ReaderOptions

    def frames(path: Path, **options: Any) -> tuple[list, dict[str, int]]:
        with open_bag(path) as reader:
            found = BagFrames(reader, ReaderOptions(**options))
            return [recorded.frame for recorded in found], dict(found.skipped)

    return frames


@pytest.fixture(scope='session')
def room_images(room: worlds.World) -> list[np.ndarray]:
    """Return three (H, W) uint8 images of the room."""
    poses = worlds.demo_trajectory(30, 10.0, 0)[::10]
    return [worlds.render(room, worlds.pinhole(160, 120), pose).image for pose in poses]
