"""What every input offers to those who process its frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from superslam_ros.bags.assembly import Recorded
from superslam_ros.conversions import Levels


class Truth(NamedTuple):
    """The true trajectory that a data set brings along.

    :ivar stamps_ns: (N,) int64.
    :ivar poses: (N, 4, 4) T_world_camera of the optical frame of the image.
    """

    file: Path
    stamps_ns: np.ndarray
    poses: np.ndarray


class Imu(NamedTuple):
    """What an inertial measurement unit has measured.

    :ivar stamps_ns: (N,) int64.
    :ivar angular_rad_s: (N, 3) in the unit's own axes, as ``linear_m_s2``, in which gravity is.
    :ivar T_imu_camera: (4, 4) of the optical frame of the image.
    """

    stamps_ns: np.ndarray
    angular_rad_s: np.ndarray
    linear_m_s2: np.ndarray
    T_imu_camera: np.ndarray


class Frames(Protocol):
    """The frames of an input that is open, in order; they can be iterated over once more, unless it is a camera.

    :ivar kind: bag, EuRoC, TUM RGB-D, KITTI, images, video or camera.
    :ivar rectified: whether the images are.
    :ivar calibration: where it is from, in a few words; empty: camera_info messages.
    :ivar guessed: what of the calibration is a guess, in words; empty: nothing.
    :ivar levels: how images of more than 8 bits become 8.
    """

    kind: str
    rectified: bool
    calibration: str
    guessed: str
    levels: Levels

    @property
    def mode(self) -> str:
        """mono, stereo or rgbd."""

    @property
    def streams(self) -> Mapping[str, str]:
        """Role (image, right_image, depth, camera_info ...) -> topic, folder, file or device."""

    @property
    def count(self) -> int | None:
        """How many images there are; None where that is not known."""

    @property
    def skipped(self) -> Counter[str]:
        """Reason, with what was found in the first such frame -> how many frames were left out for it."""

    @property
    def without_depth(self) -> int:
        """How many frames of a camera with depth had none."""

    @property
    def damage(self) -> Sequence[str]:
        """What is missing or cannot be read, as far as is known yet."""

    def truth(self) -> Truth | None:
        """Return the true trajectory, where the data set has one.

        :raises BagError: when it cannot be read.
        """

    def imu(self) -> Imu | None:
        """Return what an inertial unit has measured, where the data set has one.

        :raises BagError: when it cannot be read.
        """

    def __iter__(self) -> Iterator[Recorded]:
        """Yield every frame that can be used."""
