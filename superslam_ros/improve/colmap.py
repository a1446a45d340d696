"""Where one camera was in all frames of a recording, by COLMAP's global reconstruction, from keypoints that are kept.

It runs as a program of its own, ``python -m superslam_ros.improve.colmap EVIDENCE FOLDER``: what goes wrong in a
library of C++ must not end hours of work. It prints a line for every frame that it has matched with others, and writes
its poses, and all else that it needs to write, into the folder.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np

from superslam_ros.geometry.pose import inverse
from superslam_ros.improve.evidence import LOST, Evidence
from superslam_ros.improve.tracks import nearest

OFFSETS = (1, 2, 3, 4, 8, 16, 32)
"""How many frames apart pairs are matched."""
FEWEST_MATCHES = 15
FEWEST_FRAMES = 10
"""Of a segment; a smaller one shows little, and may be a mistake."""
FEWEST_SHARED = 15
"""Points that two frames both see, by which their poses are related."""
SEED = 0
OUT = 'poses.npz'


class Placed(NamedTuple):
    """Poses (F, 4, 4) T_world_camera, the median depth of a segment's points being 1, as in our own odometry of one
    camera; ``segment`` (F,), the largest is 0, :data:`LOST` for frames that are not part of any.
    """

    T_world_camera: np.ndarray
    segment: np.ndarray


def reconstruct(evidence: Evidence, folder: Path, on_frame: Callable[[], None] = lambda: None) -> Placed:
    """Return where the camera was; the same input gives the same result.

    :param folder: for a database that is not there yet.
    :param on_frame: called when a frame has been matched with others.
    :raises ImportError, RuntimeError, ValueError: by pycolmap, when it is not installed, or fails.
    """
    import pycolmap

    pycolmap.logging.minloglevel = pycolmap.logging.ERROR.value
    pycolmap.set_random_seed(SEED)
    _write(pycolmap, evidence, folder / 'database.db', on_frame)
    models = pycolmap.global_mapping(folder / 'database.db', folder, folder, _options(pycolmap))
    pieces = [piece for _, model in sorted(models.items()) for piece in _pieces(model)]
    poses, segment = evidence.T_world_camera.copy(), np.full(len(evidence), LOST)
    for number, piece in enumerate(sorted(pieces, key=lambda piece: -len(piece))):
        frames, found = _placed(piece)
        free = segment[frames] == LOST
        poses[frames[free]], segment[frames[free]] = found[free], number
    return Placed(poses, segment)


class _View(NamedTuple):
    """A frame of a model: its number, T_camera_world (3, 4), and the points that it sees, by their numbers."""

    frame: int
    T_camera_world: np.ndarray
    points: dict[int, np.ndarray]


def _pieces(model: object) -> list[list[_View]]:
    """Return the parts of a model, each with enough frames, that hold together.

    Global positioning may give two parts of a way that have come to share no point units of their own.
    """
    views = {}
    for image in model.images.values():
        if image.has_pose:
            seen = [one.point3D_id for one in image.points2D if one.has_point3D()]
            views[int(image.name)] = _View(int(image.name), image.cam_from_world().matrix(),
                                           {number: model.points3D[number].xyz for number in seen})
    linked = {frame: [other for offset in OFFSETS if (other := frame + offset) in views
                      and len(view.points.keys() & views[other].points.keys()) >= FEWEST_SHARED]
              for frame, view in views.items()}
    root = {frame: frame for frame in views}
    for frame in sorted(linked):
        for other in linked[frame]:
            one, two = (_root(root, number) for number in (frame, other))
            root[max(one, two)] = min(one, two)
    groups: dict[int, list[_View]] = {}
    for frame in sorted(views):
        groups.setdefault(_root(root, frame), []).append(views[frame])
    return [views for views in groups.values() if len(views) >= FEWEST_FRAMES]


def _root(root: dict[int, int], number: int) -> int:
    while root[number] != number:
        root[number] = number = root[root[number]]
    return number


def _placed(piece: Sequence[_View]) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers (N,) and poses (N, 4, 4) of frames, such that the median depth of their points is 1."""
    depths = [np.median(np.array([*view.points.values()]) @ view.T_camera_world[2, :3] + view.T_camera_world[2, 3])
              for view in piece]
    poses = np.array([inverse(np.vstack([view.T_camera_world, [0, 0, 0, 1]])) for view in piece])
    poses[:, :3, 3] /= np.median(depths)
    return np.array([view.frame for view in piece]), poses


def _options(pycolmap: ModuleType) -> object:
    options = pycolmap.GlobalPipelineOptions()
    options.num_threads, options.random_seed, options.min_model_size = 1, SEED, FEWEST_FRAMES
    mapper = options.mapper
    mapper.bundle_adjustment.refine_focal_length = mapper.bundle_adjustment.refine_principal_point = False
    mapper.bundle_adjustment.refine_extra_params = False
    mapper.bundle_adjustment.ceres.use_gpu = mapper.global_positioning.use_gpu = False
    return options


def _write(pycolmap: ModuleType, evidence: Evidence, path: Path, on_frame: Callable[[], None]) -> None:
    """Write the database: what frames see, and what pairs of them have in common that fits one motion."""
    with pycolmap.Database.open(path) as database:
        camera = _camera(pycolmap, evidence)
        camera.camera_id = database.write_camera(camera)
        rig = pycolmap.Rig()
        rig.add_ref_sensor(camera.sensor_id)
        rig_id, ids = database.write_rig(rig), []
        for number in range(len(evidence)):
            image = pycolmap.Image(name=f'{number:06d}', camera_id=camera.camera_id)
            image.image_id = database.write_image(image)
            frame = pycolmap.Frame()
            frame.rig_id = rig_id
            frame.add_data_id(image.data_id)
            database.write_frame(frame)
            database.write_keypoints(image.image_id, _pixels(evidence, number))
            ids.append(image.image_id)
        options = pycolmap.TwoViewGeometryOptions()
        options.ransac.random_seed, options.ransac.num_threads = SEED, 1
        for one in range(len(evidence)):
            for two in (one + offset for offset in OFFSETS if one + offset < len(evidence)):
                matches = np.stack(nearest(evidence.descriptors[evidence.rows(one)],
                                           evidence.descriptors[evidence.rows(two)]), 1).astype(np.uint32)
                if len(matches) >= FEWEST_MATCHES:
                    database.write_matches(ids[one], ids[two], matches)
                    database.write_two_view_geometry(ids[one], ids[two], pycolmap.estimate_calibrated_two_view_geometry(
                        camera, _pixels(evidence, one), camera, _pixels(evidence, two), matches, options))
            on_frame()


def _camera(pycolmap: ModuleType, evidence: Evidence) -> object:
    k, (width, height) = evidence.pinhole, evidence.size
    camera = pycolmap.Camera(
        model='PINHOLE', width=width, height=height, params=[k.fx, k.fy, k.cx + 0.5, k.cy + 0.5])
    camera.has_prior_focal_length = True
    return camera


def _pixels(evidence: Evidence, frame: int) -> np.ndarray:
    """Return the keypoints (N, 2) float32 of a frame as COLMAP has them: its first pixel has its centre at .5."""
    return evidence.pixels[evidence.rows(frame)] + np.float32(0.5)


def main(evidence: str, folder: str) -> None:
    """Read evidence, write poses."""
    found = reconstruct(Evidence.load(Path(evidence)), Path(folder), lambda: print(flush=True))
    np.savez(Path(folder) / OUT, **found._asdict())


if __name__ == '__main__':
    main(*sys.argv[1:])
