"""cv_bridge for image encodings that :mod:`superslam_ros.conversions` does not know, where it is installed and works.

What conversions knows it converts itself, so that a bag gives the same with and without ROS.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import Any

import numpy as np

_TRIAL = """
import types
import numpy as np
from cv_bridge import CvBridge
pixels = np.arange(6, dtype=np.uint8).repeat(3)
message = types.SimpleNamespace(encoding='bgr8', height=2, width=3, step=9, is_bigendian=0, data=pixels)
assert (CvBridge().imgmsg_to_cv2(message, 'mono8') == [[0, 1, 2], [3, 4, 5]]).all()
"""
_PATIENCE_S = 60.0


def gray(message: Any) -> np.ndarray | None:
    """Return a sensor_msgs/Image as (H, W) uint8; None where cv_bridge is missing, or does not know the encoding."""
    if not works():
        return None
    from cv_bridge import CvBridge
    try:
        return np.ascontiguousarray(CvBridge().imgmsg_to_cv2(message, 'mono8'))
    except (TypeError, ValueError, RuntimeError):    # CvBridgeError is a TypeError
        return None


@functools.cache
def works() -> bool:
    """Say whether cv_bridge is installed and right: built for another NumPy, it crashes or refuses to load.

    Tried once, on an image whose answer is known, in a process of its own.
    """
    try:
        trial = subprocess.run([sys.executable, '-c', _TRIAL], capture_output=True, timeout=_PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return trial.returncode == 0
