"""How well labels tell what moves: on a rendered walk past things that do, where all is known."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from superslam_ros import worlds
from superslam_ros.data import Frame
from superslam_ros.improve import labels
from superslam_ros.improve.evidence import LOST, Evidence
from superslam_ros.improve.revisits import reconstruct
from superslam_ros.improve.tracks import Tracks
from superslam_ros.offline import monocular
from superslam_ros.offline.demo import DemoOptions
from superslam_ros.offline.evidence import from_frames
from superslam_ros.offline.judging import Watch
from superslam_ros.slam import SlamConfig

STAYS_PX = 2.0
"""A point on a surface that is never farther than this, in the mean, from where it mostly is, has stayed."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """A recording with what its labels say, and what there is to know: ``kind`` (M,) of what observations show, by
    ``worlds.Kind``, and by how many pixels the place on the surface has moved (M,) in the world since.
    """

    evidence: Evidence
    tracks: Tracks
    labels: np.ndarray
    kind: np.ndarray
    moved_px: np.ndarray


def label_demo(
    options: DemoOptions, config: SlamConfig, folder: Path, on_frame: Callable[[], None] = lambda: None,
    one_camera: bool = False,
) -> Labelled:
    """Render a walk past hazards, label its tracks, and look up what they show.

    :param folder: for the evidence.
    :param one_camera: label without depth.
    """
    kinds, depths, poses = [], [], []
    frames = _frames(options, kinds, depths, poses, on_frame)
    if one_camera:
        frames = (replace(frame, depth_m=None) for frame in frames)
    evidence = from_frames(frames, folder / 'evidence', config, 'hazards')
    if one_camera:
        monocular.place(evidence, folder / 'poses', Watch())
        evidence, _ = monocular.placed(evidence, folder / 'poses')
    # Left out are only frames in which the camera stands still, and it does not.
    found, built = reconstruct(evidence)
    given = labels.label(built, found, built.noise_px)
    at = np.rint(evidence.pixels[evidence.first[found.frame] + found.keypoint]).astype(int)
    kind, place = np.zeros(len(at), int), np.full((len(at), 3), np.nan)
    for frame in range(len(evidence)):
        rows = np.flatnonzero(found.frame == frame)
        x, y = at[rows].T
        kind[rows] = kinds[frame][y, x]
        local = evidence.pinhole.rays(at[rows]) * depths[frame][y, x, None]
        place[rows] = local @ poses[frame][:3, :3].T + poses[frame][:3, 3]
    return Labelled(evidence, found, given, kind, _moved(evidence, found, place, np.array(poses)))


def _frames(
    options: DemoOptions, kinds: list[np.ndarray], depths: list[np.ndarray], poses: list[np.ndarray],
    on_frame: Callable[[], None],
) -> Iterator[Frame]:
    """Yield frames with depth of the left camera, and keep what they show and where they were seen from."""
    recording = options.recording()
    times = worlds.stamps(len(recording), recording.rate_hz)
    for number, (stamp, pose) in enumerate(zip(times, recording.poses)):
        seen = recording.hazards.render(recording.camera, pose, number)
        kinds.append(seen.kind)
        depths.append(seen.depth_m)
        poses.append(pose)
        yield Frame(int(stamp), recording.photometry(seen.image, number), recording.camera, depth_m=seen.depth_m)
        on_frame()


def _moved(evidence: Evidence, found: Tracks, place: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Return (M,) how far places (M, 3) are from the middle one of their track, in pixels of their frame."""
    moved = np.empty(len(place))
    for begin, end in zip(found.first[:-1], found.first[1:]):
        middle = np.nanmedian(place[begin:end], axis=0)
        T = poses[found.frame[begin:end]]
        pixels, mean = (evidence.pinhole.project(np.einsum('nji,nj->ni', T[:, :3, :3], what - T[:, :3, 3]))
                        for what in (place[begin:end], np.broadcast_to(middle, (end - begin, 3))))
        moved[begin:end] = np.linalg.norm(pixels - mean, axis=1)
    return np.nan_to_num(moved, nan=np.inf)


def figures(found: Labelled) -> dict[str, Any]:
    """Return what part of the tracks of :data:`~superslam_ros.improve.labels.FEWEST` observations or more is labelled
    as it should be: ``unstable`` of those that move, by kind, too; ``stable`` of those that are called so.
    """
    start, lengths = found.tracks.first[:-1], found.tracks.lengths
    kinds = np.stack([np.add.reduceat((found.kind == kind).astype(int), start) / lengths for kind in worlds.Kind], 1)
    hazard = kinds[:, worlds.Kind.STEADY] < 0.5
    mean, most = np.add.reduceat(found.moved_px, start) / lengths, np.maximum.reduceat(found.moved_px, start)
    off = np.add.reduceat((found.moved_px > labels.OFF_PX).astype(int), start) / lengths
    long = lengths >= labels.FEWEST
    moves = long & hazard & (most >= labels.FAR_PX) & (off > labels.OFF_PART)
    stable, unstable = found.labels == labels.STABLE, found.labels == labels.UNSTABLE
    right = stable & ~(hazard & (mean > STAYS_PX))
    by_kind = {kind.name.lower(): moves & (kinds[:, 1:].argmax(1) + 1 == kind) for kind in list(worlds.Kind)[1:]}
    return {
        'frames': len(found.evidence), 'lost': int((found.evidence.segment == LOST).sum()),
        'tracks': int(long.sum()), 'moving': int(moves.sum()),
        'unstable': _part(moves & unstable, moves), 'called_stable': _part(moves & stable, moves),
        'stable': _part(right, stable), 'stable_tracks': int(stable.sum()), 'unstable_tracks': int(unstable.sum()),
        **{f'unstable_{name}': _part(chosen & unstable, chosen) for name, chosen in by_kind.items()},
        **{f'{name}s': int(chosen.sum()) for name, chosen in by_kind.items()}}


def _part(some: np.ndarray, of: np.ndarray) -> float | None:
    return float(some.sum() / of.sum()) if of.any() else None


def evaluate(
    options: DemoOptions, config: SlamConfig, on_frame: Callable[[], None] = lambda: None, out: Path | None = None,
    one_camera: bool = False,
) -> dict[str, Any]:
    """Return the figures of a walk; with ``out``, draw its labels there, too."""
    with tempfile.TemporaryDirectory() as folder:
        found = label_demo(options, config, Path(folder), on_frame, one_camera)
        if out is not None:
            from superslam_ros.pictures.labels import draw_labels

            out.mkdir(parents=True, exist_ok=True)
            draw_labels(out / 'labels.png', found.evidence, found.tracks, found.labels)
        return figures(found)
