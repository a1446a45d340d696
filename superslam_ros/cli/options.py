"""Options that several commands have in common: features, configuration, the camera of a bag."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from superslam_ros.bags.reader import ReaderOptions

INPUT = ('a bag (rosbag2 folder, .mcap, .db3, ROS 1 .bag), a video, a folder of images, a camera (camera:0), or a data '
         'set: EuRoC, TUM RGB-D, KITTI odometry')
"""What can be given for a recording."""
GROUND_TRUTH = ('true poses of the optical frame (seconds x y z qx qy qz qw); default: those that a data set brings '
                'along, or NAME.tum beside the recording')
NO_TRUTH = 'none: no comparison'
FEATURES = ('superpoint', 'orb', 'sift')


def add_features(parser: argparse.ArgumentParser) -> None:
    """Add ``--features``."""
    parser.add_argument('--features', choices=FEATURES, default='superpoint', help='front-end (default superpoint)')


def add_config(parser: argparse.ArgumentParser, example: str) -> None:
    """Add ``--config`` and ``--set``, which :func:`superslam_ros.cli.settings.load` takes."""
    parser.add_argument('--config', type=Path, metavar='FILE.yaml',
                        help='options, as a ROS parameter file or plain nested names')
    parser.add_argument('--set', action='append', default=[], metavar='NAME=VALUE', dest='settings',
                        help=f'one option, e.g. {example}; may be repeated')


def add_fleet(parser: argparse.ArgumentParser, remembers: bool = True) -> None:
    """Add what says where and how many recordings are worked on at once, of commands that remember what is done."""
    group = parser.add_argument_group('several recordings')
    group.add_argument('--jobs', type=_at_least_one, default=1, metavar='N',
                       help='so many at once, each a process, which share the cores of this machine (default 1)')
    group.add_argument('--ray', default='', metavar='ADDRESS',
                       help='on a Ray cluster (auto, HOST:PORT or ray://HOST:PORT); recordings and --out must be in '
                       'folders that its machines share')
    if remembers:
        group.add_argument('--again', action='store_true',
                           help='do those again, too, that an earlier call has done with the same options')


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{text} is less than 1')
    return number


def add_camera(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which images of an input to read, and how; :func:`reader_options` reads them."""
    topics = parser.add_argument_group('camera', 'found by type and name when not given; see `superslam bag info`')
    topics.add_argument('--mode', choices=('auto', 'mono', 'stereo', 'rgbd'), default='auto')
    topics.add_argument('--image', default='', metavar='TOPIC',
                        help='image, or left image; of a data set its name, as cam0 or image_2')
    topics.add_argument('--right-image', '--right', default='', metavar='TOPIC',
                        help='right image; of a folder of images, the folder of the right ones')
    topics.add_argument('--depth', default='', metavar='TOPIC', help='depth registered to the image')
    topics.add_argument('--stamp-offset', type=float, default=0.0, metavar='SECONDS',
                        help='of a bag: added to the stamps of images and depth images')
    topics.add_argument('--max-rate', type=float, default=0.0, metavar='HZ',
                        help='of a bag: images a second that are used at most; the others are skipped, and counted')
    topics.add_argument('--mask', default='', metavar='TOPIC', help='one with every image of a bag, zero where no '
                        'keypoints are to be; the same mask for all images: --set extractor.mask=FILE.png')
    topics.add_argument('--camera-info-topic', default='', metavar='TOPIC')
    topics.add_argument('--right-camera-info-topic', default='', metavar='TOPIC')
    topics.add_argument('--camera-info', type=Path, metavar='FILE',
                        help='calibration, in place of camera_info messages or that of the data set: of '
                        "camera_calibration (ROS), Kalibr, OpenCV, or COLMAP's cameras.txt; of a pair, for both")
    topics.add_argument('--right-camera-info', type=Path, metavar='FILE')
    topics.add_argument('--rectified', choices=('auto', 'yes', 'no'), default='auto',
                        help='whether the images are rectified (auto: from the topic name, image_rect; KITTI is)')
    topics.add_argument('--sync-tolerance', type=float, default=0.0, metavar='SECONDS',
                        help='largest difference of stamps within one frame (default 0.005 in a stereo pair, 0.02 from '
                        'image to depth)')
    topics.add_argument('--receive-time', action='store_true',
                        help='use the time of receipt instead of header stamps')
    topics.add_argument('--rate', type=float, default=0.0, metavar='HZ',
                        help='images a second, of a folder of images or a video (default: as the names of the files or '
                        'the video say)')


def add_base(parser: argparse.ArgumentParser) -> None:
    """Add the options of a camera on a robot; :func:`reader_options` takes the topic, :func:`base_camera` the rest."""
    parser.add_argument('--guess', default='', metavar='TOPIC', help='odometry of the wheels (nav_msgs/Odometry) of a '
                        'bag: the pose goes on by it where the camera sees nothing')
    parser.add_argument('--base-camera', type=float, nargs=6, metavar=('X', 'Y', 'Z', 'ROLL', 'PITCH', 'YAW'),
                        help='where on the base (of --guess, or what moves in a plane with odometry.two_d) the '
                        'optical frame is (metres, radians); default: with --guess, by the transforms of the bag')


def base_camera(options: argparse.Namespace) -> tuple[float, ...] | None:
    """Return where on the base the camera is, as :func:`add_base` let it be said."""
    return None if options.base_camera is None else tuple(options.base_camera)


def add_imu(parser: argparse.ArgumentParser) -> None:
    """Add the options of an IMU; :func:`reader_options` takes them, and :func:`has_imu` tells whether there is one."""
    parser.add_argument('--imu', nargs='?', const='', metavar='TOPIC', help='use the IMU (sensor_msgs/Imu) of a bag, '
                        'by default its only one, or of an EuRoC data set: the rotation between frames by its '
                        'gyroscope, and odom with z up from the first frame on by its accelerometer')
    parser.add_argument('--imu-calibration', type=Path, action='append', default=[], metavar='FILE',
                        help='where the IMU of --imu is and how late, camchain-imucam.yaml of Kalibr, or its noise, '
                        'imu.yaml; may be given twice. Default: --camera-info where it has T_cam_imu, else the '
                        'transforms of the bag, or the data set')


def has_imu(options: argparse.Namespace) -> bool:
    """Return whether an IMU is to be used, as :func:`add_imu` let it be said.

    :raises ValueError: for a calibration without one.
    """
    if options.imu_calibration and options.imu is None:
        raise ValueError('--imu-calibration: says nothing without --imu')
    return options.imu is not None


def reader_options(options: argparse.Namespace) -> ReaderOptions:
    """Return how to read a bag, as :func:`add_camera` let it be said."""
    from superslam_ros.bags.reader import ReaderOptions

    return ReaderOptions(
        options.mode, options.image, options.right_image, options.depth, options.camera_info_topic,
        options.right_camera_info_topic, options.rectified, options.camera_info, options.right_camera_info,
        options.sync_tolerance, options.receive_time, rate_hz=options.rate,
        mask=options.mask, guess=getattr(options, 'guess', ''), imu=getattr(options, 'imu', '') or '',
        imu_files=tuple(getattr(options, 'imu_calibration', ())), stamp_offset_s=options.stamp_offset,
        max_rate_hz=options.max_rate)
