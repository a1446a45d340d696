"""The training loop: killed runs, full disks, pictures, several processes."""

import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from superslam_ros.cli.main import main
from superslam_ros.models import checkpoint
from superslam_ros.training import loop, pictures, workers
from superslam_ros.training.data import shapes
from superslam_ros.training.data.pairs import LabelledPhotos
from superslam_ros.training.random import Rng
from superslam_ros.training.stages import adaptation
from superslam_ros.training.stages.magicpoint import MagicPointStage

CPU = torch.device('cpu')


def stage() -> MagicPointStage:
    return MagicPointStage(CPU, 48, 64)


def saved(folder):
    return torch.load(folder / 'checkpoint.pt', weights_only=True)


def in_step(one, number, act):
    """Let a stage do something in the midst of a step."""
    count, loss = [], one.loss

    def acting(made):
        count.append(loss(made))
        return act(count[-1]) if len(count) == number else count[-1]

    one.loss = acting
    return one


@pytest.mark.usefixtures('either_precision')
def test_a_run_that_is_interrupted_in_a_step_and_goes_on_is_the_same_run(tmp_path):
    config = loop.LoopConfig(steps=4, batch=2)
    torch.manual_seed(0)
    loop.train(stage(), tmp_path / 'straight', config)
    for number, folder in ((signal.SIGINT, 'ctrl_c'), (signal.SIGTERM, 'terminated')):
        torch.manual_seed(0)
        before = signal.getsignal(number)
        with pytest.raises(KeyboardInterrupt):
            loop.train(in_step(stage(), 3, lambda made, number=number: signal.raise_signal(number) or made),
                       tmp_path / folder, config)
        assert signal.getsignal(number) == before and saved(tmp_path / folder)['step'] == 3
        loop.train(stage(), tmp_path / folder, config)
        one, other = saved(tmp_path / 'straight'), saved(tmp_path / folder)
        assert torch.equal(one['rng'], other['rng'])
        assert all(torch.equal(one[part][name], tensor) for part in ('model', 'average')
                   for name, tensor in other[part].items())


def test_an_interrupt_does_not_wait_for_a_validation(tmp_path):
    interrupted = stage()
    interrupted.validate = lambda: signal.raise_signal(signal.SIGINT) or pytest.fail('it went on')
    with pytest.raises(KeyboardInterrupt):
        loop.train(interrupted, tmp_path, loop.LoopConfig(steps=2, batch=2))
    assert not (tmp_path / 'model.safetensors').exists() and saved(tmp_path)['step'] == 2
    assert all(torch.equal(saved(tmp_path)['model'][name], tensor)
               for name, tensor in interrupted.model.state_dict().items())
    loop.train(stage(), tmp_path, loop.LoopConfig(steps=2, batch=2))
    assert (tmp_path / 'model.safetensors').exists()


