"""``superslam charuco``: what it prints, where it writes, what it refuses, on rendered boards."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from superslam_ros import worlds
from superslam_ros.bags.calibration import read_camera
from superslam_ros.boards.board import Board
from superslam_ros.boards.files import read_boards
from superslam_ros.cli.main import main
from superslam_ros.geometry.pose import difference
from superslam_ros.worlds.boards import Placed, facing, photograph, render_boards

BOARD = Board('dock', 5, 7, 0.04, 0.03, 'DICT_6X6_250')
CAMERA, RIGHT = worlds.stereo_pair(320, 240, baseline_m=0.06)
POSES = [facing(BOARD, 0.36 + 0.02 * (n % 4), 0.3 + 0.05 * (n % 3), n * 2 * np.pi / 7, 0.1 * n,
                (0.03 * (n % 3 - 1), 0.02 * (n % 2))) for n in range(7)]


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Return a folder with boards.yaml and the images of both cameras of a pair, as left/ and right/."""
    path = tmp_path_factory.mktemp('boards')
    (path / 'boards.yaml').write_text(
        'boards:\n  dock: {squares_x: 5, squares_y: 7, square_m: 0.04, marker_m: 0.03, dictionary: DICT_6X6_250}\n')
    for side, camera, shift_m in (('left', CAMERA, 0.0), ('right', RIGHT, RIGHT.baseline_m)):
        (path / side).mkdir()
        for number, T in enumerate(POSES):
            moved = T.copy()
            moved[0, 3] -= shift_m
            image = photograph(render_boards(camera, [Placed(BOARD, moved)], 0.4, supersample=3).image, seed=number)
            cv2.imwrite(str(path / side / f'{number}.png'), image)
    return path


@pytest.fixture
def charuco(folder: Path, tmp_path: Path, capsys):
    """Return a function that runs a command on the boards of the folder: its status, and what it printed."""
    def run(*words, board: str = 'boards.yaml') -> tuple[int, str, str]:
        status = main(['charuco', *map(str, words), '--board', str(folder / board), '--out', str(tmp_path / 'out')])
        return status, *capsys.readouterr()

    return run


def test_detect(charuco, folder: Path, tmp_path: Path) -> None:
    images = tmp_path / 'images'
    images.mkdir()
    for number in (0, 3):
        (images / f'{number}.png').write_bytes((folder / f'left/{number}.png').read_bytes())
    cv2.imwrite(str(images / 'empty.png'), np.full((240, 320), 90, np.uint8))
    (images / 'torn.png').write_bytes(b'no picture')
    cv2.imwrite(str(images / 'large.png'), cv2.resize(cv2.imread(str(images / '0.png')), (640, 480)))
    write_info(tmp_path / 'camera.yaml')
    status, out, _ = charuco('detect', images, '--camera-info', tmp_path / 'camera.yaml')
    assert status == 0 and 'dock: in 3 of 5 images, with a pose in 2' in out
    entries = json.loads((tmp_path / 'out/detections.json').read_text())
    assert [Path(entry['image']).name for entry in entries] == ['0.png', '3.png', 'empty.png', 'large.png', 'torn.png']
    by_name = {Path(entry['image']).stem: entry for entry in entries}
    for number in (0, 3):
        board, = by_name[str(number)]['boards']
        assert board['name'] == 'dock' and 'reason' not in by_name[str(number)]
        T, ids = np.array(board['T_camera_board']), np.array(board['ids'])
        error = difference(T, POSES[number])
        assert np.linalg.norm(error[:3]) < 0.004 and np.linalg.norm(error[3:]) < np.radians(1)
        true = worlds.project(CAMERA, np.linalg.inv(POSES[number]), BOARD.corners_m()[ids])[0]
        np.testing.assert_allclose(board['pixels'], true, atol=0.5)
        assert len(ids) == len(set(ids)) == len(board['sigma_px']) > 20
    large, = by_name['large']['boards']
    assert 'T_camera_board' not in large and large['reason'] == 'the image is 640x480, its calibration 320x240'
    assert not by_name['empty']['boards'] and by_name['empty']['reason']
    assert by_name['torn'] == {'image': str(images / 'torn.png'), 'boards': [], 'reason': 'the image cannot be read'}
    assert {path.name for path in (tmp_path / 'out').glob('*.png')} == {
        '0.png.png', '3.png.png', 'empty.png.png', 'large.png.png'}
    assert cv2.imread(str(tmp_path / 'out/0.png.png')).shape == (240, 320, 3)


