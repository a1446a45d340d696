"""The IMU that a data set brings along, beside its images."""

from __future__ import annotations

import logging
import math

from superslam_ros.bags.files import BagError
from superslam_ros.inputs.frames import Frames
from superslam_ros.slam import VisualOdometry
from superslam_ros.slam.imu import Gyroscope

log = logging.getLogger(__name__)


def follow_imu(frames: Frames, odometry: VisualOdometry) -> None:
    """Have an odometry turn by the gyroscope of an input, and begin with z up by its accelerometer.

    :raises BagError: when the input has no IMU, or one that cannot be used.
    """
    imu = frames.imu()
    if imu is None:
        raise BagError(f'--imu: {frames.kind} inputs have none that can be read; EuRoC data sets have (imu0)')
    try:
        gyroscope = Gyroscope(*imu)
    except ValueError as error:
        raise BagError(f'--imu: {error}') from error
    odometry.motion.predictor = gyroscope
    first = next(iter(frames), None)
    start = None if first is None else gyroscope.level(first.frame.stamp_ns)
    if start is None:
        log.warning('--imu: no gravity was measured in the second after the first frame: odom begins with the camera '
                    'level, as without --imu')
        return
    T_odom_camera, sigma = start
    odometry.motion.begin_at(T_odom_camera)
    log.info('odom is level by the accelerometer, with a standard deviation of %.1f degrees', math.degrees(sigma))
