"""The training loop: killed runs, full disks, pictures, several processes."""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from superslam_ros.models import checkpoint
from superslam_ros.offline.cli import main
from superslam_ros.training import adaptation, loop, pictures, shapes
from superslam_ros.training.magicpoint import MagicPointStage
from superslam_ros.training.pairs import LabelledPhotos
from superslam_ros.training.random import Rng

CPU = torch.device('cpu')


def stage() -> MagicPointStage:
    return MagicPointStage(CPU, 48, 64)


def test_an_interrupted_run_keeps_what_it_has_learnt(tmp_path):
    interrupted = stage()
    made, make = [], interrupted.make

    def until_ctrl_c(batch, rng):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(batch)
        return make(batch, rng)

    interrupted.make = until_ctrl_c
    with pytest.raises(KeyboardInterrupt):
        loop.train(interrupted, tmp_path, loop.LoopConfig(budget_s=60, batch=2))
    saved = torch.load(tmp_path / 'checkpoint.pt', weights_only=True)
    assert saved['step'] == 3
    assert all(torch.equal(saved['model'][name], tensor) for name, tensor in interrupted.model.state_dict().items())


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    loop.train(stage(), tmp_path, loop.LoopConfig(steps=1, batch=2))
    before = (tmp_path / 'checkpoint.pt').read_bytes()

    def full(content, path):
        path.write_bytes(b'half')
        raise RuntimeError('PytorchStreamWriter failed writing file')

    monkeypatch.setattr(torch, 'save', full)
    with pytest.raises(OSError, match=r'checkpoint\.pt cannot be written .* is the disk full'):
        loop.train(stage(), tmp_path, loop.LoopConfig(steps=2, batch=2))
    assert (tmp_path / 'checkpoint.pt').read_bytes() == before and not list(tmp_path.glob('*.partial'))


def test_the_command_begins_where_weights_are_and_leaves_figures_and_a_picture(tmp_path):
    arguments = ['train', 'magicpoint', '--batch', '2', '--steps', '1', '--device', 'cpu', '--out']
    assert main([*arguments, str(tmp_path / 'first')]) == 0
    assert main([*arguments, str(tmp_path / 'second'), '--start', str(tmp_path / 'first/model.safetensors')]) == 0
    header, row = (tmp_path / 'second/log.csv').read_text().splitlines()
    figures = dict(zip(header.split(','), map(float, row.split(','))))
    assert figures['step'] == 1 and figures['val_loss'] > 0
    picture = cv2.imread(str(tmp_path / 'second/validation.png'))
    assert picture.shape == (3 * (120 * 3 + 4), 4 * (160 * 3 + 4), 3)


@pytest.mark.parametrize(('given', 'expected'), [
    ({'budget_s': 100.0}, 0.3), ({'budget_s': 100.0, 'planned_s': 200.0}, 0.4), ({'steps': 40}, 0.25)])
def test_the_schedule_is_of_this_run_or_of_what_was_planned(tmp_path, given, expected):
    run = loop._Run(stage(), tmp_path, loop.LoopConfig(batch=2, **given))
    run.before, run.elapsed, run.step = 50.0, 80.0, 10
    assert run.done() == pytest.approx(expected)


def test_what_is_in_the_way_stays_as_it_was(tmp_path):
    loop.train(stage(), tmp_path, loop.LoopConfig(steps=1, batch=2))
    before = (tmp_path / 'config.json').read_text()
    loop.train(stage(), tmp_path, loop.LoopConfig(steps=1, batch=2))     # nothing left to do
    header, *rows = (tmp_path / 'log.csv').read_text().splitlines()
    assert [row.count(',') for row in rows] == [header.count(',')] * 2
    other = torch.load(tmp_path / 'checkpoint.pt', weights_only=True)
    for content, reason in (({**other, 'model': {}}, 'another architecture'), ({'a': 1}, 'no checkpoint'),
                            (None, 'is damaged')):
        if content is None:
            (tmp_path / 'checkpoint.pt').write_bytes(b'')
        else:
            torch.save(content, tmp_path / 'checkpoint.pt')
        with pytest.raises(ValueError, match=reason):
            loop.train(stage(), tmp_path, loop.LoopConfig(steps=9, batch=2))
        assert (tmp_path / 'config.json').read_text() == before


