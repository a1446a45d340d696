"""The vocabulary of place recognition."""

import numpy as np
import pytest

from superslam_ros.data import Features
from superslam_ros.maps.embedding import Vocabulary
from superslam_ros.training.stages import places


def image(rng, kind, count=120):
    """Features around a few descriptors of a kind of their own."""
    own = np.random.default_rng(kind).standard_normal((6, 256))
    descriptors = own[rng.integers(6, size=count)] + 0.5 * rng.standard_normal((count, 256))
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    return Features(rng.uniform(0, 100, (count, 2)), np.ones(count), descriptors, (100, 100), weights='ab')


def test_a_vocabulary_is_learnt_and_the_same_again():
    features = [image(np.random.default_rng(number), number % 5) for number in range(15)]
    one, again = (places.learn(features, words=8, axes=8, seed=1) for _ in range(2))
    assert one.axes.shape == (8, 8, 256)
    assert one.superpoint == 'ab'
    for name in ('words', 'means', 'axes'):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
    alike = np.array([[one.embed(a.descriptors) @ one.embed(b.descriptors) for b in features] for a in features])
    np.fill_diagonal(alike, -1)
    assert (alike.argmax(1) % 5 == np.arange(15) % 5).all()


def test_too_few_photographs_are_said():
    with pytest.raises(ValueError, match=r'120 keypoints in 1 images are too few for 64 words.*--images'):
        places.learn([image(np.random.default_rng(0), 0)])


def test_the_command(tmp_path, capsys):
    import cv2

    from superslam_ros.cli.main import main

    rng = np.random.default_rng(0)
    for number in range(12):
        squares = rng.integers(0, 255, (24, 32), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f'{number}.png'), cv2.resize(squares, (640, 480), interpolation=cv2.INTER_NEAREST))
    assert main(['train', 'places', '--images', str(tmp_path), '--out', str(tmp_path / 'run'), '--words', '4',
                 '--axes', '8', '--keypoints', '100', '--device', 'cpu']) == 0
    assert 'finds its left part first' in capsys.readouterr().out
    assert Vocabulary.load(tmp_path / 'run/model.safetensors').size == 32
