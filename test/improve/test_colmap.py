"""One camera by COLMAP: a drive whose answer is known, and what shows none."""

from dataclasses import replace

import numpy as np
import pytest
from drive import Drive

from superslam_ros.geometry.pose import inverse
from superslam_ros.improve import colmap
from superslam_ros.improve.evidence import LOST, Evidence

pytest.importorskip('pycolmap')


@pytest.fixture(scope='module')
def drive():
    return Drive(frames=20, depth=False)


def appended(one, other):
    """Return the evidence of one recording after the other."""
    columns = {name: np.concatenate([getattr(one, name), getattr(other, name)])
               for name in ('T_world_camera', 'pixels', 'scores', 'scales', 'depth_m', 'descriptors')}
    frames = len(one) + len(other)
    return Evidence(one.name, one.pinhole, one.size, False, one.source, np.arange(frames) * 10**8, columns.pop(
        'T_world_camera'), np.zeros(frames), np.concatenate([one.first, one.first[-1] + other.first[1:]]), **columns)


def test_poses_are_the_true_ones_up_to_the_unit(drive, tmp_path):
    frames = []
    nowhere = replace(drive.evidence, segment=np.full(20, LOST), T_world_camera=np.tile(np.eye(4), (20, 1, 1)))
    found = colmap.reconstruct(nowhere, tmp_path, lambda: frames.append(1))
    assert len(frames) == 20 and (found.segment == 0).all()
    at, true = (np.array([(inverse(poses[0]) @ T)[:3, 3] for T in poses])
                for poses in (found.T_world_camera, drive.poses))
    scale = (at * true).sum() / (at * at).sum()
    assert np.sqrt(((scale * at - true)**2).sum(1).mean()) < 0.02       # of a way of 1.3 m
    depths = np.concatenate([((drive.points - T[:3, 3]) @ T[:3, :3])[:, 2] for T in drive.poses])
    assert scale == pytest.approx(np.median(depths), rel=0.1)


def test_two_places_are_two_segments_and_the_larger_is_first(drive, tmp_path):
    other = Drive(frames=14, depth=False, seed=5)
    found = colmap.reconstruct(appended(other.evidence, drive.evidence), tmp_path)
    assert found.segment.tolist() == [1] * 14 + [0] * 20


def test_what_shows_no_way_has_no_poses(drive, tmp_path):
    blank = replace(drive.evidence, descriptors=0 * drive.evidence.descriptors)
    (tmp_path / 'blank').mkdir()
    found = colmap.reconstruct(blank, tmp_path / 'blank')
    assert (found.segment == LOST).all() and np.array_equal(found.T_world_camera, blank.T_world_camera)
    turned = Drive(frames=20, depth=False, moving=0, turns=True)
    assert (colmap.reconstruct(turned.evidence, tmp_path).segment == LOST).all()