def test_a_board_of_another_size_is_named(charuco, folder: Path, tmp_path: Path) -> None:
    text = (folder / 'boards.yaml').read_text()
    (folder / 'wrong.yaml').write_text(text.replace('squares_x: 5, squares_y: 7', 'squares_x: 7, squares_y: 5'))
    status, out, _ = charuco('detect', folder / 'left/0.png', '--no-pictures', board='wrong.yaml')
    assert status == 0 and 'the board would fit dock with squares_x: 5, squares_y: 7' in out
    assert 'would fit' in charuco('calibrate', folder / 'left/0.png', board='wrong.yaml')[2]


def write_info(path: Path) -> None:
    from superslam_ros.bags.calibration import write_camera

    write_camera(path, CAMERA)


def test_detect_in_a_bag(charuco, folder: Path, bag, tmp_path: Path) -> None:
    for number in range(3):
        bag.image(number, cv2.imread(str(folder / f'left/{number}.png'), cv2.IMREAD_GRAYSCALE))
    status, out, _ = charuco('detect', bag.write(), '--no-pictures', '--every', '2')
    assert status == 0 and 'dock: in 2 of 2 images, with a pose in 0' in out
    entries = json.loads((tmp_path / 'out/detections.json').read_text())
    assert [Path(entry['image']).name for entry in entries] == ['bag:000000', 'bag:000002']
    assert 'has no camera_info on /cam/camera_info' in entries[0]['boards'][0]['reason']
    bag.info(1, CAMERA)
    bag.path = tmp_path / 'calibrated'
    assert charuco('detect', bag.write(), '--no-pictures')[0] == 0
    entries = json.loads((tmp_path / 'out/detections.json').read_text())
    assert [entry['stamp_ns'] for entry in entries] == [10**8, 2 * 10**8, 3 * 10**8]
    rows = np.loadtxt(tmp_path / 'out/dock.tum')
    np.testing.assert_allclose(rows[:, 0], [0.1, 0.2, 0.3])
    np.testing.assert_allclose(rows[:, 1:4], [T[:3, 3] for T in POSES[:3]], atol=0.005)
    assert not list((tmp_path / 'out').glob('*.png'))


def test_calibrate(charuco, folder: Path, tmp_path: Path) -> None:
    status, out, _ = charuco('calibrate', folder / 'left', '--name', 'front')
    assert status == 0 and 'front.yaml: 7 views of 7 images' in out
    camera = read_camera(tmp_path / 'out/front.yaml')
    assert camera.image_size == (320, 240) and camera.frame_id == 'front'
    assert camera.K[0, 0] == pytest.approx(CAMERA.K[0, 0], rel=0.03)
    about = json.loads((tmp_path / 'out/front.json').read_text())
    assert about['views'] == 7 and about['rms_px'] < 0.4 and about['held_out_px'] < 0.6
    assert cv2.imread(str(tmp_path / 'out/front.png')).shape[1] == 1500


def test_calibrate_a_pair(charuco, folder: Path, tmp_path: Path) -> None:
    status, out, _ = charuco('calibrate', folder / 'left', '--right', folder / 'right')
    assert status == 0 and 'pair: baseline 0.0' in out
    left, right = (read_camera(tmp_path / f'out/{name}.yaml') for name in ('left', 'right'))
    assert right.baseline_to(left) == pytest.approx(0.06, rel=0.03)
    np.testing.assert_allclose(left.P[:, :3], right.P[:, :3])


def test_a_pair_in_a_bag_of_which_one_camera_lost_images(charuco, folder: Path, bag, tmp_path: Path) -> None:
    for number in range(7):
        for side in ('left', 'right'):
            if (side, number) != ('right', 2):
                image = cv2.imread(str(folder / f'{side}/{number}.png'), cv2.IMREAD_GRAYSCALE)
                bag.image(number, image, f'/{side}/image_raw')
    status, out, err = charuco(
        'calibrate', bag.write(), '--image', '/left/image_raw', '--right-image', '/right/image_raw')
    assert status == 0 and 'from 6 pairs' in out, err
    left, right = (read_camera(tmp_path / f'out/{name}.yaml') for name in ('left', 'right'))
    assert right.baseline_to(left) == pytest.approx(0.06, rel=0.03)


def test_what_determines_no_camera_is_refused(charuco, folder: Path, tmp_path: Path) -> None:
    assert 'usable views of the board; 4 are needed' in charuco('calibrate', folder / 'left/0.png')[2]
    cv2.imwrite(str(tmp_path / 'small.png'), cv2.imread(str(folder / 'left/0.png'))[:200])
    assert 'must be of one camera' in charuco('calibrate', folder / 'left/0.png', tmp_path / 'small.png')[2]
    (tmp_path / 'flat').mkdir()
    for number in range(5):
        T = facing(BOARD, 0.4 + 0.03 * number, 0.0, 0.0, 0.2 * number)
        image = photograph(render_boards(CAMERA, [Placed(BOARD, T)], 0.4, supersample=2).image)
        cv2.imwrite(str(tmp_path / f'flat/{number}.png'), image)
    status, out, err = charuco('calibrate', tmp_path / 'flat')
    assert status == 2 and not out and ('tilt' in err) and not (tmp_path / 'out/camera.yaml').exists()


