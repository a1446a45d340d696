"""Images of a bag as files, and training on them."""

import cv2
import numpy as np
import pytest

from superslam_ros.bags import bag
from superslam_ros.bags.reader import BagFrames
from superslam_ros.cli.main import main
from superslam_ros.inputs import extract_images
from superslam_ros.training.data import photos


def test_images_are_those_of_the_bag_and_scenes_are_held_out_whole(demo_bag, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('superslam_ros.inputs.extract_images.SCENE', 4)
    assert main(['bag', 'images', str(demo_bag.bag), '--out', str(tmp_path), '--every', '2']) == 0
    assert '10 images' in capsys.readouterr().out
    paths = photos.find([tmp_path])
    with bag.open_bag(demo_bag.bag) as reader:
        frames = [recorded.frame.image for recorded in BagFrames(reader)]
    assert all(np.array_equal(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), frame)
               for path, frame in zip(paths, frames[::2], strict=True))
    rows = [line.split('\t') for line in (tmp_path / 'SOURCES.tsv').read_text().splitlines()[1:]]
    assert [scene[-1] for _, scene in rows] == list('0000111122')
    training, held_out = photos.split(paths)
    scenes = dict(rows)
    assert not {scenes[path.name] for path in training} & {scenes[path.name] for path in held_out}
    assert main(['bag', 'images', str(demo_bag.bag), '--out', str(tmp_path)]) == 2      # another bag's, or licences
    assert 'SOURCES.tsv is there already' in capsys.readouterr().err
    assert len(photos.find([tmp_path])) == 10


@pytest.mark.parametrize('options, message', [
    (['--image', '/nothing'], '/nothing'), (['--every', '0'], '--every 0: must be 1 or more')])
def test_what_cannot_be_is_named(demo_bag, tmp_path, capsys, options, message):
    assert main(['bag', 'images', str(demo_bag.bag), '--out', str(tmp_path), *options]) == 2
    assert message in capsys.readouterr().err


def test_training_takes_a_bag_and_makes_its_images_files_once(demo_bag, tmp_path, capsys):
    arguments = ['train', 'label', '--images', str(demo_bag.bag), '--out', str(tmp_path), '--views', '1',
                 '--size', '64', '64', '--top', '10', '--device', 'cpu']
    for said in (1, 0):
        assert main(arguments) == 0         # of one short recording, too, a part is held out
        output = capsys.readouterr().out
        assert output.count(f'20 images in {tmp_path / "images" / demo_bag.bag.name}') == said
        assert 'held_out: 7 images of 7' in output or 'held_out: 6 images of 6' in output
    assert main([*arguments, '--images', str(demo_bag.bag), str(demo_bag.bag)]) == 2
    assert 'a second recording of this name' in capsys.readouterr().err


@pytest.mark.parametrize(('enough', 'count'), [(300, 20), (4, 4), (1, 2)])
def test_of_a_long_recording_one_image_in_ten_is_enough(demo_bag, tmp_path, monkeypatch, enough, count):
    monkeypatch.setattr(extract_images, 'ENOUGH', enough)
    assert extract_images.extract_images(demo_bag.bag, tmp_path, every=None) == (count, [])
