"""SuperGlue with other descriptors than it was trained on: measured, and trained further where that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from superslam_ros.data import PosedImage
from superslam_ros.evaluation import gain as gains
from superslam_ros.evaluation import pose_pairs
from superslam_ros.evaluation.homography import FrontEnd
from superslam_ros.models import checkpoint
from superslam_ros.offline.judging import Judge
from superslam_ros.slam.extract import ExtractorConfig, pick_device
from superslam_ros.slam.match import MatcherConfig
from superslam_ros.training import loop
from superslam_ros.training.data.posed import PosedFrames
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.stages.glue import Source, SuperGlueStage

MOST_PAIRS = 100
"""That SuperGlue is measured on, evenly over the test pairs."""
MOST_LOST = 0.01
STEPS, BATCH, RATE = 200, 8, 1e-4
_PIXELS, _MOST_FRAMES = 240 * 320, 200


@dataclass(frozen=True, eq=False)
class Glue:
    """A SuperGlue on the test pairs, before and with the improved SuperPoint."""

    judge: Judge
    before: Path
    after: Path
    weights: Path

    def known(self) -> bool:
        """Whether it was trained on the SuperPoint before, or one whose descriptors are alike."""
        of = checkpoint.metadata(self.weights).get('superpoint_sha256')
        alike = checkpoint.metadata(self.before).get('descriptors_of', '').split()
        return of in (checkpoint.digest(self.before), *alike)

    def scores(self, name: str, superpoint: Path, superglue: Path) -> np.ndarray:
        """Return (P,) what each of some test pairs adds to the AUC to 10 degrees; what was measured is kept."""
        judge = self.judge

        def make(partial: Path) -> None:
            end = FrontEnd('superglue', ExtractorConfig(weights=str(superpoint), device=judge.device), MatcherConfig(
                matcher='superglue', weights=str(superglue), device=judge.device))
            step = max(1, -(-sum(map(len, judge.pairs)) // MOST_PAIRS))
            some = [pairs.select(np.arange(0, len(pairs), step)) for pairs in judge.pairs]
            judge.watch.start(f'measure {name}', sum(map(len, some)))
            errors, _ = pose_pairs.measure(end, some, judge.watch.step)
            with partial.open('wb') as file:
                np.savez(file, scores=gains.scores(errors))

        with np.load(judge.work.stage(f'measured_{name.replace(" ", "_")}.npz', make)) as file:
            return file['scores']

    def advise(self, refit: Path | None = None) -> dict[str, Any]:
        """Return what to do with SuperGlue, and by which figures.

        :param refit: a SuperGlue that was trained on the improved SuperPoint.
        """
        if not self.known():
            return {'advice': 'not measured', 'reason': f'{self.weights.name} is of other descriptors than '
                    f'{self.before.name}: train one with `superslam train superglue --weights`'}
        before = float(self.scores('superglue before', self.before, self.weights).mean())
        kept = float(self.scores('superglue after', self.after, self.weights).mean())
        found = {'auc_10_before': before, 'auc_10_kept': kept}
        if refit is not None:
            found['auc_10_refitted'] = float(self.scores('superglue refitted', self.after, refit).mean())
        best = max(found.get('auc_10_refitted', -1.0), kept)
        if best < before - MOST_LOST:
            advice = 'advised against'
            reason = (f'AUC to 10 degrees falls from {before:.3f} to {best:.3f}: match by nearest neighbours, or keep '
                      'the weights before with SuperGlue')
            reason += '' if refit else ', or try --with-superglue'
        elif refit is not None and found['auc_10_refitted'] >= kept:
            advice, reason = 'refitted', f'AUC to 10 degrees {best:.3f}, before {before:.3f}'
        else:
            advice, reason = 'kept', f'AUC to 10 degrees {best:.3f}, before {before:.3f}'
        return {'advice': advice, 'reason': reason, **found}


def fit(
    start: Path, superpoint: Path, recordings: Sequence[Sequence[PosedImage]], textures: Textures,
    folder: Path, out: Path, device: str, steps: int = STEPS, seed: int = 0,
) -> None:
    """Train a SuperGlue further on other descriptors; a run that was killed goes on.

    :param recordings: frames of the training part with depth and pose.
    :param folder: of the run; ``out``: the weights.
    :raises OSError, ValueError: as :func:`superslam_ros.training.loop.train` does.
    """
    on = pick_device(device)
    torch.manual_seed(seed)
    posed = [PosedFrames(frames[::-(-len(frames) // _MOST_FRAMES)], _PIXELS, on)
             for frames in recordings if len(frames) > 1]
    stage = SuperGlueStage(Source(textures, posed, together=3, wide_share=0.5, rooms_share=0.25),
                           Source(textures, wide_share=0.5), on, superpoint, start=start, held_out_pairs=8, seed=seed)
    loop.train(stage, folder, loop.LoopConfig(
        steps=steps, batch=BATCH, learning_rate=RATE, warmup_steps=min(20, steps), seed=seed, device=device))
    take_over(folder, out)


def take_over(folder: Path, out: Path) -> None:
    """Copy the weights of a run of training without how long it took: the same steps are the same bytes.

    :raises OSError: when they cannot be written.
    """
    made = folder / 'model.safetensors'
    about = {name: value for name, value in checkpoint.metadata(made).items() if name != 'seconds'}
    checkpoint.save(checkpoint.load_state(made), out, about)
