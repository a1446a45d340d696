"""The options that only the nodes have; without ROS, for ``superslam run --config`` reads the same files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from superslam_ros import config
from superslam_ros.config import Option, group, option
from superslam_ros.slam import SlamConfig
from superslam_ros.sync import tolerance_s

NODES = ('superslam', 'superpoint', 'superglue', 'odometry', 'rgbd_image')
"""What the nodes are called, unless they are renamed."""
OF_ROS = ('use_sim_time', 'start_type_description_service', 'qos_overrides')
"""Parameters, or beginnings of their names, that every node of ROS has."""


@dataclass(frozen=True)
class TopicConfig:
    """How a node starts and listens."""

    autostart: bool = option(True, 'Configure and activate at the start; false: wait for `ros2 lifecycle set`')
    mode: str = option('mono', 'Which inputs to use: mono (image), stereo (image, right/image) or rgbd (image, depth)',
                       choices=('mono', 'stereo', 'rgbd'))
    transport: str = option('raw', 'Type of the image topics: raw (Image) or compressed (CompressedImage, on '
                            'image/compressed and right/image/compressed)', choices=('raw', 'compressed'))
    depth_transport: str = option('raw', 'Type of the depth topic: raw (Image) or compressed (CompressedImage, on '
                                  'depth/compressedDepth)', choices=('raw', 'compressed'))
    reliability: str = option('best_effort', 'Reliability of the subscriptions; best_effort receives from every '
                              'publisher, reliable loses no messages but receives from reliable publishers only',
                              choices=('best_effort', 'reliable'))
    sync_tolerance: float = option(0.0, 'Largest difference of stamps within one frame (s); 0: 0.005 '
                                   'for stereo pairs, 0.02 for depth images', low=0.0, high=1.0)

    @property
    def tolerance_ns(self) -> int:
        """``sync_tolerance`` in this mode, in nanoseconds."""
        return round(tolerance_s(self.sync_tolerance, self.mode) * 1e9)


@dataclass(frozen=True)
class FrameConfig:
    """Names of coordinate frames, and what is published about them."""

    odom_frame: str = option('odom', 'Frame in which odometry is reported')
    camera_frame: str = option('', 'Optical frame of the camera; empty: the frame_id of the images')
    base_frame: str = option('', 'Frame of the robot whose odometry is reported, such as base_link; the camera must be '
                             'fixed to it, and frames are skipped until TF says where. Empty: the camera')
    publish_tf: bool = option(True, 'Broadcast the pose as the transform from odom_frame to base_frame or camera_frame')
    invert_tf: bool = option(False, 'Broadcast the inverse, with odom_frame as the child: for robots whose base has '
                             'another parent')
    path_length: int = option(1000, 'Poses kept in the published path', low=1, high=100000)


@dataclass(frozen=True)
class NodeConfig(SlamConfig):
    """Options of all stages, and of what is published."""

    frames: FrameConfig = group(FrameConfig)


def every_option() -> Iterator[Option]:
    """Yield what all nodes have, then the rest."""
    for config_class in (TopicConfig, NodeConfig):
        yield from config.options(config_class)


def unknown_names(given: Iterable[str]) -> list[str]:
    """Return the names that no node of this package has, quoted, with the ones that may be meant."""
    known = [spec.name for spec in every_option()]
    return [config.unknown(name, known) for name in sorted(given)
            if name not in known and not name.startswith(OF_ROS)]
