"""Maps from bags, and bags in maps: what map_node does, without ROS, and the same every time."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from superslam_ros.bags.files import BagError
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.config import group
from superslam_ros.evaluation.report import Distinct
from superslam_ros.evaluation.trajectory import write_tum
from superslam_ros.maps import storage, unplaced
from superslam_ros.maps.config import MapConfig
from superslam_ros.maps.map import Map
from superslam_ros.maps.mapper import Mapper
from superslam_ros.offline import fleet, sessions
from superslam_ros.offline.following import Follower
from superslam_ros.offline.opened import opened
from superslam_ros.slam import SlamConfig, VisualOdometry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MappingConfig(SlamConfig):
    """Options of the odometry, and of the map behind it."""

    map: MapConfig = group(MapConfig)


def build(
    bags: Sequence[Path], out: Path, config: MappingConfig, options: ReaderOptions, start: Path | None = None,
    trajectories: Path | None = None, jobs: int = 1, ray: str = '',
    on_progress: Callable[[str, int, int | None], None] = lambda name, done, of: None,
    base_camera: tuple[float, ...] | None = None, imu: bool = False,
) -> dict[str, Any]:
    """Build a map of recordings, each a session, and write it; the same input gives the same bytes.

    The odometry of the recordings may run side by side; the map takes their keyframes one recording after the other.
    What is not found in the map is written beside it (:mod:`superslam_ros.maps.unplaced`).

    :param start: a map to go on with.
    :param trajectories: folder for NAME.tum of each bag: poses of the optical frame in the finished map.
    :param jobs: so many recordings at once, or on a Ray cluster at the address ``ray``.
    :param on_progress: called with the name of a bag, how many of its images are done, and of how many.
    :param base_camera: x, y, z, roll, pitch, yaw of the optical frame on the base of ``options.guess`` or ``two_d``.
    :param imu: turn by the IMU of each recording, ``options.imu`` or its only one, and begin with z up.
    :returns: what there is in the map, and per bag: frames, keyframes, loops, and whether it was found in the map;
        ``unplaced``: names of the files beside it; ``failed``: bag -> why it could not be used, and is left out.
    :raises BagError, MapError: when no bag, or the file, cannot be used; nothing is written then.
    """
    mapper = Mapper(Map() if start is None else storage.load(start), config.map, 'build')
    with TemporaryDirectory(prefix=f'.{out.name}.', dir=out.parent) as folder:
        todo = {name: sessions.Task(path, config, options, Path(folder) / f'{number}', base_camera, imu)
                for number, (name, path) in enumerate(_named(bags).items())}
        added, failed = [], {}
        for done in _in_order(todo, fleet.each(sessions.work, todo, jobs, ray, on_progress)):
            if done.error:
                log.error('%s: left out: %s', done.name, done.error)
                failed[done.name] = done.error
                continue
            mapper.forget()
            mapper.session = done.name
            added.append(sessions.Session(done.name))
            for passed in sessions.read(todo[done.name].store):
                added[-1].take(passed, mapper)
            todo[done.name].store.unlink()
    if not added:
        raise BagError('; '.join(failed.values()))
    mapper.finish()
    beside = unplaced.save_all(mapper.map, mapper.waiting(), out)
    keyframes = mapper.trajectory()
    if trajectories is not None:
        trajectories.mkdir(parents=True, exist_ok=True)
        for one in added:
            write_tum(trajectories / f'{one.name}.tum', *one.poses(keyframes, mapper.units()))
    return {**contents(mapper.map), 'sessions_added': [one.summary(keyframes) for one in added],
            'unplaced': [one.name for one in beside], 'failed': failed}


def _named(bags: Sequence[Path]) -> dict[str, Path]:
    distinct = Distinct()
    return {distinct(Path(path).name): path for path in bags}


def _in_order(names: Iterable[str], ended: Iterator[fleet.Done]) -> Iterator[fleet.Done]:
    """Yield what has ended in the order of the names, whichever ended first."""
    waiting: dict[str, fleet.Done] = {}
    for name in names:
        while name not in waiting:
            done = next(ended)
            waiting[done.name] = done
        yield waiting.pop(name)


def contents(kept: Map) -> dict[str, Any]:
    """Return how much of everything is in a map."""
    return {'sessions': len(kept.sessions), 'keyframes': len(kept.keyframes), 'landmarks': len(kept.landmarks),
            'loops': sum(edge.kind == 'loop' and edge.inlier for edge in kept.edges), 'metric': kept.metric}


def localize(
    map_file: Path, path: Path, out: Path, config: MappingConfig, options: ReaderOptions,
    on_start: Callable[[str, int | None], None] = lambda name, frames: None,
    on_frame: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Find the frames of a recording in a map; write localized.tum and summary.json into ``out``.

    :returns: the summary.
    :raises BagError, MapError: when the bag or the map cannot be used.
    """
    kept, out = storage.load(map_file), Path(out)
    with opened(path, config, options) as (frames, for_them):
        odometry = VisualOdometry(for_them)
        on_start(Path(path).name, frames.count)
        follower = Follower(kept, config.map, odometry.motion)
        for recorded in frames:
            step = odometry.process(recorded.frame)
            on_frame()
            if step is not None:
                follower.add(step)
    if not follower.frames:
        raise BagError(f'{path}: no frame could be used')
    out.mkdir(parents=True, exist_ok=True)
    summary = {'map': Path(map_file).name, 'bag': Path(path).name, **follower.write(out),
               'skipped': dict(sorted((frames.skipped + odometry.skipped).items()))}
    (out / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n')
    return summary
