"""Cameras of this machine."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from inputs import layouts
from inputs.test_data_sets import read
from superslam_ros.bags.files import BagError
from superslam_ros.cli.main import main
from superslam_ros.inputs.opening import open_frames
from superslam_ros.offline import runner


def test_a_camera_gives_its_newest_image_until_it_ends(stereo_frames, tmp_path: Path, monkeypatch, caplog) -> None:
    """A file takes the place of the device: OpenCV opens both by the same call."""
    video = layouts.write_video(tmp_path / 'device.avi', [frame.image for frame in stereo_frames] * 3)
    found, _ = read(Path(f'camera:{video}'))
    assert 1 <= len(found) <= 17 and 'gives no more images' in caplog.text
    assert all(a.stamp_ns < b.stamp_ns for a, b in zip(found, found[1:]))
    with open_frames('camera:' + str(video)) as frames:
        assert (frames.kind, frames.count, frames.mode) == ('camera', None, 'mono')
        count = sum(1 for _ in frames)
        assert count + sum(frames.skipped.values()) == 17
    with open_frames('camera:' + str(video)) as frames:
        next(iter(frames))          # and it is let go in the midst
    with pytest.raises(BagError, match='camera:nothing: gives no image'):
        read(Path('camera:nothing'))


class Endless:
    """A camera: it gives images as long as it is asked."""

    def __init__(self, name: int | str) -> None:
        self.name, self.released = name, False

    def isOpened(self) -> bool:
        return self.name == 7

    def read(self) -> tuple[bool, np.ndarray]:
        return True, np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)

    def release(self) -> None:
        pass


def test_ctrl_c_ends_a_camera_and_the_results_are_written(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(cv2, 'VideoCapture', Endless)
    before = signal.getsignal(signal.SIGINT)
    with open_frames('camera:7') as frames:
        found = []
        for recorded in frames:
            found.append(recorded.frame)
            if len(found) == 3:
                os.kill(os.getpid(), signal.SIGINT)
    assert len(found) == 3 and signal.getsignal(signal.SIGINT) is before
    monkeypatch.setattr(runner.Recorder, 'write', lambda *_: os.kill(os.getpid(), signal.SIGINT))
    assert main(['run', 'camera:7', '--out', str(tmp_path), '--features', 'orb']) == 0
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert (summary['kind'], summary['frames'], summary['images'], summary['interrupted']) == ('camera', 1, None, False)
