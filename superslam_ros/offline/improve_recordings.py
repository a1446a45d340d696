"""What is kept of each recording for ``superslam improve``: evidence, tracks, structure and labels, made once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from superslam_ros.bags.bag import BagError
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.data import PosedImage
from superslam_ros.evaluation import trajectory
from superslam_ros.evaluation.gaps import Truth
from superslam_ros.geometry.bundle import BundleError
from superslam_ros.improve import checks, labels, pairs, revisits, truth
from superslam_ros.improve.checks import Refusal
from superslam_ros.improve.evidence import Evidence, EvidenceError
from superslam_ros.improve.overlap import Overlap
from superslam_ros.improve.pairs import Candidates
from superslam_ros.improve.structure import Structure
from superslam_ros.improve.tracks import Tracks
from superslam_ros.offline import evidence as reading
from superslam_ros.offline import fleet, monocular
from superslam_ros.offline.fleet import Tell
from superslam_ros.offline.judging import Watch
from superslam_ros.offline.work import Work
from superslam_ros.pictures import labels as labels_drawn
from superslam_ros.pictures.improve import Picture
from superslam_ros.slam import SlamConfig

_STRUCTURE = ('T_world_camera', 'points', 'errors', 'parallax_deg', 'noise_px')


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording as far as it is used; ``labels`` (T,) int8 of the tracks, ``poses`` (F, 4, 4) to judge by;
    ``placed_by``: what the poses were found by before the structure.
    """

    evidence: Evidence
    placed_by: str
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
            'poses': self.placed_by,
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


@dataclass(frozen=True)
class Task:
    """A recording, how it is read, and where what is made of it is kept: files with its ``number``.

    :ivar weights: SHA-256 of the SuperPoint of ``config``.
    """

    bag: Path
    number: int
    work: Work
    config: SlamConfig
    reader: ReaderOptions
    weights: str = ''

    @property
    def made(self) -> bool:
        """Whether all is there."""
        return (self.work.folder / f'structure_{self.number}.npz').exists()


def prepare(task: Task, true_poses: Path | None, watch: Watch) -> Recording:
    """Return what a recording shows; what was made of it before is read.

    :param true_poses: TUM file of the optical frame, to judge by; without it, the structure's poses.
    :raises Refusal: when it cannot be used, with the reason.
    """
    made = _make(task, watch)
    overlap = Overlap(made.evidence, made.tracks, made.structure)
    poses = made.structure.T_world_camera if true_poses is None else _true(made.evidence, made.structure, true_poses)
    return Recording(*made, overlap, pairs.candidates(made.evidence, overlap), poses)


def side_by_side(tasks: Mapping[str, Task], jobs: int, ray: str, watch: Watch) -> dict[str, str]:
    """Make what there is to make of recordings, ``jobs`` at once or on the Ray cluster at ``ray``.

    :returns: name -> why it cannot be used, of those that cannot.
    :raises RuntimeError: when one failed by no fault of its own (memory, the disk); the others are done.
    """
    refused, failed = {}, []
    for done in fleet.each(work, {name: task for name, task in tasks.items() if not task.made}, jobs, ray, watch.tell):
        if done.error:
            failed.append(f'{done.name}: {done.error}')
        elif done.result:
            refused[done.name] = done.result
    if failed:
        raise RuntimeError(f'{"; ".join(failed)}. What was made of the others is kept; the same command goes on')
    return refused


def work(task: Task, tell: Tell) -> str:
    """Make what :func:`prepare` reads; return why the recording cannot be used, or nothing.

    :raises OSError, RuntimeError: for what is not its fault.
    """
    done, of = 0, None

    def start(name: str, steps: int | None) -> None:
        nonlocal of
        of = None if steps is None else done + steps

    def step() -> None:
        nonlocal done
        done += 1
        tell(done, of)

    try:
        _make(task, Watch(start, step))
    except Refusal as refusal:
        return str(refusal)
    return ''


class _Made(NamedTuple):
    """What is made of a recording; ``placed_by``: what its poses were found by, before the structure."""

    evidence: Evidence
    placed_by: str
    tracks: Tracks
    structure: Structure
    labels: np.ndarray


def _make(task: Task, watch: Watch) -> _Made:
    """Return what :func:`prepare` begins with.

    :raises Refusal: when they are of no use.
    :raises ValueError: when they were found with other weights.
    """
    def read(partial: Path) -> None:
        try:
            reading.gather(task.bag, partial, task.config, task.reader, watch.start, watch.step)
        except (BagError, EvidenceError) as error:
            if isinstance(error.__cause__, OSError):    # the disk's, not the recording's
                raise
            raise Refusal(str(error)) from error

    folder = task.work.stage(f'evidence_{task.number}', read)
    evidence = Evidence.load(folder)
    if task.weights and evidence.weights != task.weights:
        raise ValueError(f'{folder} is of other weights ({evidence.weights[:12]}) than those to improve '
                         f'({task.weights[:12]}): is another version of this package on the cluster? Remove it')
    evidence, by = _placed(evidence, task, watch)
    _refuse(evidence, checks.of_frames(evidence), by)

    def build(partial: Path) -> None:
        watch.start(f'{evidence.name}: tracks, structure, labels', revisits.STEPS + 1)
        try:
            found, built = revisits.reconstruct(evidence, watch.step)
        except ImportError as error:
            raise RuntimeError(str(error)) from error
        except BundleError as error:
            raise Refusal(f'{evidence.name}: its structure cannot be found: {error}') from error
        _save(partial, found, built, labels.label(built, found, built.noise_px))
        watch.step()

    tracks, structure, found = _load(task.work.stage(f'structure_{task.number}.npz', build))
    _refuse(evidence, checks.of_structure(structure, found), by)
    return _Made(evidence, by, tracks, structure, found)


def _placed(evidence: Evidence, task: Task, watch: Watch) -> tuple[Evidence, str]:
    """Return the evidence of one camera with the best poses that there are, and by what they were found."""
    if evidence.source != 'one camera':
        return evidence, monocular.ODOMETRY
    return monocular.placed(evidence, task.work.stage(
        f'poses_{task.number}', lambda partial: monocular.place(evidence, partial, watch)))


def _refuse(evidence: Evidence, reason: str, placed_by: str) -> None:
    if reason:
        alone = f' (one camera; its poses are by {placed_by})' if evidence.source == 'one camera' else ''
        raise Refusal(f'{evidence.name}: {reason}{alone}')


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
