"""``superslam charuco detect``: the boards of images, as JSON, poses and pictures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from superslam_ros import display
from superslam_ros.bags.bag import BagError
from superslam_ros.boards.board import Board
from superslam_ros.boards.detector import BoardDetector, Hints
from superslam_ros.boards.types import BoardDetection, Detections
from superslam_ros.evaluation.report import Distinct
from superslam_ros.geometry.camera import alone
from superslam_ros.geometry.pose import quaternion
from superslam_ros.inputs.shots import Shot


@dataclass
class Summary:
    """How many images there were, in how many each board was found and had a pose, and why not, by reason."""

    images: int = 0
    found: Counter[str] = field(default_factory=Counter)
    posed: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)


def detect(
    images: Iterable[Shot], boards: Mapping[str, Board], out: Path, pictures: bool = True,
) -> Summary:
    """Write detections.json, a picture of each image, and of images with stamps the poses by board as NAME.tum.

    Of a board that is in an image twice, the poses are in detections.json only.

    :raises BagError: when the folder cannot be written.
    """
    detector, distinct, summary = BoardDetector(boards), Distinct(), Summary()
    hints = Hints(detector)
    entries, tracks = [], {name: [] for name in boards}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for shot in images:
            camera = None if shot.camera is None else alone(shot.camera)
            found = Detections([], shot.problem) if shot.image is None else hints(
                shot.image, detector.detect(shot.image, camera))
            entries.append(as_json(shot, found))
            _count(summary, shot, found)
            names = [one.board for one in found.boards]
            for one in found.boards:
                if shot.stamp_ns and one.T_camera_board is not None and names.count(one.board) == 1:
                    tracks[one.board].append(_tum(shot.stamp_ns, one))
            if pictures and shot.image is not None:
                drawn = display.board_overlay(shot.image, boards, found.boards, camera, found.reason or shot.problem)
                _write(out / f'{distinct(Path(shot.name).name.replace(":", "_"))}.png', drawn)
        (out / 'detections.json').write_text(_dumps(entries), encoding='utf-8')
        for name, lines in tracks.items():
            if lines:
                (out / f'{name}.tum').write_text('\n'.join(lines) + '\n', encoding='utf-8')
    except OSError as error:
        raise BagError(f'--out {out}: cannot be written ({error.strerror or error})') from error
    if not summary.images:
        raise BagError('there is no image')
    return summary


def as_json(shot: Shot, found: Detections) -> dict[str, Any]:
    """Return the entry of one image in detections.json."""
    stamp = {'stamp_ns': shot.stamp_ns} if shot.stamp_ns else {}
    boards = [{
        'name': one.board, 'ids': one.ids.tolist(), 'pixels': one.pixels.round(4).tolist(),
        'sigma_px': one.sigma_px.round(4).tolist(),
        **({'T_camera_board': one.T_camera_board.round(9).tolist(), 'covariance': one.covariance.tolist()}
           if one.T_camera_board is not None else {}),
        **({'reason': why} if (why := _why(shot, one)) else {})} for one in found.boards]
    return {'image': shot.name, **stamp, 'boards': boards, **({} if boards else {'reason': found.reason})}


def _why(shot: Shot, one: BoardDetection) -> str:
    """Return why a board has no pose, or an uncertain one."""
    return shot.problem if one.T_camera_board is None and shot.camera is None else one.reason


def _count(summary: Summary, shot: Shot, found: Detections) -> None:
    summary.images += 1
    if not found.boards:
        summary.reasons[found.reason] += 1
    for name in {one.board for one in found.boards}:
        summary.found[name] += 1
        summary.posed[name] += any(one.board == name and one.T_camera_board is not None for one in found.boards)


def _tum(stamp_ns: int, one: BoardDetection) -> str:
    T = one.T_camera_board
    values = [*T[:3, 3], *quaternion(T[:3, :3])]
    return f'{stamp_ns // 10**9}.{stamp_ns % 10**9:09d} ' + ' '.join(f'{value:.9f}' for value in values)


def _dumps(entries: list[dict[str, Any]]) -> str:
    """Return JSON with a line for each image."""
    return '[\n' + ',\n'.join(json.dumps(entry, allow_nan=False) for entry in entries) + '\n]\n'


def _write(path: Path, drawn) -> None:
    if not cv2.imwrite(str(path), cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR)):
        raise OSError(f'{path.name} cannot be written: is the disk full?')
