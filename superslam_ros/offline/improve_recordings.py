"""What is kept of each recording for ``superslam improve``: evidence, tracks, structure and labels, made once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from superslam_ros.bags.bag import BagError
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.data import PosedImage
from superslam_ros.evaluation import trajectory
from superslam_ros.evaluation.gaps import Truth
from superslam_ros.geometry.bundle import BundleError
from superslam_ros.improve import checks, labels, pairs, truth
from superslam_ros.improve.checks import Refusal
from superslam_ros.improve.evidence import Evidence, EvidenceError
from superslam_ros.improve.overlap import Overlap
from superslam_ros.improve.pairs import Candidates
from superslam_ros.improve.revisits import reconstruct
from superslam_ros.improve.structure import Structure
from superslam_ros.improve.tracks import Tracks
from superslam_ros.offline import evidence as reading
from superslam_ros.offline.judging import Watch
from superslam_ros.offline.work import Work
from superslam_ros.pictures import labels as labels_drawn
from superslam_ros.pictures.improve import Picture
from superslam_ros.slam import SlamConfig

_STRUCTURE = ('T_world_camera', 'points', 'errors', 'parallax_deg', 'noise_px')


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording as far as it is used; ``labels`` (T,) int8 of the tracks, ``poses`` (F, 4, 4) to judge by."""

    evidence: Evidence
    tracks: Tracks
    structure: Structure
    labels: np.ndarray
    overlap: Overlap
    candidates: Candidates
    poses: np.ndarray

    def about(self, train: np.ndarray, test: np.ndarray) -> dict[str, Any]:
        """Return what is told of it; ``train`` and ``test`` (F,) bool are the parts of its frames."""
        return {
            'bag': self.evidence.name, 'frames': len(self.evidence.stamps_ns),
            'lost': int((self.evidence.segment < 0).sum()), 'source': self.evidence.source,
            'tracks': len(self.labels), 'stable': int((self.labels > 0).sum()),
            'unstable': int((self.labels < 0).sum()), 'noise_px': float(self.structure.noise_px),
            'train': int(train.sum()), 'test': int(test.sum())}

    def pictures(self, count: int = 2) -> list[Picture]:
        """Return frames, evenly over the recording, with the points of its tracks."""
        frames = np.linspace(0, len(self.evidence) - 1, count + 2)[1:-1].astype(int).tolist()
        told = 'stable points in green, unstable ones in red, those of which neither can be told in gray'
        return [Picture(f'{self.evidence.name}, frame {frame}: {told}', labels_drawn.frame_with_labels(
            self.evidence, self.tracks, self.labels, frame)) for frame in frames]

    def posed(self, frames: np.ndarray) -> list[PosedImage]:
        """Return frames (F,) bool of the longest segment with depth, for training on pairs with parallax."""
        segment = self.evidence.segment[frames & self.overlap.placed]
        if not len(segment):
            return []
        longest = np.bincount(segment).argmax()
        found = [(int(frame), self.evidence.depth(int(frame)))
                 for frame in np.flatnonzero(frames & self.overlap.placed & (self.evidence.segment == longest))]
        return [PosedImage(self.evidence.image(frame), depth_m, self.evidence.pinhole.K,
                           self.structure.T_world_camera[frame])
                for frame, depth_m in found if depth_m is not None]


def prepare(
    bag: Path, number: int, work: Work, config: SlamConfig, reader: ReaderOptions, true_poses: Path | None, watch: Watch
) -> Recording:
    """Return what a recording shows; what was made of it before is read.

    :param number: of the recording, by which its files are named.
    :param true_poses: TUM file of the optical frame, to judge by; without it, the structure's poses.
    :raises Refusal: when it cannot be used, with the reason.
    """
    def read(partial: Path) -> None:
        try:
            reading.gather(bag, partial, config, reader, watch.start, watch.step)
        except (BagError, EvidenceError) as error:
            if isinstance(error.__cause__, OSError):    # the disk's, not the recording's
                raise
            raise Refusal(str(error)) from error

    evidence = Evidence.load(work.stage(f'evidence_{number}', read))
    _refuse(evidence, checks.of_frames(evidence))

    def build(partial: Path) -> None:
        watch.start(f'{evidence.name}: tracks, structure, labels', 2)
        try:
            found, built = reconstruct(evidence)
        except ImportError as error:
            raise RuntimeError(str(error)) from error
        except BundleError as error:
            raise Refusal(f'{evidence.name}: its structure cannot be found: {error}') from error
        watch.step()
        _save(partial, found, built, labels.label(built, found, built.noise_px))
        watch.step()

    tracks, structure, found = _load(work.stage(f'structure_{number}.npz', build))
    _refuse(evidence, checks.of_structure(structure, found))
    overlap = Overlap(evidence, tracks, structure)
    poses = structure.T_world_camera if true_poses is None else _true(evidence, structure, true_poses)
    return Recording(evidence, tracks, structure, found, overlap, pairs.candidates(evidence, overlap), poses)


def _refuse(evidence: Evidence, reason: str) -> None:
    if reason:
        raise Refusal(f'{evidence.name}: {reason}')


def _true(evidence: Evidence, structure: Structure, path: Path) -> np.ndarray:
    """Return the true poses of the frames (F, 4, 4), NaN where there is none near in time."""
    known = Truth(*trajectory.read_tum(path))
    found = [known.at(int(stamp)) for stamp in evidence.stamps_ns]
    poses = np.stack([np.full((4, 4), np.nan) if T is None else T @ evidence.T_optical_camera for T in found])
    problem = truth.objection(structure.T_world_camera, poses, evidence.segment)
    if problem:
        raise Refusal(f'{evidence.name}: --ground-truth {path}: {problem}')
    return poses


def _save(path: Path, tracks: Tracks, structure: Structure, found: np.ndarray) -> None:
    with path.open('wb') as file:
        np.savez(file, first=tracks.first, frame=tracks.frame, keypoint=tracks.keypoint, labels=found,
                 **{name: getattr(structure, name) for name in _STRUCTURE})


def _load(path: Path) -> tuple[Tracks, Structure, np.ndarray]:
    with np.load(path) as file:
        tracks = Tracks(file['first'], file['frame'], file['keypoint'])
        structure = Structure(**{name: file[name] for name in _STRUCTURE})
        return tracks, replace(structure, noise_px=float(structure.noise_px)), file['labels']


def names(bags: Sequence[Path]) -> str:
    """Return the names of recordings, for people."""
    return ', '.join(bag.resolve().name for bag in bags)
