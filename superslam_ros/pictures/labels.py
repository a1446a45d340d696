"""What labels say: frames with the points of stable tracks in green, of unstable ones in red."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from superslam_ros.improve.evidence import Evidence
from superslam_ros.improve.tracks import Tracks

STABLE, UNSTABLE, IGNORED = (96, 220, 74), (70, 70, 255), (150, 150, 150)
_COLUMNS, _WIDTH = 3, 480


def frame_with_labels(evidence: Evidence, tracks: Tracks, labels: np.ndarray, frame: int) -> np.ndarray:
    """Return a frame (H, W, 3) BGR uint8 with the points of its tracks, those that are ignored small and gray."""
    scale = max(1, round(_WIDTH / evidence.size[0]))
    image = cv2.resize(evidence.image(frame), None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    image = cv2.cvtColor((image * 0.75).astype(np.uint8), cv2.COLOR_GRAY2BGR)
    rows = np.flatnonzero(tracks.frame == frame)
    labels = labels[tracks.track_of()[rows]]
    pixels = evidence.pixels[evidence.first[frame] + tracks.keypoint[rows]]
    for label, colour, radius in ((0, IGNORED, 1), (1, STABLE, 3), (-1, UNSTABLE, 3)):
        for x, y in np.rint((pixels[labels == label] + 0.5) * scale - 0.5).astype(int).tolist():
            cv2.circle(image, (x, y), radius, colour, -1 if radius == 1 else 2, cv2.LINE_AA)
    return image


def draw_labels(path: Path, evidence: Evidence, tracks: Tracks, labels: np.ndarray, count: int = 9) -> None:
    """Write a sheet of frames, evenly over the recording.

    :raises OSError: when it cannot be written.
    """
    frames = np.linspace(0, len(evidence) - 1, min(count, len(evidence)) + 2)[1:-1].astype(int)
    tiles = [frame_with_labels(evidence, tracks, labels, int(frame)) for frame in frames]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % _COLUMNS)
    sheet = np.vstack([np.hstack(tiles[row:row + _COLUMNS]) for row in range(0, len(tiles), _COLUMNS)])
    path.write_bytes(cv2.imencode('.png', sheet)[1].tobytes())
