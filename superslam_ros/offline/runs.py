"""``superslam run`` of many recordings: a folder each, and one table of all."""

from __future__ import annotations

import csv
import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from superslam_ros.bags.files import BagError
from superslam_ros.evaluation.report import Distinct
from superslam_ros.offline import fleet, runner, truths
from superslam_ros.offline.fleet import Done, Tell, remembered
from superslam_ros.offline.runner import RunOptions
from superslam_ros.slam import SlamConfig

COLUMNS = {
    'recording': 'recording', 'mode': 'mode', 'frames': 'frames', 'tracked_frames': 'tracked', 'skipped': 'skipped',
    'keyframes': 'keyframes', 'estimated_path': 'path, m', 'ate_m': 'ATE, m', 'drift_percent': 'drift, %',
    'frames_per_s': 'frames/s', 'remark': 'remark',
}
"""Key of a row -> heading; a path of one camera has a unit of its own."""
SHORT = ('recording', 'tracked', 'path, m', 'ATE, m', 'drift, %', 'fps', '')
_REMARKS = ('damage', 'no_scale', 'calibration', 'guessed')


@dataclass(frozen=True)
class Task:
    """A recording, the folder for its results, and how it is run."""

    recording: Path
    out: Path
    config: SlamConfig
    options: RunOptions

    @property
    def identity(self) -> str:
        """What tells it from others; the command line says nothing of the results."""
        options = {name: value for name, value in vars(self.options).items() if name != 'command'}
        truth = self.options.ground_truth or truths.beside(self.recording)
        return remembered.identity(self.recording, repr((self.config, options)), truth)


def tasks(recordings: Sequence[Path], out: Path, config: SlamConfig, options: RunOptions) -> dict[str, Task]:
    """Return a task for every recording, in a folder ``out/NAME``; names are made distinct.

    A ground truth that is a folder holds NAME.tum for those that have one.
    """
    distinct, found = Distinct(), {}
    for recording in recordings:
        name = distinct(name_of(recording))
        found[name] = Task(recording, out / name, config, options_of(recording, options))
    return found


def options_of(recording: Path, options: RunOptions) -> RunOptions:
    """Return the options of one of several recordings: of a folder of ground truths, NAME.tum, where there is one."""
    if options.ground_truth is None or not options.ground_truth.is_dir():
        return options
    file = options.ground_truth / f'{name_of(recording)}.tum'
    return replace(options, ground_truth=file if file.is_file() else None)


def name_of(recording: Path) -> str:
    """Return what the results of a recording are called."""
    name = str(recording).replace(':', '_') if ':' in str(recording) else recording.resolve().name
    for suffix in ('.zstd', '.mcap', '.db3', '.bag', '.mp4', '.avi', '.mkv', '.mov'):
        name = name.removesuffix(suffix)
    return name or 'recording'


def run_all(
    todo: Mapping[str, Task], jobs: int = 1, ray: str = '', again: bool = False,
    on_progress: Callable[[str, int, int | None], None] = lambda name, done, of: None,
) -> Iterator[Done]:
    """Run all tasks, but those that an earlier call has done with the same options (unless ``again``)."""
    open_tasks = {}
    for name, task in todo.items():
        known = None if again else remembered.figures(task.out, task.identity)
        if known is None:
            open_tasks[name] = task
        else:
            yield Done(name, known, before=True)
    yield from fleet.each(work, open_tasks, jobs, ray, on_progress)


def work(task: Task, tell: Tell) -> dict[str, Any]:
    """Run one recording, and return its row of the table."""
    done, of = 0, None

    def start(frames: Any) -> None:
        nonlocal of
        of = frames.count

    def frame() -> None:
        nonlocal done
        done += 1
        tell(done, of)

    figures = row(runner.run(task.recording, task.out, task.config, task.options, start, frame))
    if not figures['interrupted']:
        remembered.keep(task.out, task.identity, figures)
    return figures


def row(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the table says of a run, from its summary."""
    return {
        **{name: summary[name] for name in ('mode', 'frames', 'tracked_frames', 'keyframes', 'estimated_path', 'metric',
                                            'interrupted')},
        'skipped': sum(summary['skipped'].values()), 'damaged': 'damage' in summary,
        'ate_m': summary.get('ate', {}).get('rmse_m'), 'drift_percent': summary.get('drift', {}).get('percent'),
        'frames_per_s': summary['timing']['frames_per_s'],
        'remark': '; '.join(str(summary[name]) for name in _REMARKS if name in summary),
    }


def cells(done: Done) -> dict[str, Any]:
    """Return a row of the table: figures, or the error."""
    figures = done.result or {}
    remark = f'error: {done.error}' if done.error else figures.get('remark', '')
    return {**figures, 'recording': done.name, 'remark': f'{remark} (done before)'.strip() if done.before
            else remark}


def write_tables(out: Path, ended: Sequence[Done]) -> list[Path]:
    """Write summary.csv and summary.html, and return their paths.

    :raises BagError: when they cannot be written.
    """
    rows = [cells(done) for done in ended]
    as_csv, as_html = out / 'summary.csv', out / 'summary.html'
    try:
        out.mkdir(parents=True, exist_ok=True)
        with as_csv.open('w', newline='') as file:
            writer = csv.DictWriter(file, COLUMNS, restval='', extrasaction='ignore')
            writer.writeheader()
            writer.writerows(rows)
        as_html.write_text(_page(rows, ended))
    except OSError as error:
        raise BagError(f'{out}: the tables cannot be written ({error.strerror or error})') from error
    return [as_csv, as_html]


def shown(value: Any) -> str:
    """Return a figure as people read it."""
    if value is None or value == '':
        return '-'
    return f'{value:.3g}' if isinstance(value, float) else str(value)


def short(done: Done) -> list[str]:
    """Return a row for the terminal, under :data:`SHORT`; the log has said what an error is."""
    figures = done.result or {}
    tracked = '-' if done.error else f'{figures["tracked_frames"]}/{figures["frames"]}'
    remark = 'failed' if done.error else 'done before' if done.before else 'see summary' if figures['remark'] else ''
    return [done.name, tracked, *(shown(figures.get(name)) for name in (
        'estimated_path', 'ate_m', 'drift_percent', 'frames_per_s')), remark]


_STYLE = """body { font: 15px/1.4 system-ui, sans-serif; margin: 2em; color: #222 }
table { border-collapse: collapse } th, td { padding: .3em .8em; border-bottom: 1px solid #ddd; text-align: right }
th:first-child, td:first-child, th:last-child, td:last-child { text-align: left } .bad { color: #b00 }"""


def _page(rows: Sequence[Mapping[str, Any]], ended: Sequence[Done]) -> str:
    def line(figures: Mapping[str, Any], done: Done) -> str:
        parts = []
        for name in COLUMNS:
            text = html.escape(shown(figures.get(name)))
            if name == 'recording' and not done.error:
                text = f'<a href="{html.escape(done.name, quote=True)}/overview.png">{text}</a>'
            parts.append(f'<td>{text}</td>')
        return f'<tr{" class=bad" if done.error else ""}>{"".join(parts)}</tr>'

    head = ''.join(f'<th>{html.escape(heading)}</th>' for heading in COLUMNS.values())
    body = '\n'.join(map(line, rows, ended))
    return (f'<!doctype html>\n<meta charset="utf-8"><title>superslam run</title>\n<style>{_STYLE}</style>\n'
            f'<h1>superslam run</h1>\n<table>\n<tr>{head}</tr>\n{body}\n</table>\n')
