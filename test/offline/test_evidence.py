"""What is kept of a recording: every frame's keypoints where the truth has them, or a reason why not."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from superslam_ros import worlds
from superslam_ros.bags.bag import BagError
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.data import Frame
from superslam_ros.evaluation import trajectory
from superslam_ros.improve.evidence import LOST, Evidence
from superslam_ros.offline import evidence
from superslam_ros.offline.evidence import NoEvidence, _Thinning
from superslam_ros.slam import ExtractorConfig, SlamConfig

CONFIG = SlamConfig(ExtractorConfig(max_keypoints=150))


def gathered(bag, folder, mode='auto'):
    return evidence.gather(bag, folder, CONFIG, ReaderOptions(mode=mode))


def test_a_recording_is_kept_whole(demo_bag, tmp_path):
    steps = Counter()
    found = evidence.gather(demo_bag.bag, tmp_path, CONFIG, ReaderOptions(mode='rgbd'),
                            lambda name, frames: steps.update({name: frames}), lambda: steps.update(('frames',)))
    assert steps == {demo_bag.bag.name: demo_bag.frames, 'frames': demo_bag.frames}
    loaded = Evidence.load(tmp_path)
    assert len(loaded) == demo_bag.frames and loaded.source == 'depth' and loaded.metric
    assert (loaded.segment == 0).all() and (np.diff(loaded.first) > 50).all() and len(loaded.weights) == 64
    assert np.array_equal(found.T_world_camera, loaded.T_world_camera)
    _, true = trajectory.read_tum(demo_bag.truth)
    moved, truly = (np.linalg.inv(T[0]) @ T[-1] for T in (loaded.T_world_camera, true))
    assert np.linalg.norm(moved[:3, 3] - truly[:3, 3]) < 0.05
    row = loaded.rows(3).start
    x, y = np.rint(loaded.pixels[row]).astype(int)
    assert loaded.depth_m[row] == pytest.approx(loaded.depth(3)[y, x], abs=1e-3)
    again = tmp_path / 'again'
    gathered(demo_bag.bag, again, 'rgbd')
    for path in sorted(tmp_path.iterdir()):
        assert path.is_dir() or path.read_bytes() == (again / path.name).read_bytes(), path


def test_a_camera_that_stands_still_shows_nothing(bag, room_images, tmp_path):
    bag.camera = worlds.pinhole(160, 120)
    noise = np.random.default_rng(0)
    for index in range(25):
        bag.info(index)
        bag.image(index, (room_images[0] * 0.9 + noise.normal(10, 1, (120, 160))).clip(0, 255).astype(np.uint8))
    with pytest.raises(NoEvidence, match='the camera stands still in') as raised:
        gathered(bag.write(), tmp_path)
    assert raised.value.reason == 'stands still'


def test_what_cannot_be_followed_shows_nothing(tmp_path):
    noise, camera = np.random.default_rng(0).integers(0, 256, (12, 48, 64), np.uint8), worlds.pinhole(64, 48)
    frames = [Frame(10**8 * k, image, camera, depth_m=np.full((48, 64), 2, np.float32))
              for k, image in enumerate(noise)]
    with pytest.raises(NoEvidence, match='follows the camera in 0 of 12 frames') as raised:
        evidence.from_frames(frames, tmp_path / 'depth', CONFIG, 'noise')
    assert raised.value.reason == 'too few frames tracked'
    # Of one camera, all is kept: the frames together may show its way.
    found = evidence.from_frames((replace(frame, depth_m=None) for frame in frames), tmp_path / 'one', CONFIG, 'noise')
    assert len(found) == 12 and (found.segment == LOST).all()


def test_without_a_calibration_there_is_none(bag, tmp_path):
    bag.image(0)
    with pytest.raises(BagError, match=r'camera_info|calibration'):
        gathered(bag.write(), tmp_path)


@pytest.mark.parametrize(('rate', 'kept'), [(30, 10), (15, 10), (10, 10), (7, 7), (1000, 10)])
def test_frames_are_thinned_to_ten_a_second(rate, kept):
    thin = _Thinning()
    assert sum(thin(10**9 + round(k * 1e9 / rate)) for k in range(10 * rate)) == pytest.approx(10 * kept, abs=1)


def test_a_gap_or_a_jump_back_begins_anew():
    thin = _Thinning()
    stamps = [0, 50, 100, 150, 5000, 5050, 5100, 0, 50, 100]
    assert [thin(10**10 + 10**6 * stamp) for stamp in stamps] == [
        True, False, True, False, True, False, True, True, False, True]
