"""An inertial measurement unit: how the camera turned between two instants, and which way is up."""

from superslam_ros.slam.imu.config import ImuConfig
from superslam_ros.slam.imu.unit import Imu

__all__ = ['Imu', 'ImuConfig']
