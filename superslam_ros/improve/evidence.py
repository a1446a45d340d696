"""What is kept of a recording to learn from: every frame's keypoints, the odometry's poses, images and depths on disk.

The local map forgets landmarks that do not fit, and they are what there is to learn from; so nothing is left out here.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from superslam_ros.geometry.camera import Pinhole

VERSION = 1
SOURCES = ('depth', 'stereo', 'one camera')
LOST = -1
ARRAYS, DESCRIPTORS, IMAGES, DEPTHS = 'evidence.npz', 'descriptors.f16', 'images', 'depths'
_FRAMES = {'stamps_ns': np.int64, 'T_world_camera': np.float64, 'segment': np.int64}
_KEYPOINTS = {'pixels': np.float32, 'scores': np.float32, 'scales': np.float32, 'depth_m': np.float32}
_PER_METRE = 1000


class EvidenceError(ValueError):
    """Evidence that cannot be read or written, or a recording that gives none; the message says why and what to do."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """F frames of a recording with N keypoints in all; those of frame i are rows ``first[i]`` to ``first[i + 1]``.

    :ivar name: of the recording.
    :ivar pinhole: ideal camera of all images and pixels; ``size`` (width, height) of the images.
    :ivar metric: whether poses are in metres; ``source`` of the distances: one of :data:`SOURCES`.
    :ivar stamps_ns: (F,) int64, increasing.
    :ivar T_world_camera: (F, 4, 4) poses of the ideal camera.
    :ivar segment: (F,) int64; poses are related within a segment, :data:`LOST` where there is none.
    :ivar first: (F + 1,) int64.
    :ivar pixels: (N, 2) float32; ``scores`` (N,), ``scales`` (N,) as in ``Features``; ``depth_m`` (N,) float32 along z,
        NaN where none.
    :ivar descriptors: (N, D) float16, unit length, of a loaded recording on disk until they are used.
    :ivar weights: SHA-256 of the SuperPoint that found the keypoints.
    :ivar folder: where images and depths are.
    :ivar T_optical_camera: (4, 4) from the ideal camera to the optical frame of the recorded images: a rotation where
        they were rectified.
    """

    name: str
    pinhole: Pinhole
    size: tuple[int, int]
    metric: bool
    source: str
    stamps_ns: np.ndarray
    T_world_camera: np.ndarray
    segment: np.ndarray
    first: np.ndarray
    pixels: np.ndarray
    scores: np.ndarray
    scales: np.ndarray
    depth_m: np.ndarray
    descriptors: np.ndarray
    weights: str = ''
    folder: Path = Path()
    T_optical_camera: np.ndarray = field(default_factory=lambda: np.eye(4))

    def __post_init__(self) -> None:
        """Bring the arrays to their types.

        :raises EvidenceError: naming the field that has another shape than frames and keypoints ask for.
        """
        if self.source not in SOURCES:
            raise EvidenceError(f'evidence: source {self.source}, expected one of {", ".join(SOURCES)}')
        frames, count = len(self.stamps_ns), len(self.pixels)
        kinds = {**_FRAMES, 'first': np.int64, **_KEYPOINTS}
        shapes = {'stamps_ns': (frames,), 'T_world_camera': (frames, 4, 4), 'segment': (frames,),
                  'first': (frames + 1,), 'pixels': (count, 2), 'scores': (count,), 'scales': (count,),
                  'depth_m': (count,)}
        for name, shape in shapes.items():
            value = np.ascontiguousarray(getattr(self, name), kinds[name])
            if value.shape != shape:
                raise EvidenceError(f'evidence: {name} has shape {value.shape}, expected {shape}')
            object.__setattr__(self, name, value)
        if self.first[0] != 0 or self.first[-1] != count or (np.diff(self.first) < 0).any():
            raise EvidenceError(f'evidence: first does not divide {count} keypoints')
        if self.descriptors.ndim != 2 or len(self.descriptors) != count or self.descriptors.dtype != np.float16:
            raise EvidenceError(f'evidence: descriptors are {self.descriptors.dtype} {self.descriptors.shape}, '
                                f'expected float16 of {count} rows')

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.stamps_ns)

    def rows(self, frame: int) -> slice:
        """Return which keypoints are a frame's."""
        return slice(int(self.first[frame]), int(self.first[frame + 1]))

    def frame_of(self) -> np.ndarray:
        """Return the (N,) frame of every keypoint."""
        return np.repeat(np.arange(len(self)), np.diff(self.first))

    def image(self, frame: int) -> np.ndarray:
        """Return the ideal image of a frame, (H, W) uint8.

        :raises EvidenceError: when the file is not there, or damaged.
        """
        return _read(image_file(self.folder, frame), self.size, np.uint8)

    def depth(self, frame: int) -> np.ndarray | None:
        """Return the depths of that image, (H, W) float32 metres along z, NaN where not known; None if there are none.

        :raises EvidenceError: when the file is damaged.
        """
        path = depth_file(self.folder, frame)
        if not path.exists():
            return None
        stored = _read(path, self.size, np.uint16)
        return np.where(stored > 0, stored / np.float32(_PER_METRE), np.float32(np.nan))

    def save(self, folder: Path) -> None:
        """Write everything; images and depths are copied where ``folder`` is not theirs.

        :raises OSError: naming it, when it cannot be written.
        """
        folder = Path(folder)
        about = {'version': VERSION, 'name': self.name, 'pinhole': asdict(self.pinhole), 'size': list(self.size),
                 'T_optical_camera': np.asarray(self.T_optical_camera).tolist(),
                 'metric': self.metric, 'source': self.source, 'weights': self.weights,
                 'descriptor_size': self.descriptors.shape[1]}
        arrays = {name: getattr(self, name) for name in (*_FRAMES, 'first', *_KEYPOINTS)}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for part in (IMAGES, DEPTHS):
                if (self.folder / part).is_dir() and folder.resolve() != self.folder.resolve():
                    shutil.copytree(self.folder / part, folder / part, dirs_exist_ok=True)
            if not self._stored_in(folder):
                write_whole(folder / DESCRIPTORS, lambda file: file.write(np.ascontiguousarray(self.descriptors).data))
            # Last: what names the rest is there when the rest is.
            write_whole(folder / ARRAYS, lambda file: np.savez(file, about=np.array(json.dumps(about)), **arrays))
        except OSError as error:
            raise _full(folder, error) from error

    def _stored_in(self, folder: Path) -> bool:
        """Return whether the descriptors are those of a folder's file, read where they are needed."""
        name = getattr(self.descriptors, 'filename', None)
        return name is not None and Path(name).resolve() == (folder / DESCRIPTORS).resolve()

    @classmethod
    def load(cls, folder: Path) -> Evidence:
        """Read what :meth:`save` has written; images, depths and descriptors stay on disk until they are asked for.

        :raises EvidenceError: when there is none, it is of another version, or damaged.
        """
        folder = Path(folder)
        path = folder / ARRAYS
        if not path.is_file():
            raise _bad(path, folder)
        try:
            with np.load(path, allow_pickle=False) as file:
                about = json.loads(str(file['about']))
                if about['version'] != VERSION:
                    raise EvidenceError(f'{path}: of version {about["version"]}, and this program reads {VERSION}; '
                                        f'remove {folder} and run again')
                arrays = {name: file[name] for name in (*_FRAMES, 'first', *_KEYPOINTS)}
            shape = len(arrays['pixels']), int(about['descriptor_size'])
            descriptors = stored(folder / DESCRIPTORS, shape)
            named = {one.name for one in fields(cls)} & set(about)
            return cls(folder=folder, descriptors=descriptors, **arrays, **{
                **{name: about[name] for name in named}, 'pinhole': Pinhole(**about['pinhole']),
                'size': tuple(about['size']), 'T_optical_camera': np.array(about['T_optical_camera'])})
        except EvidenceError:
            raise
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise EvidenceError(f'{path}: damaged ({error}); remove {folder} and run again') from error


