"""One training loop for every stage: resumable, cut by a time budget, EMA, bf16, cosine by elapsed time, any GPUs."""

from __future__ import annotations

import csv
import dataclasses
import json
import logging
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from superslam_ros.config import option
from superslam_ros.models import checkpoint
from superslam_ros.training import pictures, workers
from superslam_ros.training.random import Rng
from superslam_ros.training.workers import Interrupt, Loss, Workers

_SLOW = 0.03
_BUDGET_S = 600.0
_SAVED = {'model': dict, 'average': dict, 'optimiser': dict, 'step': int, 'elapsed': float, 'rng': Tensor}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoopConfig:
    """Options of the training loop."""

    budget_s: float = option(
        0.0, 'Seconds that the whole command may take: loading before the first step, and validation and files after '
        f'the last one, included; 0: {_BUDGET_S:g}, or as long as --steps take', low=0.0)
    steps: int = option(
        0, 'Stop after so many steps in all, or when the --budget is spent, if one is given; 0: no limit', low=0)
    planned_s: float = option(
        0.0, 'Length of the learning-rate schedule in seconds of training, over all runs; 0: that of this run, or of '
        '--steps', low=0.0)
    batch: int = option(32, 'Images, or pairs, per step, of all processes together', low=1)
    learning_rate: float = option(1e-3, 'Peak learning rate of AdamW', low=0.0)
    warmup_steps: int = option(100, 'Steps of linear warm-up', low=0)
    ema: float = option(0.998, 'Decay of the averaged weights', low=0.0, high=1.0)
    validate_s: float = option(300.0, 'Seconds between validations, which also write a checkpoint', low=1.0)
    seed: int = option(0, 'Seed of the data and the initial weights', low=0)
    device: str = option('auto', 'Where to train', choices=('auto', 'cpu', 'cuda'))

    @property
    def limit_s(self) -> float:
        """Seconds that a run may take; infinite for one that is limited by steps alone."""
        return self.budget_s or (math.inf if self.steps else _BUDGET_S)


