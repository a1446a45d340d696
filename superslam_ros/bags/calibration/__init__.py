"""Camera files in the formats of ROS, Kalibr, OpenCV and COLMAP."""

from superslam_ros.bags.calibration.files import FORMATS, cameras_of_files, check_pair, read_camera
from superslam_ros.bags.calibration.ros import write_camera

__all__ = ['FORMATS', 'cameras_of_files', 'check_pair', 'read_camera', 'write_camera']