@pytest.mark.parametrize('name', ['superglue.safetensors', 'checkpoint.pt'])
def test_what_is_no_superpoint_is_no_start(tmp_path, capsys, name):
    torch.save({'rng': torch.zeros(3), 'model': {'weight': torch.zeros(1)}}, tmp_path / 'checkpoint.pt')
    start = checkpoint.shipped('superglue') if name == 'superglue.safetensors' else tmp_path / name
    assert main(['train', 'magicpoint', '--steps', '1', '--start', str(start), '--out', str(tmp_path / 'out')]) == 2
    assert 'is not a SuperPoint' in ' '.join(capsys.readouterr().err.split())


def test_a_gpu_that_is_not_there_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert main(['train', 'magicpoint', '--device', 'cuda', '--out', str(tmp_path)]) == 2
    assert 'no CUDA GPU' in capsys.readouterr().err


def test_labels_that_are_damaged_are_named(tmp_path):
    adaptation.save_labels(tmp_path / 'a.npz', [np.zeros((48, 64), np.uint8)], [np.zeros((2, 2))], ['a'])
    data = (tmp_path / 'a.npz').read_bytes()
    (tmp_path / 'a.npz').write_bytes(data[:len(data) // 2])
    with pytest.raises(ValueError, match=r'labels .*a\.npz cannot be read'):
        LabelledPhotos(tmp_path / 'a.npz', CPU)


def test_two_processes_of_torchrun_train_one_model(tmp_path):
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2',
               '-m', 'superslam_ros.offline.cli', 'train', 'magicpoint', '--batch', '4', '--out', str(tmp_path)]
    for steps in ('2', '3'):        # the second goes on where the first has stopped
        done = subprocess.run(
            [*command, '--steps', steps], env=environment, text=True, capture_output=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count('val_loss') == 1, done.stdout
    saved = torch.load(tmp_path / 'checkpoint.pt', weights_only=True)
    assert saved['step'] == 3
    alone = stage()
    loop.train(alone, tmp_path, loop.LoopConfig(steps=4, batch=2))     # one process goes on with it
    assert '"processes": 1' in (tmp_path / 'config.json').read_text()


def test_pictures_show_what_is_right_and_what_is_wrong():
    image = torch.full((1, 1, 24, 32), 0.5)
    ends = torch.tensor([[4.0, 4.0], [20.0, 16.0]])
    shown = pictures.matches(image, image, [ends], [ends], [torch.tensor([True, False])], columns=1, scale=2)
    assert shown.shape == (52, 132, 3)
    red, green = shown[..., 0].astype(int), shown[..., 1].astype(int)
    assert (green > red + 50)[:26].any() and not (green > red + 50)[27:].any()
    assert (red > green + 50)[27:].any() and not (red > green + 50)[:26].any()
    corners = pictures.corners(image.expand(3, -1, -1, -1), [ends] * 3, [ends[:1]] * 3, columns=2, scale=2)
    assert corners.shape == (104, 136, 3) and not corners[52:, 68:].any()


def test_labels_come_with_a_picture_and_a_count_of_what_was_skipped(tmp_path, capsys):
    photos = tmp_path / 'photos'
    photos.mkdir()
    for number, picture in enumerate(shapes.render(20, 64, 96, Rng(3)).images[:, 0]):
        cv2.imwrite(str(photos / f'{number}.png'), (picture * 255).byte().numpy())
    cv2.imwrite(str(photos / 'deep.png'), np.full((64, 96), 40000, np.uint16))
    cv2.imwrite(str(photos / 'tiny.png'), np.zeros((8, 8), np.uint8))
    (photos / 'damaged.jpg').write_bytes(b'no picture')
    arguments = ['train', 'label', '--images', str(photos), '--out', str(tmp_path / 'labels'), '--views', '2',
                 '--size', '64', '96', '--top', '20', '--device', 'cpu']
    assert main(arguments) == 0
    output = capsys.readouterr()
    skipped = [int(line.split()[-2]) for line in output.out.splitlines() if 'skipped' in line]
    assert sum(skipped) == 2
    (photos / 'more').mkdir()        # names may come again
    (photos / '1.png').rename(photos / 'more/2.png')
    assert main(arguments) == 0
    assert sum(int(line.split()[-2]) for line in capsys.readouterr().out.splitlines() if 'skipped' in line) == 2
    assert 'tiny.png' in output.err and 'damaged.jpg' in output.err and 'deep.png' not in output.err
    assert cv2.imread(str(tmp_path / 'labels/labels.png')) is not None
