"""The odometry of wheels in a bag, beside the images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from superslam_ros.bags.mount import mount_of
from superslam_ros.bags.reader import BagFrames
from superslam_ros.geometry.pose import from_xyz_rpy
from superslam_ros.inputs.frames import Frames
from superslam_ros.messages import odometry_of
from superslam_ros.slam import VisualOdometry
from superslam_ros.slam.guess import OdometryGuess


def place_on_base(
    frames: Frames, odometry: VisualOdometry, guess: str, base_camera: Sequence[float] | None
) -> None:
    """Have an odometry know its base, where that is said, and its wheels, where they are asked for.

    :param guess: topic of the wheels of a bag, or nothing; ``base_camera``: x, y, z, roll, pitch, yaw of the optical
        frame on the base.
    :raises BagError: when the wheels' base is not known.
    """
    if guess:
        follow_guess(frames, odometry, base_camera)
    elif base_camera is not None:
        odometry.motion.T_base_camera = from_xyz_rpy(base_camera)


def follow_guess(frames: BagFrames, odometry: VisualOdometry, base_camera: Sequence[float] | None) -> OdometryGuess:
    """Have an odometry take the wheels of ``frames.options.guess`` for a guess; return it.

    :param base_camera: x, y, z, roll, pitch, yaw of the optical frame on their base; None: by the bag's transforms.
    :raises BagError: when that is not known.
    """
    mount = from_xyz_rpy(base_camera) if base_camera is not None else mount_of(
        frames.reader, frames.options.guess, lambda message: message.child_frame_id, frames.camera_frame, '--guess',
        '--base-camera X Y Z ROLL PITCH YAW')
    guess = OdometryGuess(odometry.config.guess, mount)

    def take(message: Any) -> None:
        stamp_ns, *told = odometry_of(message)
        guess.add(stamp_ns, *told)

    frames.on_guess = take
    odometry.motion.predictor, odometry.motion.T_base_camera = guess, mount
    return guess
