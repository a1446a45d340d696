"""What `superslam improve` reports: JSON for programs, a page for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from superslam_ros.evaluation import gain as gains
from superslam_ros.evaluation import general, pose_pairs, relative_pose
from superslam_ros.evaluation.verdict import Measured
from superslam_ros.offline.judging import Candidate, Judge
from superslam_ros.pictures import improve as pictures
from superslam_ros.pictures.improve import Page, Picture, Table

NAMES = {'repeatability': 'repeatability, 300 points', 'matching_score': 'matching score',
         'homography_3px': 'homography within 3 px'}


def figures(measured: Measured, wide: np.ndarray) -> dict[str, float]:
    """Return the figures of a front-end: AUC to 5, 10 and 20 degrees over wide and narrow pairs, and the general ones.

    :param wide: (P,) bool.
    """
    found: dict[str, float] = {}
    for name, chosen in (('wide', wide), ('narrow', ~wide)):
        errors = measured.errors_deg[chosen]
        for limit in relative_pose.AUC_DEGREES:
            found[f'{name}_auc_{limit}'] = float(gains.scores(errors, limit).mean()) if len(errors) else math.nan
    return {**found, **dict(zip(general.FIGURES, map(float, measured.general.mean(0))))}


def plain(content: Any) -> Any:
    """Return content for JSON: numbers rounded to six digits, None for those that are not finite."""
    if isinstance(content, dict):
        return {str(key): plain(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [plain(value) for value in content]
    if isinstance(content, float):
        return round(content, 6) if math.isfinite(content) else None
    return content


def candidate(one: Candidate) -> dict[str, Any]:
    """Return what is told of weights that were tried."""
    return {'share': one.share, 'accepted': one.verdict.accepted, 'reason': one.verdict.reason,
            'gain': {name: asdict(gain) for name, gain in one.verdict.gains.items()}}


def tables(shown: dict[str, dict[str, float]], tried: Sequence[Candidate], judge: Judge) -> list[Table]:
    """Return the tables of front-ends: name -> figures."""
    wide = judge.wide
    rows = [[f'{kind} pairs, AUC to {limit} degrees', *(one[f'{kind}_auc_{limit}'] for one in shown.values())]
            for kind in ('wide', 'narrow') for limit in relative_pose.AUC_DEGREES]
    gained = [[f'{one.share:g}', *(f'{gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})'
                                   for gain in one.verdict.gains.values()),
               'accepted' if one.verdict.accepted else one.verdict.reason] for one in tried]
    return [
        Table(f'Relative poses of held-out frames: {wide.sum()} wide pairs, {(~wide).sum()} narrow ones', ['', *shown],
              rows),
        Table('Gain of AUC to 10 degrees, by how much of the new weights is taken',
              ['share', 'wide pairs', 'narrow pairs', ''], gained,
              'In brackets the 95 % interval of a bootstrap over stretches of time.'),
        Table(f'In general: random views of {len(judge.pictures)} pictures', ['', *shown],
              [[title, *(one[name] for one in shown.values())] for name, title in NAMES.items()])]


def recordings(found: Sequence[dict[str, Any]]) -> Table:
    """Return the table of the recordings, of which ``found`` tells."""
    columns = {'bag': 'recording', 'frames': 'frames', 'lost': 'lost', 'source': 'structure from', 'poses': 'poses by',
               'tracks': 'tracks', 'stable': 'stable', 'unstable': 'unstable', 'noise_px': 'noise, px',
               'train': 'frames to train on', 'test': 'held out'}
    return Table('Recordings', list(columns.values()), [[one.get(key) for key in columns] for one in found])


def left_out(found: Sequence[dict[str, Any]]) -> list[Table]:
    """Return the table of the recordings that could not be used, if there are any."""
    return [Table('Recordings that are left out', ['recording', 'why'], [[one['bag'], one['reason']] for one in found])
            ] if found else []


def changed_pairs(judge: Judge, before: Measured, best: Candidate, ends: Sequence[Any]) -> list[Picture]:
    """Return pictures of wide pairs that are now found, and of such that are now lost: before above, after below.

    :param ends: the front-ends before and after.
    """
    drawn = []
    for what, numbers in zip(('now found', 'now lost'), judge.changed(before, best.measured)):
        for number in numbers:
            pairs, own = judge.pair(number)
            one = pairs.select(np.array([own]))
            images = [pairs.image(int(frame)) for frame in one.frames[0]]
            both, right = [], []
            for end in ends:
                (_, _, matches), = pose_pairs.matched(end, one)
                right.append(pose_pairs.right_matches(one, 0, matches))
                both.append(pictures.draw_pair(*images, matches.keypoints0, matches.keypoints1, right[-1]))
            errors = [float(np.median(measured.errors_deg[number])) for measured in (before, best.measured)]
            drawn.append(Picture(
                f'{pairs.name}, frames {one.frames[0, 0]} and {one.frames[0, 1]}, {what}: before (above) '
                f'{right[0].sum()} of {len(right[0])} matches right, pose {_off(errors[0])}; after '
                f'{right[1].sum()} of {len(right[1])}, pose {_off(errors[1])}', pictures.beneath(both)))
    return drawn


def _off(error_deg: float) -> str:
    return f'off by {error_deg:.1f} degrees' if math.isfinite(error_deg) else 'not found'


def write_page(path: Path, report: dict[str, Any], sections: Sequence[tuple[str, list[Table | Picture]]]) -> None:
    """Write the page of a report; sections without content are left out.

    :raises OSError: when it cannot be written.
    """
    names = ', '.join(one['bag'] for one in report['recordings'])
    shown = [(heading, content) for heading, content in sections if content]
    if 'superglue' in report:
        shown.append(('SuperGlue', [Table('', ['', ''], [*report['superglue'].items()])]))
    pictures.write(path, Page(f'SuperPoint improved on {names}', report['accepted'], report['reason'], shown))
