"""An inertial measurement unit: how the camera turned between two instants, and which way is up."""

from superslam_ros.slam.imu.config import ImuConfig
from superslam_ros.slam.imu.gravity import GRAVITY_M_S2
from superslam_ros.slam.imu.unit import Imu

__all__ = ['GRAVITY_M_S2', 'Imu', 'ImuConfig']
