"""Options of an inertial measurement unit."""

from __future__ import annotations

from dataclasses import dataclass

from superslam_ros.config import option


@dataclass(frozen=True)
class ImuConfig:
    """What is known of the unit; the defaults are those of a cheap one."""

    gyroscope_noise: float = option(1e-3, 'IMU: noise density of the gyroscope (rad/s/sqrt(Hz))', low=1e-6, high=1.0)
    gyroscope_walk: float = option(1e-4, "IMU: random walk of the gyroscope's bias (rad/s^2/sqrt(Hz))", low=0.0,
                                   high=1.0)
    turn_sigma: float = option(0.01, 'IMU: what axes and scale of the gyroscope are off, as a fraction of what it '
                               'turns (1 sigma)', low=0.0, high=1.0)
    accelerometer_noise: float = option(0.01, 'IMU: noise density of the accelerometer (m/s^2/sqrt(Hz))', low=1e-6,
                                        high=10.0)
    accelerometer_bias: float = option(0.05, 'IMU: bias of the accelerometer, which is not estimated (m/s^2, 1 sigma)',
                                       low=0.0, high=5.0)
    gravity: bool = option(True, 'IMU: whether the accelerometer says which way is up: at the start, and as a weak '
                           'constraint on roll and pitch from then on')
    max_gap: float = option(0.1, 'IMU: over gaps between its messages that are longer than this nothing is known (s)',
                            low=0.001, high=1.0)
    time_offset: float = option(0.0, "IMU: is added to the stamps of its messages (s): -0.03 where they are 30 ms "
                                "behind the images' (Kalibr's timeshift_cam_imu with the opposite sign)", low=-1.0,
                                high=1.0)
