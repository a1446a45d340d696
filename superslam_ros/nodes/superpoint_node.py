"""Node: images to features."""

from __future__ import annotations

if __name__ == '__main__':      # before the imports that take long
    from superslam_ros.nodes.shared.start import start

    start(__spec__.name)

from dataclasses import dataclass
from functools import partial
from typing import Any

from superslam_ros import conversions
from superslam_ros.config import group
from superslam_ros.nodes.reporting import story
from superslam_ros.nodes.shared.base import SlamNode
from superslam_ros.nodes.shared.process import run
from superslam_ros.nodes.topics.inputs import ImageInputs
from superslam_ros.nodes.topics.publishers import FeaturePublisher
from superslam_ros.slam import Extractor, ExtractorConfig
from superslam_ros.slam.odometry import timed
from superslam_ros.sync import Bundle


@dataclass(frozen=True)
class ExtractionConfig:
    """Options of the node."""

    extractor: ExtractorConfig = group(ExtractorConfig)


class SuperPointNode(SlamNode):
    """Subscribes to image (and right/image), publishes superslam/features (and superslam/features_right)."""

    def __init__(self, **kwargs: Any) -> None:
        """Start as a managed node; ``kwargs`` go to rclpy's Node."""
        super().__init__('superpoint', ExtractionConfig, **kwargs)

    def configure(self, config: ExtractionConfig) -> None:
        """Load SuperPoint and advertise."""
        self.extractor = Extractor(config.extractor, self.worker.interrupt)
        self.levels = conversions.Levels(config.extractor.black_level, config.extractor.white_level)
        self.features = FeaturePublisher(self, self.extractor.name)

    def release(self) -> None:
        """Let go of the network."""
        self.extractor = None

    def describe(self) -> str:
        """Return extractor, weights and device."""
        return story.of_extractor(self.extractor)

    def listen(self) -> None:
        """Subscribe to images."""
        self.inputs = ImageInputs(self, with_depth=False)

    def retune(self, config: ExtractionConfig) -> None:
        """Take over live options."""
        self.extractor.config = config.extractor
        self.levels.set(config.extractor.black_level, config.extractor.white_level)

    def process(self, item: Bundle) -> None:
        """Extract and publish the features of one frame."""
        messages = {'image': item.main.item, **{name: one.item for name, one in item.companions.items()}}
        mask = messages.pop('mask', None)
        given = []
        if mask is not None:
            given = [[self.inputs.read(conversions.gray, 'mask', mask), None][:len(messages)]]
        gray = partial(conversions.gray, levels=self.levels)
        images = [self.inputs.read(gray, name, message) for name, message in messages.items()]
        with timed({}, 'extract') as timings_ms:
            sides = self.extractor.batch(images, *given)
        frame_ids = [message.header.frame_id for message in messages.values()]
        self.features.publish(item.main.stamp_ns, frame_ids, sides)
        self.monitor.took(item.main, timings_ms)


def main() -> int:
    """Run the node."""
    return run(SuperPointNode)
