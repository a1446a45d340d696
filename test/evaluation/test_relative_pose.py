import argparse
import json
import math
import struct

import cv2
import numpy as np
import pytest

from superslam_ros import worlds
from superslam_ros.cli.eval import pose as pose_cli
from superslam_ros.evaluation import measures, relative_pose
from superslam_ros.geometry import pose

K = np.array([[300.0, 0, 159.5], [0, 300, 119.5], [0, 0, 1]])


def line(a, b, T, turns=(0, 0)):
    numbers = ' '.join(str(float(value)) for value in (*K.ravel(), *K.ravel(), *T.ravel()))
    return f'{a} {b} {turns[0]} {turns[1]} {numbers}\n'


def test_pairs_are_read_and_a_damaged_line_is_named(tmp_path):
    T = pose.compose(pose.rotation_exp([0.1, 0.2, 0.3]), [1, 2, 3])
    path = tmp_path / 'pairs.txt'
    path.write_text(line('a.png', 'b.png', T, (0, 3)) + '\n')
    (pair,) = relative_pose.read_pairs(path)
    np.testing.assert_allclose(pair.T_1_0, T)
    assert (pair.path1, pair.turns1) == ('b.png', 3) and (pair.K0 == K).all()
    path.write_text(line('a.png', 'b.png', T) + 'c.png d.png 0 0 1 2 3\n')
    with pytest.raises(ValueError, match=r'pairs\.txt, line 2'):
        relative_pose.read_pairs(path)
    path.write_text('')
    with pytest.raises(ValueError, match='no pairs'):
        relative_pose.read_pairs(path)


@pytest.mark.parametrize('turns', range(4))
def test_turned_pixels_come_back(turns):
    image = np.arange(12).reshape(3, 4)
    turned = np.rot90(image, turns)
    y, x = np.mgrid[:turned.shape[0], :turned.shape[1]]
    back = relative_pose.turn_back(np.stack([x.ravel(), y.ravel()], 1), turns, (4, 3)).astype(int)
    assert (image[back[:, 1], back[:, 0]] == turned.ravel()).all()


def test_a_known_motion_is_found_among_outliers():
    rng = np.random.default_rng(0)
    T = pose.compose(pose.rotation_exp([0.05, -0.2, 0.1]), [0.8, 0.1, -0.2])
    points = rng.uniform([-2, -2, 3], [2, 2, 8], (200, 3))
    moved = pose.transform(T, points)
    rays0, rays1 = points[:, :2] / points[:, 2:], moved[:, :2] / moved[:, 2:]
    assert relative_pose.epipolar_distance(rays0, rays1, T).max() < 1e-12
    rays1[:60] += rng.uniform(0.1, 0.4, (60, 2))
    found = relative_pose.estimate(rays0, rays1, 1 / 300)
    rotation, translation = relative_pose.pose_error(found, T)
    assert rotation < 0.1 and translation < 0.3
    assert relative_pose.estimate(rays0[:4], rays1[:4], 1 / 300) is None
    assert relative_pose.pose_error(None, T) == (math.inf, math.inf)
    turned = pose.rotation_exp([0, 0, np.radians(7)]) @ T[:3, :3]
    across = np.cross(T[:3, 3], [0, 0, 1.0])
    assert relative_pose.pose_error((turned, across), T) == pytest.approx((7, 90))


def test_a_motion_of_centimetres_among_far_points_is_found():
    rng = np.random.default_rng(0)
    T = pose.compose(pose.rotation_exp([0.01, -0.02, 0.01]), [0.03, 0.003, -0.006])
    points = rng.uniform([-2, -2, 3], [2, 2, 8], (200, 3))
    moved = pose.transform(T, points)
    found = relative_pose.estimate(points[:, :2] / points[:, 2:], moved[:, :2] / moved[:, 2:], 1 / 500)
    rotation, translation = relative_pose.pose_error(found, T)
    assert rotation < 0.05 and translation < 0.5


def test_area_under_a_hand_made_curve():
    # One of two errors below 10: 0 to .5 linearly until 4, then .5: (4 * .25 + 6 * .5) / 10.
    assert measures.auc([4.0, 50.0], 10) == pytest.approx((4 * 0.25 + 6 * 0.5) / 10)
    assert measures.auc([0.0, 0.0], 5) == pytest.approx(1)
    assert measures.auc([math.inf], 5) == 0


def results(errors):
    return [relative_pose.PoseResult(error, 0.0, 1.0, 1.0, 9) for error in errors]