def test_a_board_to_print(tmp_path: Path, capsys) -> None:
    words = ['charuco', 'board', '--out', str(tmp_path), '--name', 'wall', '--squares', '6x4', '--legacy']
    assert main(words) == 0
    said = 'wall: 6x4 squares of 36 mm, markers 27 mm, DICT_5X5_100 from id 0, legacy pattern, on A4'
    assert said in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {'wall.svg', 'wall.pdf', 'wall.yaml'}
    assert read_boards(tmp_path / 'wall.yaml')['wall'] == Board('wall', 6, 4, 0.036, 0.027, 'DICT_5X5_100', legacy=True)
    assert main(['charuco', 'board', '--board', str(tmp_path / 'wall.yaml'), '--out', str(tmp_path / 'again')]) == 0
    assert (tmp_path / 'again/wall.svg').read_bytes() == (tmp_path / 'wall.svg').read_bytes()


def test_eval(charuco, folder: Path, tmp_path: Path) -> None:
    words = ['--degradations', 'original', 'motion-7', 'downscale-2']
    status, out, _ = charuco('eval', '--rendered', '1', '--false', '2', '--without', folder / 'left/1.png', *words)
    assert status == 0 and '1 rendered pictures of dock' in out and 'downscale-2' in out
    found = json.loads((tmp_path / 'out/eval.json').read_text())
    assert found['degradations']['original']['ours']['recall'] > 0.95
    assert found['degradations']['original']['ours']['median_px'] < 0.3
    assert found['poses']['original']['ours']['percent'] < 0.3
    assert all(one['wrong'] == 0 for scores in found['degradations'].values() for one in scores.values())
    assert cv2.imread(str(tmp_path / 'out/grid.png')) is not None
    # The board is in the one "without": it says so, and keeps the picture.
    assert {kind: (one['pictures'], one['found']['ours']) for kind, one in found['without'].items()} == {
        'all': (4, 2), 'other layouts': (1, 0), 'nothing': (1, 0), 'photographs': (2, 2)}
    assert out.count('the board is not in this picture, but found: photographs') == 2
    assert {path.name for path in (tmp_path / 'out').glob('false-*.png')} == {'false-0003.png', 'false-0004.png'}
    status, out, _ = charuco('eval', folder / 'left/0.png', '--degradations', 'original', '--false', '0')
    assert status == 0 and '1 photographs of dock' in out


@pytest.mark.parametrize('words, complaint', [
    (['detect', 'FOLDER/nowhere'], 'nowhere: no such image, folder or recording'),
    (['detect', 'FOLDER/empty'], 'holds no images'),
    (['detect', 'FOLDER/left', '--every', '0'], '--every 0'),
    (['detect', 'FOLDER/left', '--camera-info', 'FOLDER/boards.yaml'], 'image_width is missing'),
    (['eval', '--degradations', 'fog-3'], "degradation 'fog-3'"), (['eval', '--name', 'door'], 'has dock'),
])
def test_errors_are_one_line_and_status_2(charuco, folder: Path, words, complaint) -> None:
    (folder / 'empty').mkdir(exist_ok=True)
    status, out, err = charuco(*(word.replace('FOLDER', str(folder)) for word in words))
    assert status == 2 and err.startswith('superslam: ') and err.count('\n') == 1 and complaint in err, err
    assert not out


@pytest.mark.parametrize('words, complaint', [
    (['--square-m', '0.05'], 'take A3 or squares of'), (['--squares', '5'], '--squares 5'),
    (['--paper', 'B5'], 'expected A0'), (['--marker-m', '0.04'], 'marker_m'),
    (['--dictionary', 'DICT_5X5_10'], '5X5_100'),
])
def test_boards_that_cannot_be_printed_are_refused(tmp_path: Path, capsys, words, complaint) -> None:
    assert main(['charuco', 'board', '--out', str(tmp_path / 'out'), *words]) == 2
    assert complaint in capsys.readouterr().err and not (tmp_path / 'out').exists()


def test_the_camera_file_is_that_of_camera_info_manager(tmp_path: Path) -> None:
    write_info(tmp_path / 'camera.yaml')
    fields = yaml.safe_load((tmp_path / 'camera.yaml').read_text())
    assert fields['camera_matrix']['cols'] == 3 and fields['projection_matrix']['cols'] == 4
    assert len(fields['distortion_coefficients']['data']) == fields['distortion_coefficients']['cols'] == 5
    camera = read_camera(tmp_path / 'camera.yaml')
    np.testing.assert_allclose(camera.K, CAMERA.K)
