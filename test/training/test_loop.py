"""The training loop: killed runs, full disks, pictures, several processes."""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from superslam_ros.offline.cli import main
from superslam_ros.training import loop, pictures, shapes
from superslam_ros.training.magicpoint import MagicPointStage
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
    assert 'tiny.png' in output.err and 'damaged.jpg' in output.err and 'deep.png' not in output.err
    assert cv2.imread(str(tmp_path / 'labels/labels.png')) is not None
