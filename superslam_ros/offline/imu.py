"""The IMU that a data set brings along, beside its images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from superslam_ros.bags.files import BagError
from superslam_ros.inputs.frames import Frames
from superslam_ros.slam import VisualOdometry
from superslam_ros.slam.imu import Imu

AHEAD_NS = 1_000_000_000
"""Of every frame, so much of the time after it is known."""


def follow_imu(frames: Frames, odometry: VisualOdometry) -> Callable[[int], None]:
    """Have an odometry turn by the gyroscope of an input, and z up by its accelerometer.

    :returns: to be called with the stamp (ns) of every frame before it is worked on.
    :raises BagError: when the input has no IMU, or one that cannot be used.
    """
    measured = frames.imu()
    if measured is None:
        raise BagError(f'--imu: {frames.kind} inputs have none that can be read; EuRoC data sets have (imu0)')
    stamps = measured.stamps_ns
    if len(stamps) < 2 or (np.diff(stamps) <= 0).any():
        raise BagError('--imu: the stamps of the IMU are not in order, or fewer than two')
    imu = odometry.motion.imu = Imu(odometry.config.imu, measured.T_imu_camera)
    told = 0

    def feed(stamp_ns: int) -> None:
        nonlocal told
        end = int(np.searchsorted(stamps, stamp_ns + AHEAD_NS - imu.offset_ns))
        for at in range(told, end):
            imu.add(int(stamps[at]), measured.angular_rad_s[at], measured.linear_m_s2[at])
        told = max(told, end)

    return feed
