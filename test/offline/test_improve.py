"""The whole way on a short walk through the rendered room: gone on with where it was, and refused with the reason."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.cli.main import main
from superslam_ros.evaluation import general, verdict
from superslam_ros.evaluation.trajectory import read_tum, write_tum
from superslam_ros.improve import checks
from superslam_ros.models import checkpoint
from superslam_ros.offline import improve_recordings, refit
from superslam_ros.offline.improve import improve
from superslam_ros.offline.improve_recordings import Task
from superslam_ros.offline.judging import Watch
from superslam_ros.offline.work import Work
from superslam_ros.slam import SlamConfig

from .improving import OPTIONS, ask_for_less, walk_through, write


@pytest.fixture(scope='module', autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        ask_for_less(patch)
        yield


@pytest.fixture(scope='module')
def frames(room):
    return walk_through(room)


@pytest.fixture(scope='module')
def walk(frames, tmp_path_factory):
    """Give the bag of it, and its truth."""
    folder = tmp_path_factory.mktemp('walk')
    write_tum(folder / 'demo.tum', [frame.stamp_ns for frame, _ in frames], np.array([pose for _, pose in frames]))
    return write(folder / 'demo', [frame for frame, _ in frames]), folder / 'demo.tum'


@pytest.fixture(scope='module')
def done(walk, tmp_path_factory):
    """Give the folder of a run, what was told of its stages, and its report."""
    out, told = tmp_path_factory.mktemp('out') / 'better', []
    report = improve([walk[0]], out, OPTIONS, Watch(lambda name, steps: told.append(name)))
    return out, told, report


def test_a_run_writes_weights_and_reports(done):
    out, told, report = done
    assert told[0] == 'demo' and told[-1] == 'measure sift' and 'measure before' in told
    assert report == json.loads((out / 'report.json').read_text())
    weights = out / ('superpoint.safetensors' if report['accepted'] else 'refused.safetensors')
    assert report['weights_after'] == {'file': weights.name, 'sha256': checkpoint.digest(weights)}
    assert checkpoint.metadata(weights)['network'] == 'compact'
    (recording,) = report['recordings']
    assert recording['frames'] > 40 and recording['stable'] >= 20 and recording['train'] >= 8 and recording['test'] > 5
    assert report['figures']['before'].keys() == report['figures']['after'].keys() == report['figures']['SIFT'].keys()
    assert report['candidates'][0]['share'] == 1 and report['reason'] and report['test']['wide'] > 5
    page = (out / 'report.html').read_text(encoding='utf-8')
    assert 'SuperPoint improved on demo' in page and 'held-out frames' in page and 'stable points in green' in page


def test_it_is_gone_on_with(done, walk):
    out, _, report = done
    nothing = Watch(lambda name, steps: pytest.fail(f'{name} is done again'))
    assert improve([walk[0]], out, OPTIONS, nothing) == report
    with pytest.raises(ValueError, match=r'begun with other steps \(2, now 3\): choose another --out'):
        improve([walk[0]], out, replace(OPTIONS, steps=3))
    with pytest.raises(ValueError, match='begun with other ground truth'):
        improve([walk[0]], out, replace(OPTIONS, ground_truth=[walk[1]]))


def test_killed_in_the_middle_it_comes_to_the_same(done, walk, tmp_path):
    def killed(name, steps):
        if name == 'measure before':
            raise KeyboardInterrupt

    shutil.copytree(done[0] / 'work', tmp_path / 'better/work')
    for path in [*(tmp_path / 'better/work').glob('*.safetensors'), *(tmp_path / 'better/work').glob('measured_*')]:
        path.unlink()
    shutil.rmtree(tmp_path / 'better' / 'work/training')
    with pytest.raises(KeyboardInterrupt):
        improve([walk[0]], tmp_path / 'better', OPTIONS, Watch(killed))
    assert improve([walk[0]], tmp_path / 'better', OPTIONS) == done[2]
    assert {path.name: path.read_bytes() for path in (tmp_path / 'better').glob('*.*')} == {
        path.name: path.read_bytes() for path in done[0].glob('*.*')}


def test_accepted_weights_are_written_with_what_is_said_of_superglue(done, walk, tmp_path, monkeypatch):
    def fitted(start, superpoint, recordings, textures, folder, out, device, seed):
        assert len(recordings[0]) == done[2]['recordings'][0]['train'] and recordings[0][0].depth_m is not None
        checkpoint.save(checkpoint.load_state(start), out, checkpoint.metadata(start))

    gain = verdict.Gain(0.1, 0.05, 0.15, 12, 6)
    monkeypatch.setattr(verdict, 'decide', lambda *_: verdict.Verdict(
        True, 'better', {'wide': gain, 'narrow': gain}, dict.fromkeys(general.FIGURES, (0.5, 0.5))))
    monkeypatch.setattr(refit, 'fit', fitted)
    out = tmp_path / 'better'
    shutil.copytree(done[0] / 'work', out / 'work')
    report = improve([walk[0]], out, replace(OPTIONS, with_superglue=True))
    assert report['accepted'] and report['reason'] == 'better' and not (out / 'refused.safetensors').exists()
    about = checkpoint.metadata(out / 'superpoint.safetensors')
    assert about['improved_from'] == checkpoint.digest(checkpoint.shipped('compact'))
    advice = report['superglue']['advice']
    assert advice in ('kept', 'refitted', 'advised against') and 'auc_10_refitted' in report['superglue']
    assert bool(about['descriptors_of']) == (advice == 'kept')
    assert (out / 'superglue.safetensors').exists() == (advice == 'refitted')
    assert 'SuperGlue' in (out / 'report.html').read_text(encoding='utf-8')


def still(frames):
    rng = np.random.default_rng(0)
    for frame in frames:
        noisy = frames[0].image + rng.normal(0, 2, frame.image.shape)
        yield replace(frame, image=noisy.clip(0, 255).astype(np.uint8), depth_m=frames[0].depth_m)


def blurred(frames):
    return (replace(frame, image=cv2.GaussianBlur(frame.image, (0, 0), 12)) for frame in frames)


def lost(frames):
    rng = np.random.default_rng(0)
    for number, frame in enumerate(frames):
        covered = rng.integers(0, 255, frame.image.shape).astype(np.uint8)
        yield frame if number % 30 < 15 else replace(frame, image=covered)


@pytest.mark.parametrize(('change', 'reason'), [
    (still, 'still'), (blurred, 'blurred|lost'), (lost, 'lost in'), (lambda frames: frames[:12], 'record for longer'),
])
def test_recordings_that_are_of_no_use_are_refused(frames, tmp_path, capsys, change, reason):
    bag = write(tmp_path / 'bag', change([frame for frame, _ in frames]))
    assert main(['improve', str(bag), '--out', str(tmp_path / 'out'), '--steps', '2']) == 1
    report = json.loads((tmp_path / 'out/report.json').read_text())
    assert not report['accepted'] and re.search(reason, report['reason']), report['reason']
    assert 'refused: ' in capsys.readouterr().out and 'Refused' in (tmp_path / 'out/report.html').read_text()


def test_without_calibration_it_is_refused(frames, tmp_path):
    bag = write(tmp_path / 'bag', [frame for frame, _ in frames[:5]], calibrated=False)
    report = improve([bag], tmp_path / 'out', OPTIONS)
    assert not report['accepted'] and '--camera-info' in report['reason']


def test_one_of_several_that_is_of_no_use_is_left_out(done, walk, frames, tmp_path, capsys):
    bare, out = write(tmp_path / 'bare', [frame for frame, _ in frames[:5]], calibrated=False), tmp_path / 'better'

    def interrupt(name, steps):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        improve([bare, walk[0]], out, OPTIONS, Watch(interrupt))
    for path in (done[0] / 'work').glob('*'):       # what was made of it alone is what would be made of it now
        if path.name != 'made_of.json':
            (shutil.copytree if path.is_dir() else shutil.copy)(path, out / 'work' / path.name.replace('_0', '_1'))
    report = improve([bare, walk[0]], out, OPTIONS)
    (left_out,) = report['left_out']
    assert left_out['bag'] == 'bare' and '--camera-info' in left_out['reason']
    assert report['recordings'] == done[2]['recordings'] and report['figures'] == done[2]['figures']
    assert 'Recordings that are left out' in (out / 'report.html').read_text(encoding='utf-8')


def test_truth_of_another_recording_is_refused(done, walk, tmp_path):
    stamps, poses = read_tum(walk[1])
    write_tum(tmp_path / 'wrong.tum', stamps, np.roll(poses, 30, 0))
    work = Work(tmp_path / 'work', {})
    shutil.copytree(done[0] / 'work/evidence_0', tmp_path / 'work/evidence_0')
    shutil.copy(done[0] / 'work/structure_0.npz', tmp_path / 'work')
    task = Task(walk[0], 0, work, SlamConfig(), ReaderOptions())
    with pytest.raises(checks.Refusal, match=r'wrong\.tum: its motions differ'):
        improve_recordings.prepare(task, tmp_path / 'wrong.tum', Watch())
    found = improve_recordings.prepare(task, walk[1], Watch())
    assert np.abs(found.poses[:, :3, 3] - poses[:len(found.poses), :3, 3]).max() < 1e-6


def shuffled(done, out, walk, options, what):
    """Return what becomes of a run whose structure is wrong: ``what`` of it is in another order."""
    def interrupt(name, steps):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        improve([walk[0]], out, options, Watch(interrupt))
    shutil.copytree(done[0] / 'work/evidence_0', out / 'work/evidence_0')
    with np.load(done[0] / 'work/structure_0.npz') as file:
        made = {name: file[name] for name in file}
    made[what] = np.random.default_rng(0).permutation(made[what])
    np.savez(out / 'work/structure_0.npz', **made)
    return improve([walk[0]], out, options)


def test_a_structure_that_is_wrong_is_refused(done, walk, tmp_path, monkeypatch):
    options = replace(OPTIONS, steps=1, most_pairs=60)
    report = shuffled(done, tmp_path / 'looked at', walk, options, 'T_world_camera')
    assert not report['accepted'] and report['reason'].startswith('the structure does not fit the images'), report
    assert not (tmp_path / 'looked at/refused.safetensors').exists()
    monkeypatch.setattr(checks, 'LEAST_RIGHT', 0)
    report = shuffled(done, tmp_path / 'judged', walk, options, 'T_world_camera')
    assert not report['accepted'] and 'wide pairs do not gain' in report['reason'], report
    assert (tmp_path / 'judged/refused.safetensors').exists()


def test_what_cannot_be_begun_is_an_error(walk, tmp_path, capsys):
    bag, out = str(walk[0]), str(tmp_path / 'out')
    glue = str(checkpoint.shipped('superglue_lean'))
    for words, said in ((['--weights', glue], 'it is a SuperGlue'),
                        (['--photos', str(tmp_path / 'none')], 'does not exist'),
                        (['--ground-truth', 'a', 'b'], '2 files for 1 bags'), (['--steps', '-1'], 'must be 0 or more')):
        assert main(['improve', bag, '--out', out, *words]) == 2
        assert said in capsys.readouterr().err
    assert main(['improve', str(tmp_path / 'no.mcap'), '--out', out]) == 2
    assert 'no.mcap: no such recording' in capsys.readouterr().err and not (tmp_path / 'out').exists()
