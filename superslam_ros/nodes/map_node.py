"""Node: keyframes of the odometry to a map that is kept, and where odom is in it."""

from __future__ import annotations

if __name__ == '__main__':      # before the imports that take long
    from superslam_ros.nodes.shared.start import start

    start(__spec__.name)

from typing import Any

from nav_msgs.msg import Odometry

from superslam_ros import conversions
from superslam_ros.msg import Keyframe as KeyframeMsg
from superslam_ros.node_config import MapNodeConfig
from superslam_ros.nodes.shared.base import SlamNode
from superslam_ros.nodes.shared.process import run
from superslam_ros.nodes.topics.inputs import FrameInputs
from superslam_ros.nodes.topics.map_services import keep_map
from superslam_ros.nodes.topics.maps import MapServer
from superslam_ros.nodes.topics.messages import keyframe_from, pose_from
from superslam_ros.nodes.topics.publishers import KEYFRAMES
from superslam_ros.sync import Bundle


class MapNode(SlamNode):
    """Subscribes to superslam/keyframe and superslam/odometry; publishes map -> odom and superslam/map_...."""

    map: MapServer | None = None

    def __init__(self, **kwargs: Any) -> None:
        """Start as a managed node; ``kwargs`` go to rclpy's Node."""
        super().__init__('map', MapNodeConfig, waiting=KEYFRAMES.depth, **kwargs)

    def configure(self, config: MapNodeConfig) -> None:
        """Load the map, advertise, and offer the services."""
        self.map = keep_map(self, config.map, config.frames)

    def release(self) -> None:
        """Save the map, if that is asked for, and let go of it."""
        if self.map is not None:
            self.map.close()
            self.map = None

    def describe(self) -> str:
        """Return mode and size of the map."""
        return self.map.describe()

    def listen(self) -> None:
        """Subscribe to keyframes and odometry."""
        self.inputs = FrameInputs(self, 'keyframe', [], 0)
        self.inputs.subscribe('keyframe', KeyframeMsg, 'superslam/keyframe', KEYFRAMES)
        self.create_subscription(Odometry, 'superslam/odometry', self._move, KEYFRAMES)

    def process(self, item: Bundle) -> None:
        """Hand a keyframe to the map."""
        self.map.offer(keyframe_from(item.main.item))
        self.monitor.took(item.main, {})

    def _move(self, message: Odometry) -> None:
        kept = self.map
        if kept is not None:    # the node is not just ending
            kept.moved(conversions.stamp_ns(message.header.stamp), pose_from(message.pose.pose))


def main() -> int:
    """Run the node."""
    return run(MapNode)