def image_file(folder: Path, frame: int) -> Path:
    """Return where the image of a frame is."""
    return Path(folder) / IMAGES / f'{frame:06d}.png'


def depth_file(folder: Path, frame: int) -> Path:
    """Return where the depths of a frame are, if there are any: 16-bit millimetres, 0 where not known."""
    return Path(folder) / DEPTHS / f'{frame:06d}.png'


def write_frame(folder: Path, frame: int, image: np.ndarray, depth_m: np.ndarray | None = None) -> None:
    """Write what :meth:`Evidence.image` and :meth:`Evidence.depth` read; depths beyond 65 m are left out.

    :param image: (H, W) uint8 of the ideal camera; ``depth_m`` (H, W) metres, NaN where not known.
    :raises OSError: naming it, when it cannot be written.
    """
    _write(image_file(folder, frame), image)
    if depth_m is not None:
        millimetres = np.rint(np.nan_to_num(depth_m, nan=0, posinf=0, neginf=0) * _PER_METRE)
        _write(depth_file(folder, frame), np.where((millimetres > 0) & (millimetres < 65536), millimetres, 0).astype(
            np.uint16))


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file beside the old one, and put it in its place when it is whole.

    :param write: takes the open file.
    :raises OSError: when it cannot be written; the old file is as it was.
    """
    part = path.with_name(f'{path.name}.part')
    with open(part, 'wb') as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _write(path: Path, image: np.ndarray) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode('.png', image)[1].tobytes())
    except OSError as error:
        raise _full(path, error) from error


def _full(path: Path, error: OSError) -> OSError:
    return OSError(error.errno, f'{path}: cannot be written ({error.strerror or error}); is the disk full?')


def _bad(path: Path, folder: Path) -> EvidenceError:
    return EvidenceError(f'{path}: {"damaged" if path.exists() else "not there"}; remove {folder} and run again')


def _read(path: Path, size: tuple[int, int], kind: type) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
    if image is None or image.shape != size[::-1] or image.dtype != kind:
        raise _bad(path, path.parents[1])
    return image


def stored(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Return (N, D) float16 of a file, without reading it.

    :raises EvidenceError: when it is not there, or of another size.
    """
    if not path.is_file() or path.stat().st_size != 2 * shape[0] * shape[1]:
        raise _bad(path, path.parent)
    return np.memmap(path, np.float16, 'r', shape=shape) if shape[0] * shape[1] else np.zeros(shape, np.float16)
