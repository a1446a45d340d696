"""The IMU of an input, beside its images: of a data set, or a topic of a bag."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from superslam_ros.bags import bag
from superslam_ros.bags.calibration.inertial import has_imu, read_inertial
from superslam_ros.bags.files import BagError
from superslam_ros.bags.mount import mount_of
from superslam_ros.bags.reader import BagFrames, ReaderOptions
from superslam_ros.inputs.frames import Frames
from superslam_ros.messages import imu_of
from superslam_ros.slam import VisualOdometry
from superslam_ros.slam.imu import Imu, ImuConfig

AHEAD_NS = 1_000_000_000
"""Of every frame, so much of the time after it is known."""
SAME_CLOCK_NS = 2_000_000_000
"""Stamps of two topics that come from one clock are as late as they are received, but for less than this."""
DATA_SET = 'imu0'
"""Of EuRoC, which are the only data sets with one."""
REMEDY = '--imu-calibration camchain-imucam.yaml (T_cam_imu of Kalibr)'


def follow_imu(frames: Frames, odometry: VisualOdometry, options: ReaderOptions | None = None) -> Feed:
    """Have an odometry turn by the gyroscope of an input, and z up by its accelerometer.

    Where the IMU is comes from ``options.imu_files``, else from a camera file with T_cam_imu, else from the input.

    :returns: whose ``until`` is to be called with the stamp (ns) of every frame before it is worked on.
    :raises BagError: when the input has no IMU, or one that cannot be used.
    """
    options = options or ReaderOptions()
    files = options.imu_files or tuple(
        file for file in (options.camera_file,) if file is not None and has_imu(file))
    of_bag = isinstance(frames, BagFrames)
    given = read_inertial(files, frames.streams.get('image', ''), frames.image_size if of_bag else None,
                          frames.streams.get('right_image', ''))
    T_imu_camera = given.T_imu_camera
    if of_bag:
        topic = _topic(frames)
        samples = _of_bag(frames, topic)
        if T_imu_camera is None:
            T_imu_camera = mount_of(frames.reader, topic, lambda message: message.header.frame_id, frames.camera_frame,
                                    '--imu', REMEDY)
    else:
        topic, (T_by_input, samples) = DATA_SET, _of_data_set(frames)
        T_imu_camera = T_by_input if T_imu_camera is None else T_imu_camera
    imu = odometry.motion.imu = Imu(configured(odometry.config.imu, given.options), T_imu_camera)
    return Feed(topic, imu, samples)


def configured(config: ImuConfig, found: dict[str, float]) -> ImuConfig:
    """Return options with those of files, where the user has left them as they are by default."""
    default = ImuConfig()
    return replace(config, **{name: value for name, value in found.items()
                              if getattr(config, name) == getattr(default, name)})


class Feed:
    """Hands on what has been measured until a second after a frame."""

    def __init__(self, topic: str, imu: Imu, samples: Iterator[tuple[int, np.ndarray, np.ndarray]]) -> None:
        """Begin before the first sample."""
        self._topic, self._imu, self._samples, self._next = topic, imu, samples, next(samples, None)

    def until(self, stamp_ns: int) -> None:
        """Hand on what belongs to a frame."""
        end_ns = stamp_ns + AHEAD_NS - self._imu.offset_ns
        while self._next is not None and self._next[0] < end_ns:
            self._imu.add(*self._next)
            self._next = next(self._samples, None)

    def summary(self) -> dict[str, Any]:
        """Return what summary.json says of it; ``agrees_with_vision`` is as of the end, None if never compared."""
        imu = self._imu
        return {
            'topic': self._topic,
            'refused': dict(sorted(imu.refused.items())),
            'time_offset_s': imu.config.time_offset,
            'bias_rad_s': [round(value, 6) for value in imu.comparison.bias.mean.tolist()],
            'agrees_with_vision': imu.comparison.believed if imu.comparison.looked_ns >= 0 else None,
            'disagreements': imu.comparison.disagreements,
        }


def _of_data_set(frames: Frames) -> tuple[np.ndarray, Iterator[tuple[int, np.ndarray, np.ndarray]]]:
    measured = frames.imu()
    if measured is None:
        raise BagError(f'--imu: {frames.kind} inputs have none that can be read; bags and EuRoC data sets (imu0) have')
    stamps = measured.stamps_ns
    if len(stamps) < 2 or (np.diff(stamps) <= 0).any():
        raise BagError('--imu: the stamps of the IMU are not in order, or fewer than two')
    return measured.T_imu_camera, zip(stamps.tolist(), measured.angular_rad_s, measured.linear_m_s2)


def _topic(frames: BagFrames) -> str:
    """Return the topic that is meant: the one that is named, or the only one."""
    topics = frames.imu_topics
    if frames.options.imu:
        if frames.options.imu not in topics:
            raise BagError(f'--imu {frames.options.imu}: has no messages in this bag')
        return frames.options.imu
    if len(topics) != 1:
        said = f'there are {", ".join(topics)}: name one, --imu TOPIC' if topics else \
            'no topic of sensor_msgs/msg/Imu with messages in this bag; leave it out'
        raise BagError(f'--imu: {said}')
    return topics[0]


def _of_bag(frames: BagFrames, topic: str) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Return what a topic has measured; only what is handed on is in memory.

    :raises BagError: when its stamps are of another clock than those of the images.
    """
    reader, by_receipt = frames.reader, frames.options.receive_time
    if not by_receipt:
        late_ns = [frames.late_ns(name) for name in (topic, frames.selection.image)]
        apart_ns = 0 if None in late_ns else late_ns[1] - late_ns[0]
        if abs(apart_ns) > SAME_CLOCK_NS:
            raise BagError(f'--imu {topic}: its stamps are {abs(apart_ns) * 1e-9:.3f} s '
                           f'{"before" if apart_ns < 0 else "after"} those of the images that were received at the '
                           'same time, as of another clock; --receive-time uses the times of receipt for both')
    measured = ((log_ns, imu_of(message)) for _, log_ns, message in bag.read(reader, reader.of_topic(topic))
                if message is not None)
    return ((log_ns if by_receipt else stamp_ns, *values) for log_ns, (stamp_ns, *values) in measured)
