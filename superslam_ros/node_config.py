"""The options that only the nodes have; without ROS, for ``superslam run --config`` reads the same files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from superslam_ros import config
from superslam_ros.config import Option, group, option
from superslam_ros.maps.config import MapConfig
from superslam_ros.slam import SlamConfig
from superslam_ros.slam.guess import GuessConfig
from superslam_ros.slam.imu import ImuConfig
from superslam_ros.sync import tolerance_s

NODES = ('superslam', 'superpoint', 'superglue', 'odometry', 'rgbd_image', 'charuco', 'map')
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
    stamp_offset: float = option(0.0, 'Seconds that are added to the stamps of images and depth images, of a camera '
                                 'whose clock is off', low=-3600.0, high=3600.0)
    receive_time: bool = option(False, 'Stamp images and depth images when they are received, in place of their header '
                                'stamps')
    max_rate: float = option(0.0, 'Images a second that are used at most; the others are skipped, and counted; 0: all',
                             low=0.0, high=1000.0)
    masked: bool = option(False, 'Take a mask with every image, from the topic mask (mono8, with the stamp of its '
                          'image): where it is zero, no keypoints are to be')

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
    initial_pose: str = option('', 'Where odometry begins: x y z roll pitch yaw (m, rad) or x y z qx qy qz qw of '
                               'base_frame in odom_frame or, without base_frame, of a body that looks along x; empty: '
                               'at the origin')
    publish_tf: bool = option(True, 'Broadcast the pose as the transform from odom_frame to base_frame or camera_frame')
    invert_tf: bool = option(False, 'Broadcast the inverse, with odom_frame as the child: for robots whose base has '
                             'another parent')
    path_length: int = option(1000, 'Poses kept in the published path', low=1, high=100000)


@dataclass(frozen=True)
class CharucoConfig:
    """Which boards charuco_node looks for, and what it publishes of them."""

    boards: str = option('', 'File of boards; empty: one board, described by the parameters from name to inverted')
    name: str = option('board', 'Name of that board, and of its frame')
    squares_x: int = option(0, 'Squares in a row of it', low=0, high=1000)
    squares_y: int = option(0, 'Squares in a column of it', low=0, high=1000)
    square_m: float = option(0.0, 'Side of a square (m)', low=0.0, high=10.0)
    marker_m: float = option(0.0, 'Side of a marker, its black edge included (m)', low=0.0, high=10.0)
    dictionary: str = option('', 'Dictionary of its markers, such as DICT_6X6_250, or the path of a file')
    first_id: int = option(0, 'Id of its first marker; the others follow', low=0, high=100000)
    legacy: str = option('false', 'Whether its pattern is the one that OpenCV drew up to 4.5; auto: either',
                         choices=('false', 'true', 'auto'))
    inverted: bool = option(False, 'Whether it is printed with black and white exchanged')
    rectified: str = option('auto', 'Whether the images are rectified already; auto: if the topic is called so, as '
                            'image_rect', choices=('auto', 'yes', 'no'))
    camera_frame: str = option('', 'Optical frame of the camera; empty: the frame_id of the images')
    pose_of: str = option('', 'Board whose pose is published on charuco/pose and charuco/pose_with_covariance; empty: '
                          'the first one')
    publish_tf: bool = option(True, 'Broadcast the transforms from the optical frame to the boards')
    weights: str = option('', 'Path of the weights that find corners; empty: those shipped')
    refine_weights: str = option('', 'Path of the weights that place corners between pixels; empty: those shipped')
    device: str = option('auto', 'Where the networks run; auto takes the GPU if there is one',
                         choices=('auto', 'cpu', 'cuda'))
    started: bool = option(True, 'Look for boards from the start; false: wait for ~/start or ~/toggle')


@dataclass(frozen=True)
class MapOptions(MapConfig):
    """What map_node, and superslam_node beside the odometry, do with a map."""

    mode: str = option('off', 'What superslam_node does: off; build: add keyframes to a map; localize: find the camera '
                       'in the map of `path`, which is only read. map_node: the same, where off means build',
                       choices=('off', 'build', 'localize'))
    path: str = option('', 'File of the map: to build, loaded where it exists, and the default of superslam/map/save '
                       'and load; to localize, needed or given to load')
    save_at_end: bool = option(False, 'Save the map to `path` when the node is deactivated or ends')
    frame: str = option('map', 'Frame of the map')
    publish_tf: bool = option(True, 'Broadcast the transform from the frame of the map to frames.odom_frame, once the '
                              'camera has been found in the map')
    correction: str = option('jump', 'How that transform follows what the map finds: jump: at once; blend: spread over '
                             'blend_s', choices=('jump', 'blend'))
    blend_s: float = option(1.0, 'Seconds that a correction is spread over, with correction: blend', low=0.0,
                            high=60.0)


@dataclass(frozen=True)
class GuessOptions(GuessConfig):
    """Whose odometry is a guess, and what is made of it."""

    source: str = option('off', 'Guess: where the odometry of the wheels comes from: off; odometry: nav_msgs/Odometry '
                         'on the topic guess; tf: the transform from guess.frame to frames.base_frame',
                         choices=('off', 'odometry', 'tf'))
    frame: str = option('', 'Guess, with source tf: frame of the odometry of the wheels, such as odom. The transform '
                        'that is broadcast is then from frames.odom_frame, which needs another name, to this frame')


@dataclass(frozen=True)
class ImuOptions(ImuConfig):
    """Whether there is an IMU, and what is known of it."""

    enabled: bool = option(False, 'IMU: take sensor_msgs/Imu from the topic imu; TF must connect its frame with the '
                           'camera')


@dataclass(frozen=True)
class NodeConfig(SlamConfig):
    """Options of all stages, and of what is published."""

    frames: FrameConfig = group(FrameConfig)
    map: MapOptions = group(MapOptions)
    guess: GuessOptions = group(GuessOptions)
    imu: ImuOptions = group(ImuOptions)
    viewer: str = option('', 'superslam_node: show the work in rerun: native (a window), web (a browser), the '
                         'address of a rerun viewer, or a path ending in .rrd; empty: nowhere')


@dataclass(frozen=True)
class MapNodeConfig:
    """Options of map_node."""

    frames: FrameConfig = group(FrameConfig)
    map: MapOptions = group(MapOptions)


@dataclass(frozen=True)
class CharucoNodeConfig:
    """Options of charuco_node."""

    charuco: CharucoConfig = group(CharucoConfig)


def every_option() -> Iterator[Option]:
    """Yield what all nodes have, then the rest."""
    for config_class in (TopicConfig, NodeConfig, CharucoNodeConfig):
        yield from config.options(config_class)


def unknown_names(given: Iterable[str]) -> list[str]:
    """Return the names that no node of this package has, quoted, with the ones that may be meant."""
    known = [spec.name for spec in every_option()]
    return [config.unknown(name, known) for name in sorted(given)
            if name not in known and not name.startswith(OF_ROS)]
