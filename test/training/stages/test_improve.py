"""SuperPoint learns from a recording, keeps what it knew, and is exported with its stability head."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from superslam_ros.models import checkpoint, extractors, stability
from superslam_ros.training import loop
from superslam_ros.training.data import evidence_frames, painted
from superslam_ros.training.data.evidence_frames import STABLE, UNSTABLE
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.stages import improve
from superslam_ros.training.stages.improve import ImproveStage
from training.recorded import Recorded

CPU = torch.device('cpu')


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(improve, 'VIEW', (64, 80))
    monkeypatch.setattr(improve, '_VALIDATED', 8)
    monkeypatch.setattr(improve, '_POINTS', 40)
    monkeypatch.setattr(evidence_frames, 'KEYPOINTS', 96)


def stage(start='compact', textures=None, **options):
    recorded = Recorded()
    labels = np.where(recorded.structure.points[:, 2] > 1.2, STABLE, UNSTABLE).astype(np.int8)
    textures = textures or Textures(torch.from_numpy(np.stack(recorded.images)))
    path = start if hasattr(start, 'suffix') else checkpoint.shipped(start)
    return ImproveStage([recorded.part(labels=labels)], textures, path, CPU, **options)


def config(**changes):
    return loop.LoopConfig(**{'steps': 8, 'batch': 4, 'learning_rate': 3e-4, 'warmup_steps': 1, 'ema': 0.0, **changes})


def test_it_learns_and_a_run_resumes(tmp_path):
    trained = stage()
    with torch.no_grad():
        before = trained.validate()
    assert before['val_stable'] == pytest.approx(np.log(2), abs=1e-4)       # a new head says nothing
    after = loop.train(trained, tmp_path / 'run', config())
    assert after['val_pairs'] < before['val_pairs']
    assert after['val_stable'] < before['val_stable']
    file = tmp_path / 'run/model.safetensors'
    about = checkpoint.metadata(file)
    digest = checkpoint.digest(checkpoint.shipped('compact'))
    assert about['improved'] == digest and about['descriptors_of'].split()[0] == digest
    assert stability.width(checkpoint.load_state(file)) == stability.COMPACT_WIDTH

    halves = tmp_path / 'halves'
    loop.train(stage(), halves, config(budget_s=1e-6))
    loop.train(stage(), halves, config())
    whole, resumed = (checkpoint.load_state(path / 'model.safetensors') for path in (tmp_path / 'run', halves))
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())

    again = stage(file)                                     # the head that is there is trained on
    with torch.no_grad():
        assert again.validate()['val_stable'] == pytest.approx(after['val_stable'], abs=0.02)


@pytest.mark.parametrize('start', ['compact', 'superpoint'])
def test_it_begins_as_what_it_is_given(start, tmp_path):
    trained, plain = stage(start), extractors.load(checkpoint.shipped(start))
    images = trained._held_out[0].images[:2]
    with torch.no_grad():
        for ours, theirs in zip(trained.model.eval()(images), plain(images)):
            torch.testing.assert_close(ours, theirs, atol=5e-3, rtol=2e-2)
        before = [norm.running_mean.clone() for norm in trained.model.modules()
                  if isinstance(norm, torch.nn.BatchNorm2d)]
    loop.train(trained, tmp_path, config(steps=1, batch=2))
    norms = [norm for norm in trained.model.modules() if isinstance(norm, torch.nn.BatchNorm2d)]
    assert all(torch.equal(norm.running_mean, one) for norm, one in zip(norms, before))
    assert type(extractors.load(tmp_path / 'model.safetensors')) is type(plain)


def test_who_has_no_photographs_gets_painted_pictures():
    made = stage(textures=painted.textures(CPU, count=4)).make(4, improve.Rng(0))
    assert made.photos.images.shape == (4, 1, 64, 80)
    assert made.photos.images.std() > 0.05
    first, second = (painted.textures(CPU, seed, 4)._flat for seed in (1, 1))
    assert torch.equal(first, second) and not torch.equal(first, painted.textures(CPU, 2, 4)._flat)


def test_weights_of_another_network_are_refused_by_name(tmp_path):
    checkpoint.save({'bin_score': torch.zeros(())}, tmp_path / 'glue.safetensors')
    with pytest.raises(ValueError, match=r'glue\.safetensors'):
        stage(tmp_path / 'glue.safetensors')
