"""Node: images and features to rtabmap_msgs/RGBDImage, from which RTAB-Map takes its visual words."""

from __future__ import annotations

if __name__ == '__main__':      # before the imports that take long
    from superslam_ros.nodes.shared.start import start

    start(__spec__.name)

import array
import struct
import zlib
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from superslam_ros import conversions
from superslam_ros.data import Features
from superslam_ros.msg import Features as FeaturesMsg
from superslam_ros.nodes.shared.base import SlamNode
from superslam_ros.nodes.shared.process import run
from superslam_ros.nodes.topics.inputs import FrameInputs, Infos, subscribe_image
from superslam_ros.nodes.topics.messages import RosMessages, features_from
from superslam_ros.nodes.topics.publishers import RELIABLE
from superslam_ros.sync import Bundle

QUEUE = 50
WAIT_NS = 2_000_000_000
"""Images come long before their features, where the network is slow."""
CV_32FC1 = 5


@dataclass(frozen=True)
class NoConfig:
    """The node has no options of its own."""


class RgbdImageNode(SlamNode):
    """Subscribes to superslam/features, image, camera_info and right/image or depth; publishes superslam/rgbd_image."""

    def __init__(self, **kwargs: Any) -> None:
        """Start as a managed node; ``kwargs`` go to rclpy's Node."""
        super().__init__('rgbd_image', NoConfig, waiting=QUEUE, **kwargs)

    def configure(self, config: NoConfig) -> None:
        """Advertise.

        :raises RuntimeError: when rtabmap_msgs is not installed.
        :raises ValueError: in mode mono, for RTAB-Map needs depth.
        """
        self._rtabmap, self._make = _rtabmap_messages(), RosMessages()
        second = {'stereo': 'right/image', 'rgbd': 'depth'}.get(self.topics.mode)
        if second is None:
            raise ValueError('mode mono has no depth, which RTAB-Map needs: stereo or rgbd')
        self._second = second
        self._publisher = self.create_publisher(self._rtabmap.RGBDImage, 'superslam/rgbd_image', RELIABLE)

    def listen(self) -> None:
        """Subscribe to features, images and calibrations."""
        second = self._second
        self._infos = Infos(self)
        self.inputs = FrameInputs(self, 'features', ['image', second], self.topics.tolerance_ns, WAIT_NS)
        self.inputs.subscribe('features', FeaturesMsg, 'superslam/features', RELIABLE)
        for name in ('image', second):
            subscribe_image(self.inputs, self, name, QUEUE)

    def process(self, item: Bundle) -> None:
        """Put together and publish one frame, if someone listens."""
        if not self._infos.complete:
            self.skip('no calibration', self._infos.why_incomplete)
            return
        if self._second not in item.companions:
            self.skip(f'no {self._second}', lambda: self.inputs.why_incomplete(item, self._second))
            return
        if self._publisher.get_subscription_count():
            self._put_together(item)
        self.monitor.took(item.main, {})

    def _put_together(self, item: Bundle) -> None:
        info, right_info = self._infos.left, self._infos.right
        image, second = (item.companions[name].item for name in ('image', self._second))
        features = features_from(item.main.item)
        header = self._make.header(conversions.stamp_ns(image.header.stamp), image.header.frame_id)
        message = self._rtabmap.RGBDImage(
            header=header, rgb_camera_info=info, depth_camera_info=right_info or info,
            key_points=self._key_points(features), descriptors=array.array('B', compress(features.descriptors)))
        setattr(message, 'rgb_compressed' if isinstance(image, CompressedImage) else 'rgb', image)
        message.depth = second if isinstance(second, Image) else self._decoded(second)
        self._publisher.publish(message)

    def _key_points(self, features: Features) -> list[Any]:
        KeyPoint, Point2f = self._rtabmap.KeyPoint, self._rtabmap.Point2f
        return [
            KeyPoint(pt=Point2f(x=x, y=y), size=8 * scale, angle=-1.0, response=score, class_id=-1)
            for (x, y), score, scale in zip(*(
                part.tolist() for part in (features.keypoints, features.scores, features.scales)))]

    def _decoded(self, message: CompressedImage) -> Image:
        """Return the right or the depth image raw: RTAB-Map's compressed form is another than ROS's."""
        array = conversions.gray(message) if self._second == 'right/image' else conversions.depth_m(message)
        return self._make.image(conversions.stamp_ns(message.header.stamp), message.header.frame_id, array)


def compress(descriptors: np.ndarray) -> bytes:
    """Return float32 descriptors as RTAB-Map's uncompressData reads them: zlib, then rows, columns and OpenCV type."""
    rows, columns = descriptors.shape
    data = np.ascontiguousarray(descriptors, np.float32).tobytes()
    return zlib.compress(data, 1) + struct.pack('<3i', rows, columns, CV_32FC1)


def _rtabmap_messages() -> ModuleType:
    try:
        return import_module('rtabmap_msgs.msg')
    except ModuleNotFoundError as error:
        raise RuntimeError('rtabmap_msgs is not installed: apt install ros-$ROS_DISTRO-rtabmap-msgs') from error


def main() -> int:
    """Run the node."""
    return run(RgbdImageNode)