def test_a_second_interrupt_does_not_wait(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(workers.time, 'monotonic', lambda: now[0])
    with workers.Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        now[0] = 0.5
        signal.raise_signal(signal.SIGTERM)     # torchrun hands it on
        assert interrupt.asked
        now[0] = 2.0
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interrupt.at_once():
        pytest.fail('it began')


def test_steps_that_are_no_numbers_are_counted_and_left_out(tmp_path):
    figures = {}
    for steps, bad, skipped in ((1, 1, 1), (4, 2, 2), (6, 0, 2)):       # the first of a run, one within, none
        loop.train(in_step(stage(), bad, lambda made: (made[0] * math.nan, made[1])), tmp_path,
                   loop.LoopConfig(steps=steps, batch=2))
        header, *_, row = (tmp_path / 'log.csv').read_text().splitlines()
        figures = dict(zip(header.split(','), row.split(',')))
        assert int(figures['skipped']) == skipped
        (tmp_path / 'log.csv').unlink()
    assert math.isfinite(float(figures['loss']))


def test_steps_alone_have_no_budget_and_a_budget_says_how_far_it_went(tmp_path, caplog):
    assert loop.LoopConfig(steps=9).limit_s == math.inf and loop.LoopConfig().limit_s == 600
    loop.train(stage(), tmp_path, loop.LoopConfig(steps=10**6, budget_s=0.01, batch=2))
    assert f'stopped at step {saved(tmp_path)["step"]} of 1000000' in caplog.text and 'goes on' in caplog.text


@pytest.mark.parametrize(('loading', 'validation', 'steps', 'ends'), [
    (20, 5, 30, 60), (20, 19, 21, 60), (55, 2, 3, 60), (70, 5, 0, 75), (0, 0.1, 60, 60)])
def test_a_budget_is_of_the_whole_command(tmp_path, monkeypatch, caplog, loading, validation, steps, ends):
    """Seconds by a clock that only steps (1 s) and validations move."""
    clock, trained = SimpleNamespace(now=1000.0), stage()
    monkeypatch.setattr(loop, 'time', SimpleNamespace(monotonic=lambda: clock.now))
    make = trained.make

    def pass_time(seconds, result):
        clock.now += seconds
        return result

    trained.make = lambda *given: pass_time(1, make(*given))
    trained.validate = lambda: pass_time(validation, {'val_loss': 1.0})
    clock.now += loading
    loop.train(trained, tmp_path, loop.LoopConfig(budget_s=60, batch=1), began=1000.0)
    assert saved(tmp_path)['step'] == pytest.approx(steps, abs=1)
    assert clock.now - 1000 == pytest.approx(ends, abs=1.5)
    assert ('no step: the budget of 60 s was spent' in caplog.text) == (steps == 0)


def test_others_may_read_what_a_run_writes(tmp_path):
    before = os.umask(0o022)
    try:
        loop.train(stage(), tmp_path, loop.LoopConfig(steps=1, batch=1))
    finally:
        os.umask(before)
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == dict.fromkeys(
        ('checkpoint.pt', 'config.json', 'log.csv', 'model.safetensors', 'validation.png'), '0o644')


def test_a_checkpoint_of_another_kind_of_device_goes_on_with_new_random_numbers(tmp_path, caplog):
    loop.train(stage(), tmp_path, loop.LoopConfig(steps=1, batch=2))
    torch.save({**saved(tmp_path), 'rng': torch.zeros(16, dtype=torch.uint8)}, tmp_path / 'checkpoint.pt')   # CUDA's
    run = loop._Run(stage(), tmp_path, loop.LoopConfig(batch=2))
    begun = run.rng.generator.get_state()
    run.resume()
    assert run.step == 1 and not torch.equal(run.rng.generator.get_state(), begun)
    assert 'another kind of device' in caplog.text


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
    other, data = saved(tmp_path), bytearray((tmp_path / 'checkpoint.pt').read_bytes())
    data[len(data) // 2] ^= 1
    for content, reason in (
            ({**other, 'model': {}}, 'another architecture'), ({**other, 'average': {}}, 'another architecture'),
            ({**other, 'optimiser': {}}, 'another architecture'), ({'a': 1}, 'no checkpoint'), (3, 'no checkpoint'),
            (dict.fromkeys(other, 1), 'no checkpoint'), (b'', 'is damaged'), (data, 'is damaged .*checksum')):
        if isinstance(content, (bytes, bytearray)):
            (tmp_path / 'checkpoint.pt').write_bytes(content)
        else:
            torch.save(content, tmp_path / 'checkpoint.pt')
        with pytest.raises(ValueError, match=reason):
            loop.train(stage(), tmp_path, loop.LoopConfig(steps=9, batch=2))
        assert (tmp_path / 'config.json').read_text() == before


def test_weights_with_a_wrong_checksum_are_no_start(tmp_path):
    torch.save({'weight': torch.zeros(1000)}, tmp_path / 'flipped.pth')
    data = bytearray((tmp_path / 'flipped.pth').read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / 'flipped.pth').write_bytes(data)
    with pytest.raises(ValueError, match=r'flipped\.pth cannot be read: .*checksum'):
        checkpoint.load_state(tmp_path / 'flipped.pth')


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
    np.save(tmp_path / 'array.npy', np.zeros(3))
    np.savez(tmp_path / 'flat.npz', images=np.zeros(3), points=np.zeros(3))
    for name in ('a.npz', 'array.npy', 'flat.npz'):
        with pytest.raises(ValueError, match=rf'labels .*{name} cannot be read'):
            LabelledPhotos(tmp_path / name, CPU)


def test_views_that_are_too_small_are_refused(tmp_path, capsys):
    assert main(['train', 'superpoint', '--labels', str(tmp_path), '--view', '16', '16', '--out', str(tmp_path)]) == 2
    assert '--view 16 16: both must be multiples of 8, and 64 or more' in capsys.readouterr().err


def torchrun(*arguments):
    """Run a module in two processes, one of the tests' or another, and return what they print."""
    paths = [str(Path(__file__).parents[1]), os.environ.get('PYTHONPATH')]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': '',
                   'PYTHONPATH': os.pathsep.join(filter(None, paths))}
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2', '-m']
    done = subprocess.run([*command, *map(str, arguments)], env=environment, text=True, capture_output=True,
                          timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_processes_train_one_model_and_one_goes_on_with_it(tmp_path):
    assert torchrun(f'{__package__}.together', tmp_path).count('val_loss') == 1      # the first validates, and writes
    assert '"processes": 2' in (tmp_path / 'config.json').read_text() and saved(tmp_path)['step'] == 2
    loop.train(stage(), tmp_path, loop.LoopConfig(steps=3, batch=2))
    assert '"processes": 1' in (tmp_path / 'config.json').read_text() and saved(tmp_path)['step'] == 3


@pytest.mark.long
def test_torchrun_of_the_command_goes_on_where_it_has_stopped(tmp_path):
    for steps in ('2', '3'):
        output = torchrun('superslam_ros.cli.main', 'train', 'magicpoint', '--batch', '4', '--steps', steps,
                          '--out', tmp_path)
        assert output.count('val_loss') == 1, output
        assert saved(tmp_path)['step'] == int(steps)


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


def test_labelling_that_was_cut_short_goes_on_where_it_was(tmp_path, monkeypatch):
    photos = tmp_path / 'photos'
    photos.mkdir()
    for number, picture in enumerate(shapes.render(20, 128, 160, Rng(3)).images[:, 0]):
        cv2.imwrite(str(photos / f'{number}.png'), (picture * 255).byte().numpy())
    calls, label = [], adaptation.label

    def counted(*arguments):
        calls.append(1)
        if len(calls) == most:
            raise KeyboardInterrupt
        return label(*arguments)

    def run(name, top='20'):
        calls.clear()
        return main(['train', 'label', '--images', str(photos), '--out', str(tmp_path / name), '--views', '1',
                     '--size', '64', '80', '--crops', '1', '--top', top, '--device', 'cpu'])

    monkeypatch.setattr(adaptation, 'label', counted)
    most = 0
    assert run('straight') == 0 and len(calls) == 40
    most = 30
    assert run('cut') == 130
    most = 0
    assert run('cut') == 0 and len(calls) == 12         # the crop of the one that was begun, too
    assert not (tmp_path / 'cut/parts').exists()
    for name in ('train.npz', 'held_out.npz'):
        with np.load(tmp_path / 'straight' / name) as one, np.load(tmp_path / 'cut' / name) as other:
            assert all(np.array_equal(one[key], other[key], equal_nan=key == 'points') for key in one.files)
    most = 30
    assert run('other') == 130
    most = 0
    assert run('other', top='10') == 0 and len(calls) == 40     # what was labelled otherwise is of no use


@pytest.mark.parametrize(('options', 'said'), [
    (['--out', 'taken'], '--out taken: no folder that can be written to (File exists)'),
    (['--out', 'run', '--start', 'magikpoint'], 'magikpoint does not exist (shipped weights: '),
    (['--out', 'run', '--teacher', 'superglue'], 'superglue.safetensors is not a SuperPoint: ')])
def test_what_cannot_be_is_said_before_photographs_are_read(tmp_path, monkeypatch, capsys, options, said):
    """Which takes minutes; weights are named as everywhere."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'taken').touch()
    cv2.imwrite('a.png', np.zeros((64, 64), np.uint8))
    cv2.imwrite('b.png', np.zeros((64, 64), np.uint8))
    assert main(['train', 'compact', '--images', '.', '--pairs', '8', *options]) == 2
    assert said in capsys.readouterr().err
