import argparse
import json
import math

import cv2
import numpy as np
import pytest

from superslam_ros.cli import eval as cli
from superslam_ros.evaluation import baselines, homography, sequences


def run(*words):
    parser = argparse.ArgumentParser()
    cli.add_subcommands(parser.add_subparsers())
    arguments = parser.parse_args([str(word) for word in words], argparse.Namespace(command_line=''))
    return arguments.handler(arguments)


@pytest.mark.parametrize('name', ['orb', 'sift'])
def test_the_same_image_twice_is_perfect(name, picture):
    image = picture(320, 240)
    pair = sequences.Pair('same', image, image, np.eye(3))
    result, matches = homography.evaluate_pair(homography.FrontEnd(name), pair)
    assert result.repeatability == result.repeatability_full == 1
    assert result.localisation_px == 0 and result.corner_error_px < 1e-3
    assert result.precision > 0.98 and result.descriptor_map > 0.95 and result.recall > 0.95
    assert result.matches == len(matches) > 100


def test_a_known_shift_is_found_and_its_border_does_not_count(picture):
    wide = picture(400, 240)
    H = np.array([[1.0, 0, -80], [0, 1, 0], [0, 0, 1]])
    pair = sequences.Pair('shift', wide[:, :320].copy(), wide[:, 80:].copy(), H)
    result, _ = homography.evaluate_pair(homography.FrontEnd('sift'), pair)
    assert result.repeatability > 0.85 and result.matching_score > 0.8 and result.corner_error_px < 0.2


def test_nothing_to_see_is_zero_and_no_error():
    blank = np.zeros((120, 160), np.uint8)
    pair = sequences.Pair('blank', blank, blank, np.eye(3))
    result, _ = homography.evaluate_pair(homography.FrontEnd('orb'), pair)
    assert math.isinf(result.corner_error_px) and result.matches == 0
    summary = homography.summarise([result])
    assert summary['repeatability'] == summary['homography_5px'] == summary['auc_dlt'] == summary['recall'] == 0
    assert math.isnan(summary['localisation_px'])
    assert homography.plain(summary)['localisation_px'] is None


def test_homographies_are_judged_in_several_orders_of_the_matches(picture):
    views = next(sequences.random_views(picture(), 'p', 1, np.random.default_rng(1)))
    result, _ = homography.evaluate_pair(homography.FrontEnd('orb'), views)
    errors = result.corner_errors_px
    assert len(set(errors)) == homography.ORDERS == len(errors)
    assert result == homography.evaluate_pair(homography.FrontEnd('orb'), views)[0]
    result.corner_errors_px = (0.5, *[2.0] * 9)
    summary = homography.summarise([result])
    assert (summary['homography_1px'], summary['homography_3px']) == (0.1, 1)
    assert homography.as_json({'orb': {'p': result}})['pairs']['orb']['p']['corner_errors_px'] == [0.5, *[2.0] * 9]


def test_the_ratio_test_gives_fewer_and_surer_matches(picture):
    views = next(sequences.random_views(picture(), 'p', 1, np.random.default_rng(1)))
    plain, tested = (homography.evaluate_pair(homography.FrontEnd(name), views)[0] for name in ('sift', 'sift-ratio'))
    assert 20 < tested.matches < plain.matches and tested.precision > plain.precision
    with pytest.raises(ValueError, match='surf'):
        homography.FrontEnd('surf-ratio')


def test_front_ends_that_share_an_extractor_extract_once(picture, monkeypatch):
    asked = []
    make = baselines.make_extractor

    def counting(name, config):
        extractor = make(name, config)
        return lambda image: asked.append(image.shape) or extractor(image)

    monkeypatch.setattr(baselines, 'make_extractor', counting)
    shared: dict = {}
    ends = [homography.FrontEnd(name, shared=shared) for name in ('sift', 'sift-ratio')]
    pairs = list(sequences.random_views(picture(), 'p', 2, np.random.default_rng(1)))
    together = [found for _, found in homography.evaluate(ends, pairs)]
    assert len(asked) == 8      # two images of two sizes, twice
    alone = [found for _, found in homography.evaluate([homography.FrontEnd('sift-ratio')], pairs)]
    assert [found['sift-ratio'][0] for found in together] == [found['sift-ratio'][0] for found in alone]


def test_names_that_come_twice_are_told_apart(picture, tmp_path):
    for folder in 'ab':
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / 'same.png'), picture(320, 240))
    assert run('homography', tmp_path / 'a', tmp_path / 'b', '--random', 1, '--features', 'orb', '--out', tmp_path) == 0
    assert len(list(tmp_path.glob('*.jpg'))) == 2
    content = json.loads((tmp_path / 'homography.json').read_text())
    assert content['summary']['orb']['pairs'] == 2 and list(content['pairs']['orb']) == ['same 1', 'same 1 (2)']


def test_shrinking_keeps_the_homography_exact(picture):
    H = np.array([[1.0, 0, 7], [0, 1, -3], [0, 0, 1]])
    pair = sequences.Pair('p', picture(1280, 960), picture(800, 960), H)
    small = pair.fitted((320, 240))
    assert small.image0.shape == (240, 320) and small.image1.shape == (240, 200)
    # The corner of image 0's first pixel (-.5, -.5) goes where it went before.
    corner = small.H_1_0 @ [-0.5, -0.5, 1]
    np.testing.assert_allclose(corner, [7 / 4 - 0.5, -3 / 4 - 0.5, 1])
    assert pair.fitted((5000, 5000)).image0 is pair.image0


@pytest.mark.parametrize(
    ('image', 'matrix'), [('{}.ppm', 'H_1_{}'), ('img{}.png', 'H1to{}p'), ('{}.png', 'H_1_{}')])