class Stage(Protocol):
    """What the loop trains.

    :ivar about: goes into the metadata of the exported weights.
    :ivar slow: parameters of the model that learn at 0.03 of the rate.
    """

    model: nn.Module
    about: dict[str, str]
    slow: Sequence[nn.Parameter]

    def make(self, batch: int, rng: Rng) -> Any:
        """Make a batch, in float32: bfloat16 pixels would be off by one and more."""

    def loss(self, made: Any) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a batch, and figures for the log; called under autocast."""

    def validate(self) -> dict[str, float]:
        """Return figures of the model as it is; lower or higher, as named."""

    def picture(self) -> np.ndarray:
        """Return a picture of the model on held-out images, (H, W, 3) uint8 RGB."""

    def export(self) -> dict[str, Tensor]:
        """Return the tensors of the inference network."""


def train(
    stage: Stage, out: Path, config: LoopConfig, metadata: dict[str, Any] | None = None, began: float | None = None,
) -> dict[str, float]:
    """Train until the budget is spent; a run that finds a checkpoint in ``out`` continues it.

    Writes ``checkpoint.pt``, ``log.csv``, ``config.json``, ``validation.png`` and ``model.safetensors``. Interrupted,
    it ends its step and writes the checkpoint; a second time, or while it validates, it ends at once. With torchrun,
    its processes share the batch, and the first one writes.

    :param began: when the budget began to count (``time.monotonic()``); by default now.
    :returns: the figures of the last validation; of the first process only.
    :raises ValueError: when the checkpoint in ``out`` is damaged, or of another architecture.
    :raises KeyboardInterrupt: when interrupted, after the checkpoint is written.
    :raises OSError: when the files cannot be written; the last checkpoint is intact.
    """
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(stage, out, config, began)
    try:
        run.resume()
        (out / 'config.json').write_text(json.dumps(
            {**dataclasses.asdict(config), **(metadata or {}), 'processes': run.workers.count,
             'precision': 'bfloat16' if workers.has_bfloat16(run.device) else 'float32'}, indent=2, default=str))
        with run.interrupt:
            run.steps()
            figures = run.reported[1] if run.reported[0] == run.step else run.report()
            run.workers.wait()
            if run.interrupt.asked:
                raise KeyboardInterrupt
        return figures
    finally:
        del run.loss
        run.workers.part()


def _progress(leads: bool) -> Progress:
    console = Console(stderr=True)
    return Progress(TextColumn('{task.description}'), BarColumn(), TimeRemainingColumn(), console=console,
                    disable=not (leads and console.is_terminal))


class _Run:
    """The state of one run: model, averaged weights, optimiser, clock."""

    def __init__(self, stage: Stage, out: Path, config: LoopConfig, began: float | None = None) -> None:
        self.began = time.monotonic() if began is None else began
        self.room, self.closing = config.limit_s, 0.0       # seconds for steps, and for a report
        self.stage, self.out, self.config = stage, out, config
        self.device = next(stage.model.parameters()).device
        self.workers = Workers(self.device)
        self.rng = Rng(self.workers.seed(config.seed), self.device)
        self.loss = self.workers.together(Loss(stage))
        slow = {id(parameter) for parameter in stage.slow}
        groups = [{'params': [p for p in stage.model.parameters() if id(p) not in slow]}]
        if slow:
            groups.append({'params': list(stage.slow), 'pace': _SLOW})
        self.optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=1e-4)
        self.average = {name: tensor.clone() for name, tensor in stage.model.state_dict().items()}
        self.step, self.elapsed, self.before, self.skipped = 0, 0.0, 0.0, 0
        self.figures: dict[str, float] = {}
        self.reported: tuple[int, dict[str, float]] = (-1, {})
        self.interrupt = Interrupt()

    def steps(self) -> None:
        """Do steps, with a report now and then, until the budget leaves time for no more than the last report.

        How long a report takes, the first one shows: in a short run that is in the middle.
        """
        config = self.config
        started = reported = time.monotonic()
        self.before, left = self.elapsed, config.limit_s - (started - self.began)
        with _progress(self.workers.leads) as bar:
            task = bar.add_task('', total=1.0)
            while True:
                (passed, self.room), stop = self.workers.agreed(
                    (time.monotonic() - started, max(0.0, left - self.closing)), self.interrupt.asked)
                self.elapsed = self.before + passed
                if stop:
                    self.interrupt.asked = True
                if stop or passed >= self.room or 0 < config.steps <= self.step:
                    break
                self.step_once()
                done = max(passed / self.room, self.step / config.steps if config.steps else 0.0)
                loss = self.figures.get('loss', math.nan)
                bar.update(task, completed=done, description=f'step {self.step}, loss {loss:.4f}')
                if time.monotonic() - reported > min(config.validate_s, math.inf if self.closing else left / 2):
                    self.report()
                    reported = time.monotonic()
        if self.step < config.steps and not stop and self.workers.leads:
            log.warning('stopped at step %d of %d, since the budget of %g s is spent: the same command goes on',
                        self.step, config.steps, config.budget_s)
        elif left <= 0 and self.workers.leads:
            log.warning('no step: the budget of %g s was spent before the first one, in %.0f s', config.limit_s,
                        config.limit_s - left)

    def step_once(self) -> None:
        """Do one step: schedule, loss in bf16 where that is fast, clip, update, average."""
        config = self.config
        rate = config.learning_rate * min(1.0, (self.step + 1) / max(1, config.warmup_steps))
        rate *= 0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, self.done()))) / 2
        for group in self.optimiser.param_groups:
            group['lr'] = rate * group.get('pace', 1.0)
        self.stage.model.train()
        made = self.stage.make(self.workers.share(config.batch), self.rng)
        with workers.autocast(self.device):
            loss, figures = self.loss(made)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        steepness = nn.utils.clip_grad_norm_(self.stage.model.parameters(), 1.0)
        if torch.isfinite(loss) and torch.isfinite(steepness):
            self.optimiser.step()
        else:
            self.skipped += 1
        self.step += 1
        decay = min(config.ema, self.step / (self.step + 10))
        with torch.no_grad():
            for name, tensor in self.stage.model.state_dict().items():
                if tensor.is_floating_point():
                    self.average[name].lerp_(tensor, 1 - decay)
                else:
                    self.average[name].copy_(tensor)
        for name, value in {'loss': float(loss.detach()), **figures}.items():
            if math.isfinite(value):
                self.figures[name] = 0.98 * self.figures.get(name, value) + 0.02 * value

    def done(self) -> float:
        """Return how much of the learning-rate schedule is over."""
        config = self.config
        if config.steps:
            return self.step / config.steps
        if config.planned_s:
            return self.elapsed / config.planned_s
        return (self.elapsed - self.before) / self.room

    def report(self) -> dict[str, float]:
        """Validate the averaged weights, log, and write the checkpoint, the exported network and the picture.

        Interrupted, it writes the checkpoint alone, and has no figures.
        """
        if not self.workers.leads:
            return {}
        began = time.monotonic()
        self.save()
        model = self.stage.model
        current = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        try:
            model.load_state_dict(self.average)
            model.eval()
            with self.interrupt.at_once(), torch.inference_mode():
                figures, picture = self.stage.validate(), self.stage.picture()
                exported = self.stage.export()
        except KeyboardInterrupt:
            self.interrupt.asked = True
            return {}
        finally:
            model.load_state_dict(current)
        checkpoint.save(exported, self.out / 'model.safetensors', {
            **self.stage.about, 'step': str(self.step), 'seconds': f'{self.elapsed:.0f}',
            **{name: f'{value:.4f}' for name, value in figures.items()}})
        pictures.write(self.out / 'validation.png', picture)
        self._log({'step': self.step, 'seconds': round(self.elapsed), 'skipped': self.skipped, **self.figures,
                   **figures})
        self.closing = max(self.closing, time.monotonic() - began)
        self.reported = self.step, figures
        return figures

    def save(self) -> None:
        """Write what a later run needs to continue."""
        if self.workers.leads:
            _write_atomically(self.out / 'checkpoint.pt', {
                'model': self.stage.model.state_dict(), 'average': self.average,
                'optimiser': self.optimiser.state_dict(), 'step': self.step, 'elapsed': self.elapsed,
                'skipped': self.skipped, 'rng': self.rng.generator.get_state()})

    def resume(self) -> None:
        """Continue from the checkpoint in the output folder, if there is one; exactly, with one process."""
        path = self.out / 'checkpoint.pt'
        if not path.exists():
            return
        try:
            saved = checkpoint.load_pickled(path, self.device)
        except ValueError as error:
            raise ValueError(f'{path} is damaged ({str(error)[:100]}); remove it, or choose another --out') from error
        if not isinstance(saved, dict) or not all(isinstance(saved.get(name), kind) for name, kind in _SAVED.items()):
            raise ValueError(f'{path} is no checkpoint of this program; choose another --out')
        try:
            for name in ('average', 'model'):
                self.stage.model.load_state_dict(saved[name])
            self.optimiser.load_state_dict(saved['optimiser'])
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            raise ValueError(f'{path} is of another architecture; choose another --out') from error
        self.average, self.step, self.elapsed = saved['average'], saved['step'], saved['elapsed']
        self.skipped = saved.get('skipped', 0)
        same_kind = len(saved['rng']) == len(self.rng.generator.get_state())
        if self.workers.leads and same_kind:
            self.rng.generator.set_state(saved['rng'].cpu())
            return
        if not same_kind:
            log.warning('%s was written on another kind of device: the random numbers are others from here on', path)
        self.rng = Rng(self.workers.seed(self.config.seed, self.step), self.device)

    def _log(self, row: dict[str, float]) -> None:
        path = self.out / 'log.csv'
        with path.open('a+', newline='') as file:
            file.seek(0)
            # A run that does no step has fewer figures.
            columns = next(csv.reader(file), None)
            writer = csv.DictWriter(file, columns or row, restval='', extrasaction='ignore')
            if columns is None:
                writer.writeheader()
            writer.writerow({name: f'{value:.5g}' for name, value in row.items()})
        print('  '.join(f'{name} {value:.4g}' for name, value in row.items()), flush=True)


def _write_atomically(path: Path, content: Any) -> None:
    partial = path.with_name(f'{path.name}.partial')
    try:
        torch.save(content, partial)
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        raise OSError(f'{path} cannot be written ({" ".join(str(error).split())[:200]}): is the disk full? '
                      'The checkpoint before is intact') from error
