"""The networks for corners of boards learn, and are exported as what they compute."""

import cv2
import numpy as np
import pytest
import torch

from superslam_ros.boards.board import Board
from superslam_ros.cli.main import main
from superslam_ros.models import board_corners, board_refine, checkpoint
from superslam_ros.training import loop
from superslam_ros.training.data.board_scenes import BoardScenes, Scene
from superslam_ros.training.network import TrainableBoardCorners, TrainableBoardRefine
from superslam_ros.training.random import Rng
from superslam_ros.training.stages import charuco, charuco_refine

CPU = torch.device('cpu')


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for module in (charuco, charuco_refine):
        monkeypatch.setattr(module, '_VALIDATED', 8)


BOARD = Board('b', 4, 3, 0.04, 0.03, 'DICT_4X4_50')


def scenes(seed=0, board=None):
    return BoardScenes(np.random.default_rng(seed).integers(0, 256, (2, 96, 128), np.uint8), 96, 64, board)


def stage(kind, board=None):
    torch.manual_seed(0)
    return kind(scenes(board=board), scenes(1, board), CPU)


class Known:
    """Scenes of corners that are known."""

    def __init__(self, corners):
        self.corners = np.array(corners, float).reshape(-1, 2)

    def draw(self, rng):
        return Scene(np.zeros((16, 24), np.uint8), self.corners, np.arange(len(self.corners)) + 5)


def test_a_cell_holds_the_pixel_of_its_corner_or_none():
    made = charuco.draw(Known([(3.4, 5.6), (17.0, 8.0)]), 1, np.random.default_rng(0), CPU)
    cells = made.cells[0]
    assert made.ids[0].tolist() == [[5, -1, -1], [-1, -1, 6]]
    assert cells.shape == (65, 2, 3)
    assert torch.equal(cells.sum(0), torch.ones(2, 3))
    assert cells[6 * 8 + 3, 0, 0] == 1 and cells[0 * 8 + 1, 1, 2] == 1
    assert cells[64].tolist() == [[0, 1, 1], [1, 1, 0]]


def test_two_corners_of_a_cell_are_equally_likely():
    cells = charuco.draw(Known([(1, 1), (6, 1)]), 1, np.random.default_rng(0), CPU).cells[0, :, 0, 0]
    assert cells[8 + 1] == cells[8 + 6] == 0.5 and cells.sum() == 1


@pytest.mark.parametrize('kind, board, steps, rate', [
    (charuco.CharucoStage, None, 15, 4e-3), (charuco.CharucoStage, BOARD, 15, 4e-3),
    (charuco_refine.CharucoRefineStage, None, 40, 1e-3)])
def test_a_stage_learns(tmp_path, kind, board, steps, rate):
    one = stage(kind, board)
    batch = one.make(4, Rng(0))
    before, parts = one.loss(batch)
    before = before.item()
    one.make = lambda count, rng: batch
    figures = loop.train(one, tmp_path, loop.LoopConfig(steps=steps, batch=4, warmup_steps=2, learning_rate=rate))
    one.model.train()
    after, parts_after = one.loss(batch)
    assert after.item() < 0.8 * before
    assert all(np.isfinite(value) for value in figures.values())
    if board:
        assert parts_after['ids'] < 0.8 * parts['ids']
        saved = checkpoint.load_like(board_corners.BoardCorners, tmp_path / 'model.safetensors')
        assert saved.ids == 6 and 'val_ids' in figures
        assert saved.identify(saved.encode(batch.images)).shape == (4, 7, 8, 12)


@pytest.mark.parametrize('trained, module, inputs', [
    (TrainableBoardCorners, board_corners.BoardCorners, torch.rand(3, 1, 32, 48)),
    (TrainableBoardRefine, board_refine.BoardRefine, torch.rand(6, 1, 24, 24))])
def test_the_folded_network_computes_the_same(trained, module, inputs):
    torch.manual_seed(0)
    network, plain = trained(), module()
    network.train()(inputs)                         # statistics that are not the initial ones
    plain.load_state_dict(network.folded())
    with torch.no_grad():
        ours, theirs = network.eval()(inputs), plain.eval()(inputs)
    for a, b in zip(*((out if isinstance(out, tuple) else (out,)) for out in (ours, theirs))):
        assert torch.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize('kind, network', [(charuco.CharucoStage, board_corners.BoardCorners),
                                           (charuco_refine.CharucoRefineStage, board_refine.BoardRefine)])
def test_a_network_can_go_on_from_exported_weights(tmp_path, kind, network):
    loop.train(stage(kind), tmp_path, loop.LoopConfig(steps=4, batch=2))
    exported = checkpoint.load_like(network, tmp_path / 'model.safetensors')
    torch.manual_seed(1)
    on = kind(scenes(), scenes(1), CPU, start=tmp_path / 'model.safetensors')
    held_out = on._held_out[0]
    images = getattr(held_out, 'images', held_out)
    with torch.no_grad():
        ours, theirs = on.model.eval()(images), exported(images)
    for a, b in zip(*((out if isinstance(out, tuple) else (out,)) for out in (ours, theirs))):
        assert torch.allclose(a, b, atol=0.05)


def test_patches_say_where_their_corner_is(monkeypatch):
    """The middle of a patch and its offset lead back to the corner: cut again there, the offset is nothing."""
    y, x = np.mgrid[:64, :96]
    image = (2 * x + y // 2).astype(np.uint8)       # a place is known by its gray value
    corners = np.array([[30.0, 30.0], [50.0, 30.0], [30.0, 44.0]])
    monkeypatch.setattr(charuco_refine, 'ABSENT', 0.0)
    made = charuco_refine._patches(image, corners, np.random.default_rng(3), CPU)
    value = made.images[:, 0, 11:13, 11:13].mean((1, 2)) * 255
    slope = torch.tensor([2.0, 0.5])
    at_corner = value + (made.offsets * made.steps[:, None] * slope).sum(1)
    true = torch.tensor(corners).float() @ slope
    assert made.there.sum() == 3
    assert ((at_corner[:, None] - true).abs().min(1).values < 1.0).all()


def test_the_commands_train(tmp_path):
    (tmp_path / 'photos').mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        cv2.imwrite(str(tmp_path / 'photos' / f'{number}.png'), rng.integers(0, 256, (100, 120), np.uint8))
    for name in ('charuco', 'charuco-refine'):
        out = tmp_path / name
        assert main(['train', name, '--images', str(tmp_path / 'photos'), '--steps', '1', '--batch', '2', '--out',
                     str(out), '--device', 'cpu']) == 0
        assert (out / 'model.safetensors').stat().st_size < 5e6 and (out / 'validation.png').exists()
