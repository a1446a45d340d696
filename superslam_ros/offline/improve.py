"""``superslam improve``: recordings to SuperPoint weights that are better there, or a reason why not.

A recording becomes evidence (frames with their keypoints), tracks, a structure, and labels of what is stable; a part of
it is held out; weights are trained on the other part; a verdict compares them with those before. Every stage is kept
in ``work``, so that a run that was killed goes on.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.evaluation import general, report, verdict
from superslam_ros.evaluation.report import Distinct
from superslam_ros.improve import checks, pairs
from superslam_ros.improve.checks import Refusal
from superslam_ros.improve.split import Part, SplitConfig, split
from superslam_ros.models import checkpoint, extractors
from superslam_ros.offline import improve_recordings, improve_report, monocular, refit
from superslam_ros.offline.improve_recordings import Recording, Task
from superslam_ros.offline.judging import Candidate, Judge, Watch
from superslam_ros.offline.provenance import provenance
from superslam_ros.offline.work import Work, fingerprint, full_disk_said
from superslam_ros.slam import ExtractorConfig, SlamConfig
from superslam_ros.slam.extract import pick_device
from superslam_ros.training import loop
from superslam_ros.training.data import photos
from superslam_ros.training.data.evidence_frames import LabelledPart
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.stages import improve as learning

FORMAT = 1
"""Of what is kept in ``work``."""
BUDGET_S = 3600.0
ACCEPTED, REFUSED = 'superpoint.safetensors', 'refused.safetensors'
SUPERGLUE = 'superglue.safetensors'
_PHOTO = (480, 640)


@dataclass(frozen=True)
class ImproveOptions:
    """What to improve, with what, and for how long.

    :ivar weights: SuperPoint to begin with: file or name; empty for the shipped one.
    :ivar ground_truth: TUM files of the optical frame to judge by, one for each bag, or none.
    :ivar photographs: folders of images of other places, to keep in mind and, a tenth, to judge by.
    :ivar steps: of training; 0: as many as the budget allows. ``budget_s``: seconds of training, 0: an hour.
    :ivar with_superglue: train SuperGlue further, too.
    :ivar jobs: so many recordings are read at once, or on the Ray cluster at the address ``ray``.
    :ivar block_s: pairs that begin within this time of each other are alike; ``most_pairs`` of either kind.
    """

    reader: ReaderOptions = field(default_factory=ReaderOptions)
    config: SlamConfig = field(default_factory=SlamConfig)
    weights: str = ''
    ground_truth: Sequence[Path] = ()
    photographs: Sequence[Path] = ()
    steps: int = 0
    budget_s: float = 0.0
    batch: int = learning.BATCH
    seed: int = 0
    device: str = 'auto'
    with_superglue: bool = False
    jobs: int = 1
    ray: str = ''
    split: SplitConfig = field(default_factory=SplitConfig)
    block_s: float = verdict.BLOCK_S
    most_pairs: int = pairs.MOST
    command: str = ''


def improve(
    bags: Sequence[Path], out: Path, options: ImproveOptions | None = None, watch: Watch | None = None
) -> dict[str, Any]:
    """Improve weights on recordings; write weights, ``report.json`` and ``report.html`` into ``out``.

    :returns: the content of ``report.json``: ``accepted`` says whether there are better weights, ``reason`` why.
    :raises ValueError, OSError, RuntimeError: for input that is none (files that are missing, weights of another
        network, an ``out`` of another run), a full disk, or a process or cluster that is gone; what was made so far is
        kept.
    """
    run = _Run([Path(bag) for bag in bags], Path(out), options or ImproveOptions(), watch or Watch())
    try:
        return run.finish()
    except Refusal as refusal:
        return run.write(False, str(refusal))


class _Run:
    """One run: what there is to improve, and what is known so far."""

    def __init__(self, bags: Sequence[Path], out: Path, options: ImproveOptions, watch: Watch) -> None:
        self.bags, self.out, self.options, self.watch = bags, out, options, watch
        if options.ground_truth and len(options.ground_truth) != len(bags):
            raise ValueError(f'--ground-truth: {len(options.ground_truth)} files for {len(bags)} bags')
        for bag in bags:
            if not bag.exists():
                raise ValueError(f'{bag}: no such recording; what a camera shows is recorded first')
        self.start = checkpoint.locate('superpoint', options.weights)
        extractors.load(self.start)     # refuses what is none
        self.photographs = photos.split(photos.find(options.photographs)) if options.photographs else ([], [])
        self.work = Work(out.resolve() / 'work', self._made_of())
        self.about: dict[str, Any] = {'recordings': [{'bag': bag.resolve().name} for bag in bags]}
        self.sections: list[tuple[str, list[Any]]] = []

    def _made_of(self) -> dict[str, Any]:
        """Return what the results depend on."""
        options = self.options
        return {
            'format': FORMAT, 'bags': [[bag.resolve().name, fingerprint(bag)] for bag in self.bags],
            'weights': checkpoint.digest(self.start),
            'ground truth': [fingerprint(path) for path in options.ground_truth],
            'photographs': [[path.name, path.stat().st_size] for part in self.photographs for path in part],
            'camera options': {name: fingerprint(value) if isinstance(value, Path) else str(value)
                               for name, value in vars(options.reader).items() if value},
            'pycolmap': monocular.installed() if options.reader.mode in ('auto', 'mono') else '',
            'steps': options.steps, 'budget': options.budget_s, 'batch': options.batch, 'seed': options.seed}

    def finish(self) -> dict[str, Any]:
        """Do what is left to do."""
        recordings = self._recordings()
        parts = self._split(recordings)
        judge = self._judge(recordings, parts)
        trained = self._train(recordings, parts)
        best = self._verdict(judge, trained)
        accepted = best.verdict.accepted
        if accepted:
            self._superglue(judge, recordings, parts, best)
        else:
            with full_disk_said(self.out / REFUSED):
                shutil.copyfile(trained, self.out / REFUSED)
        share = f'{best.share:g} of the way from the weights before to the trained ones: ' if best.share < 1 else ''
        return self.write(accepted, share + best.verdict.reason)

    def _recordings(self) -> list[Recording]:
        """Return the recordings that can be used.

        :raises Refusal: when there are none.
        """
        options = self.options
        given = Path(options.weights).resolve()      # the shipped ones are elsewhere on another machine
        config = replace(options.config, extractor=ExtractorConfig(
            weights=str(given) if given.is_file() else options.weights, device=options.device))
        distinct, digest = Distinct(), checkpoint.digest(self.start)
        tasks = {distinct(bag.resolve().name): Task(bag.resolve(), number, self.work, config, options.reader, digest)
                 for number, bag in enumerate(self.bags)}
        beside = options.jobs > 1 or options.ray
        refused = improve_recordings.side_by_side(tasks, options.jobs, options.ray, self.watch) if beside else {}
        found = []
        for (name, task), true in zip(tasks.items(), options.ground_truth or [None] * len(tasks)):
            if name in refused:
                continue
            try:
                found.append(improve_recordings.prepare(task, true, self.watch))
            except Refusal as refusal:
                refused[name] = str(refusal)
        if not found:
            raise Refusal('; '.join(refused[name] for name in tasks))
        self.about['left_out'] = [{'bag': name, 'reason': refused[name]} for name in tasks if name in refused]
        return found

    def _split(self, recordings: Sequence[Recording]) -> list[Part]:
        try:
            parts = split([one.evidence for one in recordings], [one.overlap for one in recordings],
                          [one.candidates.frames[one.candidates.wide] for one in recordings], self.options.split)
        except ValueError as error:
            raise Refusal(str(error)) from error
        self.about['recordings'] = [one.about(part.train, part.test) for one, part in zip(recordings, parts)]
        self.sections.append(('What was learned from', [
            improve_report.recordings(self.about['recordings']), *improve_report.left_out(self.about['left_out']),
            *(picture for one in recordings for picture in one.pictures())]))
        return parts

    def _judge(self, recordings: Sequence[Recording], parts: Sequence[Part]) -> Judge:
        chosen = [pairs.pose_pairs(one.evidence, one.overlap, one.candidates, part.test, one.poses,
                                    self.options.most_pairs)
                  for one, part in zip(recordings, parts)]
        pictures = [*(general.of_photographs(self.photographs[1]) if self.photographs[1] else general.rendered())]
        self.about['general'] = 'held-out photographs' if self.photographs[1] else 'rendered rooms'
        judge = Judge(chosen, pictures, self.work, self.options.device, self.options.block_s, self.watch)
        lacking = verdict.too_few(judge.wide, judge.times_s, judge.block_s)
        if lacking:
            raise Refusal(lacking)
        return judge

    def _textures(self) -> Textures | None:
        """Return the photographs to train on; None where there are none, and painted ones take their place."""
        if not self.photographs[0]:
            return None
        images = photos.stack(self.photographs[0], *_PHOTO, 'training')
        return Textures(torch.from_numpy(images).to(pick_device(self.options.device)))

    def _train(self, recordings: Sequence[Recording], parts: Sequence[Part]) -> Path:
        """Return the trained weights.

        :raises Refusal: when the training part shows too little.
        """
        options, folder = self.options, self.work.folder / 'training'

        def make(partial: Path) -> None:
            learn = [LabelledPart(one.evidence, one.tracks, one.structure, one.labels, part.train)
                     for one, part in zip(recordings, parts) if (part.train & one.overlap.placed).sum() > 1]
            torch.manual_seed(options.seed)
            try:
                stage = learning.ImproveStage(
                    learn, self._textures(), self.start, pick_device(options.device), seed=options.seed)
            except ValueError as error:
                raise Refusal(str(error)) from error
            if not (folder / 'checkpoint.pt').exists():
                self._check_pairs(stage)
            loop.train(stage, folder, _loop_config(options, folder), {'command': options.command})
            refit.take_over(folder, partial)

        return self.work.stage('trained.safetensors', make)

    def _check_pairs(self, stage: learning.ImproveStage) -> None:
        """See whether the weights before find most of what they are to learn.

        :raises Refusal: when they do not.
        """
        self.watch.start('look at the pairs to learn from', 1)
        with torch.no_grad():
            wrong = checks.of_pairs(stage.validate()['val_right'])
        self.watch.step()       # training has a bar of its own
        if wrong:
            raise Refusal(wrong)

    def _verdict(self, judge: Judge, trained: Path) -> Candidate:
        """Return the weights that decide: the first that are accepted, or the last that are not."""
        tried = judge.candidates(self.start, trained)
        best = tried[-1] if tried[-1].verdict.accepted else tried[0]
        before = judge.measure('before', self.start)
        shown = {'before': before, 'after': best.measured, 'SIFT': judge.measure('sift', None)}
        figures = {name: improve_report.figures(one, judge.wide) for name, one in shown.items()}
        self.about.update(
            share=best.share, test={'wide': int(judge.wide.sum()), 'narrow': int((~judge.wide).sum()),
                                    'block_s': judge.block_s, 'views': len(before.general)},
            figures=figures, candidates=[improve_report.candidate(one) for one in tried])
        self.sections.append(('Before and after', improve_report.tables(figures, tried, judge)))
        ends = judge.front_end(self.start), judge.front_end(best.weights)
        self.sections.append(('Pairs that changed', improve_report.changed_pairs(judge, before, best, ends)))
        return best

    def _superglue(
        self, judge: Judge, recordings: Sequence[Recording], parts: Sequence[Part], best: Candidate
    ) -> None:
        """Measure SuperGlue with the accepted weights, train it further where that is asked for, and write both."""
        options = self.options
        weights = self.out / ACCEPTED
        glue = refit.Glue(judge, self.start, best.weights, checkpoint.locate('superglue'))
        fitted = None
        if options.with_superglue and glue.known():
            textures = self._textures() or learning.painted.textures(pick_device(options.device), options.seed)
            fitted = self.work.stage('superglue.safetensors', lambda partial: refit.fit(
                glue.weights, best.weights, [one.posed(part.train) for one, part in zip(recordings, parts)], textures,
                self.work.folder / 'superglue', partial, options.device, seed=options.seed))
        advice = glue.advise(fitted)
        self.about['superglue'] = advice
        alike = ' '.join([checkpoint.digest(self.start),
                          *checkpoint.metadata(self.start).get('descriptors_of', '').split()])
        checkpoint.save(checkpoint.load_state(best.weights), weights, {
            **checkpoint.metadata(best.weights), 'descriptors_of': alike if advice['advice'] == 'kept' else ''})
        if advice['advice'] == 'refitted':
            checkpoint.save(checkpoint.load_state(fitted), self.out / SUPERGLUE, {
                **checkpoint.metadata(fitted), 'superpoint_sha256': checkpoint.digest(weights)})

    def write(self, accepted: bool, reason: str) -> dict[str, Any]:
        """Write the report, and return it."""
        after = self.out / (ACCEPTED if accepted else REFUSED)
        weights = {'weights_after': {'file': after.name, 'sha256': checkpoint.digest(after)}} if after.exists() else {}
        content = improve_report.plain({
            'accepted': accepted, 'reason': reason, **provenance({'superpoint': self.options.weights}), **weights,
            **self.about, 'command': self.options.command})
        with full_disk_said(self.out):
            improve_report.write_page(self.out / 'report.html', content, self.sections)
            report.write_json(self.out / 'report.json', content)
        return content


def _loop_config(options: ImproveOptions, folder: Path) -> loop.LoopConfig:
    """Return how long to train: what is left of the budget, where a run before was killed."""
    budget = options.budget_s or (0.0 if options.steps else BUDGET_S)
    elapsed = 0.0
    if (folder / 'checkpoint.pt').exists():
        elapsed = float(checkpoint.load_pickled(folder / 'checkpoint.pt').get('elapsed', 0.0))
    return loop.LoopConfig(
        budget_s=max(1.0, budget - elapsed) if budget else 0.0, steps=options.steps,
        planned_s=0.0 if options.steps else budget, batch=options.batch, learning_rate=learning.LEARNING_RATE,
        seed=options.seed, device=options.device)
