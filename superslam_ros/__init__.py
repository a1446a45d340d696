"""superslam_ros: a learned visual front-end for ROS 2, SuperPoint and SuperGlue with open weights."""

from pkgutil import extend_path

# The generated messages (superslam_ros.msg) may be installed under another prefix than the library.
__path__ = extend_path(__path__, __name__)
