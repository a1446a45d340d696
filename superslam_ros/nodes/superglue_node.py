"""Node: features to matches, in time and from left to right."""

from __future__ import annotations

if __name__ == '__main__':      # before the imports that take long
    from superslam_ros.nodes.shared.start import start

    start(__spec__.name)

from dataclasses import dataclass
from typing import Any

from superslam_ros.config import group
from superslam_ros.msg import Features as FeaturesMsg
from superslam_ros.nodes.reporting import story
from superslam_ros.nodes.shared.base import SlamNode
from superslam_ros.nodes.shared.process import run
from superslam_ros.nodes.topics.inputs import FrameInputs
from superslam_ros.nodes.topics.messages import features_from
from superslam_ros.nodes.topics.publishers import RELIABLE, MatchPublisher
from superslam_ros.slam import KeyframeMatcher, Matcher, MatcherConfig, TemporalConfig
from superslam_ros.slam.checks import StampOrder
from superslam_ros.slam.odometry import timed
from superslam_ros.sync import Bundle


@dataclass(frozen=True)
class MatchingConfig:
    """Options of the node."""

    matcher: MatcherConfig = group(MatcherConfig)
    temporal: TemporalConfig = group(TemporalConfig)


class SuperGlueNode(SlamNode):
    """Subscribes to superslam/features (and features_right), publishes superslam/matches (and matches_stereo)."""

    def __init__(self, **kwargs: Any) -> None:
        """Start as a managed node; ``kwargs`` go to rclpy's Node."""
        super().__init__('superglue', MatchingConfig, **kwargs)

    def configure(self, config: MatchingConfig) -> None:
        """Load the matcher and advertise."""
        self.matcher = Matcher(config.matcher, self.worker.interrupt)
        self.temporal = KeyframeMatcher(self.matcher, config.temporal)
        self.order = StampOrder()
        self.matches = MatchPublisher(self, config.matcher.matcher)
        self.listen_for_reset()

    def release(self) -> None:
        """Let go of the network and keyframes."""
        self.matcher = self.temporal = None

    def describe(self) -> str:
        """Return matcher, weights and device."""
        return story.of_matcher(self.matcher)

    def listen(self) -> None:
        """Subscribe to features."""
        right = ['features_right'] if self.topics.mode == 'stereo' else []
        self.inputs = FrameInputs(self, 'features', right, 0)
        for name in ['features', *right]:
            self.inputs.subscribe(name, FeaturesMsg, f'superslam/{name}', RELIABLE)

    def retune(self, config: MatchingConfig) -> None:
        """Take over live options."""
        self.matcher.config, self.temporal.config = config.matcher, config.temporal

    def reset(self) -> None:
        """Forget the keyframes."""
        self.temporal.reset()
        self.order.reset()

    def process(self, item: Bundle) -> None:
        """Match and publish one frame."""
        stamp_ns, message = item.main.stamp_ns, item.main.item
        if self.order.jumped_back(stamp_ns):
            self.get_logger().warning('time jumped back: matching starts over')
            self.reset()
        features = features_from(message)
        right = item.companions.get('features_right')
        right = features_from(right.item) if right else None
        with timed({}, 'match') as timings_ms:
            stereo, temporal = self.temporal.with_stereo(features, right, stamp_ns)
        self.order.accept(stamp_ns)
        self.matches.publish(message.header.frame_id, features.image_size, temporal, stereo)
        self.monitor.took(item.main, timings_ms)


def main() -> int:
    """Run the node."""
    return run(SuperGlueNode)
