"""Frames of a bag for training: depth and poses carry every point to where the other frame shows it."""

import numpy as np
import pytest
import torch

from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.offline import posed
from superslam_ros.training.data import glue_pairs
from superslam_ros.training.data.posed import PosedFrames
from superslam_ros.training.random import Rng


@pytest.mark.parametrize('mode', ['rgbd', 'stereo'])
def test_points_of_a_bag_look_the_same_in_both_frames(demo_bag, mode):
    frames = posed.read(demo_bag.bag, demo_bag.truth, ReaderOptions(mode=mode))
    assert len(frames) == demo_bag.frames and frames[0].image.shape == frames[0].depth_m.shape == (240, 320)
    source = PosedFrames(frames, 160 * 120, torch.device('cpu'))
    views = source.views(6, Rng(0))
    assert views.images.shape == (12, 1, 120, 160)
    points = Rng(1).uniform(5, 110, 6, 400, 2)
    there, _ = glue_pairs.reproject(views, points, points)
    size = torch.tensor([160.0, 120.0])
    here, other = (torch.nn.functional.grid_sample(images, ((2 * at + 1) / size - 1)[:, None],
                                                   align_corners=False)[:, 0, 0]
                   for images, at in ((views.images[:6], points), (views.images[6:], there.at)))
    difference = (here - other).abs()
    assert there.seen.sum() > 300
    assert difference[there.seen].median() < 0.05 < (here - other.roll(7, 1)).abs()[there.seen].median()


def test_stereo_depth_agrees_with_the_rendered_one(demo_bag):
    stereo, true = (
        posed.read(demo_bag.bag, demo_bag.truth, ReaderOptions(mode=mode))[5] for mode in ('stereo', 'rgbd'))
    assert np.allclose(stereo.K, true.K) and np.array_equal(stereo.image, true.image)
    both = np.isfinite(stereo.depth_m) & np.isfinite(true.depth_m)
    off = np.abs(stereo.depth_m / true.depth_m - 1)[both]
    assert both.mean() > 0.1 and np.median(off) < 0.02 and np.quantile(off, 0.9) < 0.08


def test_poses_are_looked_for_beside_the_bag(demo_bag, tmp_path):
    assert len(posed.read(demo_bag.bag)) == demo_bag.frames
    other = tmp_path / 'other.tum'
    other.write_text('5.0 0 0 0 0 0 0 1\n')
    with pytest.raises(ValueError, match='0 frames have depth or a right image, and a pose in'):
        posed.read(demo_bag.bag, other)


def test_a_camera_without_depth_is_of_no_use(demo_bag):
    with pytest.raises(ValueError, match='0 frames have depth'):
        posed.read(demo_bag.bag, demo_bag.truth, ReaderOptions(mode='mono'))


def test_frames_at_rest_are_refused(demo_bag):
    frame = posed.read(demo_bag.bag, demo_bag.truth)[0]
    with pytest.raises(ValueError, match='no two of 3 frames'):
        PosedFrames([frame] * 3, 160 * 120, torch.device('cpu'))
