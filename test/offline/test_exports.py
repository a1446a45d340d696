"""Results of a run for other programs."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from superslam_ros.cli.main import main
from superslam_ros.evaluation import trajectory
from superslam_ros.geometry.pose import compose, inverse, rotation


def test_everything_is_exported(demo_bag, tmp_path: Path) -> None:
    """The same poses everywhere; the point cloud and COLMAP's model are of the whole run."""
    assert main(['run', str(demo_bag.bag), '--features', 'orb', '--mode', 'rgbd', '--out', str(tmp_path),
                 '--export', 'kitti,csv,ply,colmap']) == 0
    stamps, poses = trajectory.read_tum(tmp_path / 'trajectory.tum')
    kitti = np.loadtxt(tmp_path / 'trajectory_kitti.txt').reshape(-1, 3, 4)
    rows = list(csv.DictReader((tmp_path / 'trajectory.csv').read_text().splitlines()))
    assert len(kitti) == len(rows) == demo_bag.frames
    np.testing.assert_allclose(kitti[0], np.eye(4)[:3], atol=1e-9)
    tracked = [row['state'] == 'tracking' for row in rows]
    assert sum(tracked) >= len(stamps) - 1
    by_stamp = {int(row['stamp_ns']): row for row in rows}
    for index, (stamp, T) in enumerate(zip(stamps, poses)):
        row = by_stamp[int(stamp)]
        q = rotation(np.array([float(row[name]) for name in ('qx', 'qy', 'qz', 'qw')]))
        np.testing.assert_allclose(compose(q, [float(row[name]) for name in 'xyz']), T, atol=1e-6)
        number = list(by_stamp).index(int(stamp))
        np.testing.assert_allclose(kitti[number], (inverse(poses[0]) @ T)[:3], atol=1e-5, err_msg=str(index))
    cloud = (tmp_path / 'landmarks.ply').read_bytes()
    assert cloud.startswith(b'ply')
    images = [line for line in (tmp_path / 'colmap/images.txt').read_text().splitlines() if line.endswith('.png')]
    assert len(images) >= 2 and (tmp_path / 'colmap/points3D.txt').stat().st_size > 1000