def test_layouts(tmp_path, image, matrix, picture):
    folder = tmp_path / 'scene'
    folder.mkdir()
    for number in (1, 2, 3):
        cv2.imwrite(str(folder / image.format(number)), np.dstack([picture(seed=number)] * 3))
    for number in (2, 3):
        np.savetxt(folder / matrix.format(number), np.diag([1.0, 1, number]))
    assert sequences.find_sequences([tmp_path]) == [folder]
    pairs = list(sequences.read_sequence(folder))
    assert [pair.name for pair in pairs] == ['scene 1-2', 'scene 1-3']
    assert pairs[1].H_1_0[2, 2] == 3 and (pairs[1].image1 == picture(seed=3)).all()
    (folder / matrix.format(2)).write_text('1 2 3')
    with pytest.raises(ValueError, match='nine numbers'):
        list(sequences.read_sequence(folder))
    (folder / matrix.format(2)).unlink()
    with pytest.raises(ValueError, match='image 2'):
        list(sequences.read_sequence(folder))
    (folder / matrix.format(3)).unlink()
    np.testing.assert_array_equal(next(sequences.read_sequence(folder)).H_1_0, np.eye(3))
    with pytest.raises(FileNotFoundError, match='HPatches'):
        sequences.find_sequences([tmp_path / 'none'])


def test_random_views_are_what_their_homography_says(picture):
    views = list(sequences.random_views(picture(1000, 600), 'p', 3, np.random.default_rng(4)))
    again = list(sequences.random_views(picture(1000, 600), 'p', 3, np.random.default_rng(4)))
    for view, same in zip(views, again):
        assert view.image0.shape == view.image1.shape == (480, 640)
        assert (view.image1 == same.image1).all()
        back = sequences.warp_image(view.image1, np.linalg.inv(view.H_1_0), (640, 480))
        seen = sequences.warp_image(np.full_like(back, 255), np.eye(3), (640, 480)) > 0
        inside = cv2.warpPerspective(np.full_like(back, 255), np.linalg.inv(view.H_1_0), (640, 480)) > 254
        assert seen.all() and inside.mean() > 0.1
        assert np.abs(back.astype(int) - view.image0)[inside].mean() < 12


def test_command(tmp_path, capsys, picture):
    folder = tmp_path / 'rest'
    folder.mkdir()
    for number in (1, 2):
        cv2.imwrite(str(folder / f'img{number}.png'), picture(320, 240))
    out = tmp_path / 'out'
    assert run('homography', folder, '--features', 'orb,sift', '--out', out) == 0
    assert 'homography within 3 px' in capsys.readouterr().out
    content = json.loads((out / 'homography.json').read_text())
    assert content['summary']['sift']['homography_1px'] == 1
    assert content['pairs']['orb']['rest 1-2']['repeatability'] == 1
    assert content['summary']['sift']['auc_ransac'] > 0.99
    assert 0 < content['calibration']['sift']['error'] < 0.2
    assert cv2.imread(str(out / 'rest_1-2.jpg')).shape == (2 * (240 + 22), 640, 3)
    first = (out / 'homography.json').read_bytes()
    assert run('homography', folder, '--features', 'orb,sift', '--out', out) == 0
    assert (out / 'homography.json').read_bytes() == first
    with pytest.raises(ValueError, match='surf'):
        run('homography', folder, '--features', 'surf')


def test_superglue_by_its_threshold(tmp_path, picture):
    for number in (1, 2):
        cv2.imwrite(str(tmp_path / f'img{number}.png'), picture(320, 240))
    found = []
    for threshold in ('0.2', '0.99'):
        assert run('homography', tmp_path, '--features', 'superglue', '--match-threshold', threshold,
                   '--out', tmp_path / threshold) == 0
        found.append(json.loads((tmp_path / threshold / 'homography.json').read_text())['summary']['superglue'])
    assert found[0]['matches'] > found[1]['matches'] > 0
    with pytest.raises(ValueError, match='match_threshold'):
        run('homography', tmp_path, '--features', 'superglue', '--match-threshold', '1.2')


def test_command_on_photographs(tmp_path, capsys, picture):
    for number in (1, 2):
        cv2.imwrite(str(tmp_path / f'photo{number}.png'), picture(seed=number))
    (tmp_path / 'broken.jpg').write_bytes(b'no image')
    assert run('homography', tmp_path, '--random', 1, '--features', 'sift', '--seed', 3) == 0
    assert '2 pairs' in capsys.readouterr().out
    for number in (1, 2):
        (tmp_path / f'photo{number}.png').write_bytes(b'no image either')
    for words in (['homography', tmp_path, '--random', 1], ['sweep', tmp_path]):
        with pytest.raises(ValueError, match='no readable'):
            run(*words, '--features', 'orb')
    with pytest.raises(ValueError, match='threshold'):
        run('sweep', tmp_path, '--features', 'orb', '--threshold', 2)


def test_sweep_command(tmp_path, capsys, picture):
    cv2.imwrite(str(tmp_path / 'photo.png'), picture(320, 240))
    assert run('sweep', tmp_path, '--features', 'orb', '--out', tmp_path / 'out') == 0
    assert 'rotation: matching score' in capsys.readouterr().out
    content = json.loads((tmp_path / 'out' / 'sweep.json').read_text())
    assert content['rotation']['orb']['45']['pairs'] == 1


@pytest.mark.parametrize(('name', 'step'), [('orb', 1.2), ('sift', 2.0)])
def test_keypoints_of_smaller_copies_of_the_image_say_so(picture, name, step):
    levels = np.log(baselines.make_extractor(name)(picture(640, 480)).scales) / np.log(step)
    np.testing.assert_allclose(levels, levels.round(), atol=1e-4)
    assert levels.min() == 0 and 2 < levels.max() < 8
