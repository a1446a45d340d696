"""Message fields to arrays and back, without ROS: the bag runner and the nodes share this one reading of images.

Messages are duck-typed: anything with the fields of sensor_msgs will do, whether rclpy, rosbags or a test made
it. What cannot be read is refused with a :class:`ConversionError` that says what was found.
"""

from superslam_ros.conversions.cameras import camera, make_camera, off_centre
from superslam_ros.conversions.compressed import encoding, is_compressed
from superslam_ros.conversions.depth import DEPTH_ENCODINGS, depth_m
from superslam_ros.conversions.errors import ConversionError, UnknownEncodingError
from superslam_ros.conversions.headers import frame_id, split_stamp, stamp_ns, unregistered
from superslam_ros.conversions.images import gray
from superslam_ros.conversions.levels import Levels

__all__ = [
    'DEPTH_ENCODINGS', 'ConversionError', 'Levels', 'UnknownEncodingError', 'camera', 'depth_m', 'encoding',
    'frame_id', 'gray', 'is_compressed', 'make_camera', 'off_centre', 'split_stamp', 'stamp_ns', 'unregistered']
