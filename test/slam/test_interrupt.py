"""Work that is broken off, and what is left of it."""

import numpy as np
import pytest

from superslam_ros.bags.bag import open_bag
from superslam_ros.bags.reader import BagFrames
from superslam_ros.slam import Extractor, ExtractorConfig, Matcher, MatcherConfig, SlamConfig, VisualOdometry, extract

SLOW = SlamConfig(extractor=ExtractorConfig(device='cpu'), matcher=MatcherConfig(device='cpu'))


class Enough(Exception):
    """What ends the work."""


class Patience:
    """Says after so many questions that it is enough, once."""

    def __init__(self, questions):
        self.left = questions

    def __call__(self):
        self.left -= 1
        if self.left == 0:
            raise Enough


def test_every_operation_on_a_large_image_may_be_the_last(monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (160, 160), dtype=np.uint8)
    few, many = Patience(0), Patience(0)
    Extractor(SLOW.extractor, few)(image)
    monkeypatch.setattr(extract, 'LARGE', image.size)
    expected = Extractor(SLOW.extractor, many)(image)
    # The layers of both octaves, at least, and none of a small image.
    assert -few.left < 3 and -many.left > 2 * 12
    layers = []
    for questions in (1, 5, -many.left):
        extractor = Extractor(SLOW.extractor, Patience(questions))
        for layer in extractor.network.children():
            layer.register_forward_hook(lambda *_: layers.append(1))
        layers.clear()
        with pytest.raises(Enough):
            extractor(image)
        assert (len(layers) < 2) == (questions < 6)
        np.testing.assert_array_equal(extractor(image).keypoints, expected.keypoints)


@pytest.mark.parametrize('kind', ['nearest', 'superglue'])
def test_matching_may_be_broken_off(kind):
    features = Extractor(ExtractorConfig(device='cpu', max_keypoints=30))(
        np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8))
    config = MatcherConfig(matcher=kind, device='cpu')
    asked = Patience(0)
    expected = Matcher(config, asked)(features, features)
    matcher = Matcher(config, Patience(-asked.left))
    with pytest.raises(Enough):
        matcher(features, features)
    np.testing.assert_array_equal(matcher(features, features).indices, expected.indices)
    assert -asked.left > {'nearest': 10, 'superglue': 100}[kind]


@pytest.mark.parametrize('questions', [1, 40])
def test_a_frame_that_was_broken_off_has_not_been(demo_bag, questions):
    with open_bag(demo_bag.bag) as reader:
        frames = [recorded.frame for recorded, _ in zip(BagFrames(reader), range(3))]
    expected = VisualOdometry(SLOW)
    patience = Patience(0)
    odometry = VisualOdometry(SLOW, interrupt=patience)
    for frame in frames:
        patience.left = questions
        with pytest.raises(Enough):
            odometry.process(frame)
        motion = odometry.process(frame).motion
        np.testing.assert_array_equal(motion.T_odom_camera, expected.process(frame).motion.T_odom_camera)
    assert motion.keyframe is not None and not odometry.skipped
