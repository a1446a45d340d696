"""Frames of a bag with depth and poses, for training: rectified, at most a few hundred, evenly over the bag."""

from __future__ import annotations

import logging
from pathlib import Path

from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.data import PosedImage
from superslam_ros.evaluation import gaps, trajectory
from superslam_ros.inputs.opening import open_frames
from superslam_ros.offline.rectify import Rectifier

MOST = 200

log = logging.getLogger(__name__)


def read(path: Path, poses: Path | None = None, options: ReaderOptions | None = None) -> list[PosedImage]:
    """Read the frames whose pose is known; depth is the recorded one, or that of the stereo pair.

    :param poses: true poses of the optical frame (seconds x y z qx qy qz qw), as `superslam run` writes them
        too; by default those of the data set, or ``NAME.tum`` beside the bag.
    :raises ValueError: when fewer than two frames have a pose, and either depth or a right image.
    """
    found = []
    with open_frames(path, options) as frames:
        own = None if poses else frames.truth()
        poses = poses or (own.file if own else trajectory.beside(path))
        truth = gaps.Truth(*(own[1:] if own else trajectory.read_tum(poses)))
        every = -(-(frames.count or MOST) // MOST)
        rectifier = Rectifier(frames.rectified)
        for number, recorded in enumerate(frames):
            frame = recorded.frame
            T_world_camera = None if number % every else truth.at(frame.stamp_ns)
            if T_world_camera is not None and (frame.depth_m is not None or frame.right_image is not None):
                ideal = rectifier(frame)
                found.append(PosedImage(
                    ideal.image, ideal.depth_m, ideal.pinhole.K, T_world_camera @ ideal.T_optical_camera))
    if len(found) < 2:
        raise ValueError(f'{path}: {len(found)} frames have depth or a right image, and a pose in {poses}')
    log.info('%s: %d frames with poses', path, len(found))
    return found