def test_lead_tells_a_difference_from_luck():
    rng = np.random.default_rng(0)
    errors = rng.exponential(5, 60)
    assert relative_pose.lead(results(errors), results(errors)) == (0, 0)
    lead, margin = relative_pose.lead(results(errors), results(errors + 2))
    assert lead == measures.auc(errors, 10) - measures.auc(errors + 2, 10) and 0 < margin < lead
    others = rng.exponential(5, (2, 60))
    lead, margin = relative_pose.lead(*map(results, others))
    # The area is about the mean of what an error leaves of the limit.
    spread = np.std(np.clip(others[0], 0, 10) - np.clip(others[1], 0, 10)) / 10
    assert abs(lead) < margin and margin == pytest.approx(1.96 * spread / 60**0.5, rel=0.15)
    # The same pairs in five orders tell no more than in one.
    again = relative_pose.lead(results(np.repeat(errors, 5)), results(np.repeat(errors + 2, 5)), orders=5)
    assert again == pytest.approx(relative_pose.lead(results(errors), results(errors + 2)), rel=0.1)


def test_command_on_rendered_views_one_of_them_on_its_side(tmp_path, capsys):
    world, camera = worlds.room_world(texels_per_metre=120), worlds.pinhole(320, 240)
    poses = worlds.demo_trajectory(60)[[0, 8]]
    for name, T in zip(('a.png', 'b.png'), poses):
        cv2.imwrite(str(tmp_path / name), worlds.render(world, camera, T, 1).image)
    T_1_0 = pose.inverse(poses[1]) @ poses[0]
    numbers = ' '.join(str(float(value)) for value in (*camera.K.ravel(), *camera.K.ravel(), *T_1_0.ravel()))
    (tmp_path / 'pairs.txt').write_text(f'a.png b.png 0 0 {numbers}\na.png b.png 0 1 {numbers}\n')
    parser = argparse.ArgumentParser()
    pose_cli.add(parser.add_subparsers())
    words = ['pose', tmp_path / 'pairs.txt', '--images', tmp_path, '--features', 'sift,orb', '--out', tmp_path]
    arguments = parser.parse_args([str(word) for word in words], argparse.Namespace(command_line=''))
    assert arguments.handler(arguments) == 0
    out = capsys.readouterr().out
    assert 'AUC 5 deg' in out and 'lead of sift' in out
    content = json.loads((tmp_path / 'pose.json').read_text())
    figures = content['sift']
    assert content['orb']['lead_of_first'] == pytest.approx(figures['auc_10'] - content['orb']['auc_10'], abs=1e-5)
    assert figures['auc_10'] > 0.3 and figures['precision'] > 0.5 and figures['rotation_5'] == 1
    assert sorted(path.name for path in tmp_path.glob('pair_*.jpg')) == ['pair_0001.jpg', 'pair_0002.jpg']
    assert cv2.imread(str(tmp_path / 'pair_0002.jpg')).shape == (2 * (320 + 22), 320 + 240, 3)
    (tmp_path / 'b.png').unlink()
    for picture in tmp_path.glob('*.jpg'):
        picture.unlink()
    with pytest.raises(ValueError, match=r'1 of 2 images do not exist, the first is .*b\.png'):
        arguments.handler(arguments)
    assert not list(tmp_path.glob('*.jpg'))     # said before the first pair
    with pytest.raises(ValueError, match='--size 0'):
        arguments.handler(parser.parse_args([*map(str, words), '--size', '0']))


def test_images_are_read_as_they_are_stored(tmp_path):
    image = np.zeros((48, 64), np.uint8)
    image[:10] = 255
    data = cv2.imencode('.jpg', image)[1].tobytes()
    # An Exif segment that says: turn me (tag 0x112, orientation 6).
    tiff = b'II*\0' + struct.pack('<IHHHIHHI', 8, 1, 0x112, 3, 1, 6, 0, 0)
    segment = b'Exif\0\0' + tiff
    (tmp_path / 'turned.jpg').write_bytes(
        data[:2] + b'\xff\xe1' + struct.pack('>H', len(segment) + 2) + segment + data[2:])
    assert cv2.imread(str(tmp_path / 'turned.jpg')).shape[:2] == (64, 48)
    assert relative_pose.read_image(tmp_path / 'turned.jpg').shape == (48, 64)


def test_without_a_baseline_matches_are_not_judged():
    rays = np.random.default_rng(0).uniform(-0.5, 0.5, (50, 2))
    result = relative_pose.measure(rays, rays, 500, np.eye(4), 100)
    assert math.isnan(result.precision) and math.isnan(result.matching_score) and result.matches == 50
    assert math.isnan(relative_pose.summarise([result])['precision'])
