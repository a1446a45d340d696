"""Weights that are known to be better or worse: the shipped ones, and the same with noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from superslam_ros import worlds
from superslam_ros.evaluation import pose_pairs
from superslam_ros.evaluation.pose_pairs import PosePairs
from superslam_ros.geometry import pose
from superslam_ros.geometry.camera import Pinhole
from superslam_ros.models import checkpoint
from superslam_ros.offline import improve_report
from superslam_ros.offline.judging import Judge, Watch
from superslam_ros.offline.work import Work

FRAMES = 12


@pytest.fixture(scope='module')
def views(room):
    """Give narrow and wide pairs of a walk through the room, and pictures of it."""
    camera, poses = worlds.pinhole(160, 120), worlds.demo_trajectory(60)[::4]
    images = [worlds.render(room, camera, T, 1).image for T in poses]
    frames = np.array([[i, i + gap] for i in range(FRAMES - 3) for gap in (1, 3) if gap == 3 or i % 4 == 0])
    T_1_0 = np.array([pose.inverse(poses[j]) @ poses[i] for i, j in frames])
    pairs = PosePairs('walk', images.__getitem__, Pinhole(*(camera.K[i] for i in ((0, 0), (1, 1), (0, 2), (1, 2)))),
                      frames, frames[:, 0] * 0.2, T_1_0, frames[:, 1] - frames[:, 0] == 3, np.zeros(len(frames), bool))
    return pairs, [('a', images[0]), ('b', images[7])]


@pytest.fixture(scope='module')
def worse(tmp_path_factory):
    """Give weights that were spoiled."""
    path = checkpoint.shipped('compact')
    state, noise = checkpoint.load_state(path), torch.Generator().manual_seed(0)
    spoiled = {name: tensor + 0.7 * tensor.std() * torch.randn(tensor.shape, generator=noise) if tensor.ndim > 1
               else tensor for name, tensor in state.items()}
    out = tmp_path_factory.mktemp('weights') / 'worse.safetensors'
    checkpoint.save(spoiled, out, {'network': 'compact'})
    return out


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Estimate the pose of each pair once."""
    monkeypatch.setattr(pose_pairs, 'ORDERS', 1)


def judge_of(views, folder, **options):
    return Judge([views[0]], views[1], Work(folder / 'work', {}), 'cpu', 0.25, **options)


def test_better_weights_are_accepted_and_shown(views, worse, tmp_path):
    judge = judge_of(views, tmp_path)
    best = judge.candidates(worse, checkpoint.shipped('compact'))[0]
    assert best.verdict.accepted, best.verdict.reason
    assert best.share == 1 and best.verdict.gains['wide'].low > 0
    about = checkpoint.metadata(best.weights)
    assert about['improved_from'] == checkpoint.digest(worse) and about['share'] == '1'
    before = judge.measure('before', worse)
    figures = {'before': improve_report.figures(before, judge.wide),
               'after': improve_report.figures(best.measured, judge.wide)}
    assert figures['after']['wide_auc_10'] > figures['before']['wide_auc_10']
    table, gain, _ = improve_report.tables(figures, [best], judge)
    assert table.rows[1][0] == 'wide pairs, AUC to 10 degrees' and gain.rows[0][-1] == 'accepted'
    found, lost = judge.changed(before, best.measured)
    assert found and judge.wide[found].all() and judge.pair(found[0])[1] == found[0]
    ends = judge.front_end(worse), judge.front_end(best.weights)
    drawn = improve_report.changed_pairs(judge, before, best, ends)
    assert len(drawn) == len(found) + len(lost) and 'now found: before (above)' in drawn[0].caption
    assert drawn[0].image.shape == (2 * 360, 960, 3)


def test_worse_weights_are_refused_with_all_parts_of_them(views, worse, tmp_path):
    told = []
    judge = judge_of(views, tmp_path, watch=Watch(lambda name, steps: told.append([name, steps, 0]),
                                                  lambda: told[-1].__setitem__(2, told[-1][2] + 1)))
    tried = judge.candidates(checkpoint.shipped('compact'), worse)
    assert [one.share for one in tried] == [1, 0.5, 0.25] and not any(one.verdict.accepted for one in tried)
    assert 'do not gain for certain' in tried[0].verdict.reason
    assert [name for name, _, _ in told] == ['measure before', 'measure after 1', 'measure after 0.5',
                                             'measure after 0.25']
    assert all(steps == done == len(views[0]) + 8 for _, steps, done in told)
    # What was measured is kept.
    again = judge_of(views, tmp_path, watch=Watch(lambda *_: pytest.fail('measured again')))
    assert [one.verdict for one in again.candidates(checkpoint.shipped('compact'), worse)] == [
        one.verdict for one in tried]
