"""A second session through a mapped building, keyframe by keyframe: a robot finds itself in the map, or adds to it."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from superslam_ros import worlds
from superslam_ros.evaluation import maps
from superslam_ros.evaluation.maps import Mapped
from superslam_ros.evaluation.walks import Progress, Setting, Taken, keyframes, record, silent
from superslam_ros.maps.localizer import Reason
from superslam_ros.maps.mapper import LOCALIZE, Mapper

LATER = 0.13
"""Part of the walk after which the second session begins."""
OTHERWISE = {'side_m': 0.15, 'heading_rad': 0.15, 'height_m': 1.6}
"""How it goes: beside the first, turned to the left, and higher by .25 m."""
DAY_NS = 86_400 * 10**9


@dataclass
class Step:
    """What became of a keyframe of a session.

    :ivar reason: of the mapper; ``square``: the squared error of a fix that was believed over its covariance.
    :ivar error: (6,) of where the mapper has the camera, by its fix or by the odometry since the last one; None before
        the first that is believed.
    """

    reason: Reason
    copied: bool
    error: np.ndarray | None = None
    square: float = float('nan')


def again(setting: Setting) -> Setting:
    """Return the same walk, carried by another hand: at most a lap, which begins elsewhere."""
    walk = setting.walk
    return replace(setting, walk=replace(
        walk, laps=min(walk.laps, 1.0), start=walk.start + LATER * walk.laps, seed=walk.seed + 1))


def otherwise(setting: Setting) -> Setting:
    """Return a second session of the same walk, a little beside it, higher, and turned."""
    same = again(setting)
    return replace(same, walk=replace(same.walk, **OTHERWISE))


def walk(setting: Setting, light: str = 'day', moved: float = 0.0, progress: Progress = silent) -> Iterator[Taken]:
    """Yield the keyframes of a walk on the next day.

    :param moved: part of the furniture that has moved since.
    """
    building = replace(setting.building, moved=moved)
    recording = record(setting, building, worlds.walk(building, setting.walk), light, setting.walk.seed)
    recording = replace(recording, start_ns=recording.start_ns + DAY_NS)
    for _, new in keyframes(setting, progress(recording, 'second session', len(recording))):
        yield from new


def localise(made: Mapped, taken: Iterable[Taken]) -> list[Step]:
    """Localise keyframes, one after the other; the map stays as it is."""
    localizer = made.mapper.localizer
    mapper = Mapper(made.map, made.setting.map, LOCALIZE, localizer.matcher, vocabulary=localizer.vocabulary)
    steps, place = [], 0
    for keyframe, T_world_camera, _ in taken:
        outcome = mapper.add(keyframe)
        step = Step(outcome.reason, made.copied(T_world_camera))
        if outcome.reason is Reason.OK:
            place = outcome.fix.place
            step.square = maps.squared(made.fix_error(outcome.fix, T_world_camera), outcome.fix.covariance)
        T_map_camera = mapper.in_map(keyframe.T_odom_camera)
        if T_map_camera is not None:
            step.error = made.error(place, T_map_camera, T_world_camera)
        steps.append(step)
    return steps


def session_figures(steps: Sequence[Step]) -> dict[str, Any]:
    """Return how many keyframes were found, how near the mapper had the camera at all of them, and how honestly."""
    errors = [step.error for step in steps]
    placed = [error for error in errors if error is not None]
    found = [step for step in steps if step.reason is Reason.OK]
    copied = [step for step in steps if step.copied]
    return {'keyframes': len(steps), 'found': maps.part(step.reason is Reason.OK for step in steps),
            'near': maps.part(error is not None and maps.is_near(error, *maps.NEAR) for error in errors),
            'exact': maps.part(error is not None and maps.is_near(error, *maps.EXACT) for error in errors),
            'wrong': sum(not maps.is_near(error) for error in placed), 'before_the_first': len(steps) - len(placed),
            **maps.nees([step.square for step in found]),
            'copied': len(copied), 'copied_found': sum(step.reason is Reason.OK for step in copied),
            'reasons': dict(Counter(step.reason.name for step in steps))}


def grown(made: Mapped, taken: Iterable[Taken]) -> dict[str, Any]:
    """Return how many keyframes a second session adds to a copy of the map, and whether it was found in it."""
    mapper = copy.deepcopy(made.mapper)
    mapper.forget()
    count = sum(mapper.add(one.keyframe) is not None for one in taken)
    return {'keyframes': count, 'before': len(made.map), 'after': len(mapper.map),
            'added': len(mapper.map) / len(made.map) - 1, 'joined': len(mapper.waiting()) == len(made.mapper.waiting())}
