"""What a run writes into its result bag: the topics of the live nodes, under ``/superslam``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from superslam_ros import display
from superslam_ros.bags.assembly import Recorded
from superslam_ros.bags.bag import as_cdr
from superslam_ros.bags.messages import Messages
from superslam_ros.bags.topics import info_topic
from superslam_ros.bags.writer import BagWriter
from superslam_ros.data import Frame
from superslam_ros.inputs.frames import Frames
from superslam_ros.slam import Step, VisualOdometry

PREFIX = '/superslam'
ODOM = 'odom'


class Recorder:
    """Writes every frame's results, the map with every keyframe, and the whole path at the end.

    Images take most of the room: the overlay is that of the last frame, and of every frame where images are copied.
    """

    def __init__(
        self, writer: BagWriter, make: Messages, frames: Frames, images: bool = False, descriptors: bool = False
    ) -> None:
        """Say where the frames are from, whether images and calibrations are recorded, and the descriptors kept."""
        self.writer, self.make, self.images, self.descriptors = writer, make, images, descriptors
        self._topics = _topics(frames)
        self._last: Step | None = None

    def write(
        self, recorded: Recorded, step: Step, odometry: VisualOdometry, frames: int, lost: int, skipped: int
    ) -> None:
        """Write one frame; the counts are totals so far."""
        stamp, camera, make = step.frame.stamp_ns, step.frame.camera, self.make
        frame_id, motion, extractor = camera.frame_id, step.motion, odometry.extractor.name
        matcher = odometry.config.matcher.matcher
        if self.images:
            self._copy(recorded, stamp)
        self._put(
            'features', stamp, make.features(stamp, frame_id, step.features, extractor, self.descriptors)
        )
        size = step.features.image_size
        self._put('matches', stamp, make.matches(step.temporal, frame_id, False, (size, size), matcher))
        if step.stereo is not None:
            right_id = step.frame.right_camera.frame_id
            self._put('features_right', stamp, make.features(
                stamp, right_id, step.right_features, extractor, self.descriptors))
            sizes = size, step.right_features.image_size
            self._put('matches_stereo', stamp, make.matches(step.stereo, frame_id, True, sizes, matcher))
        local_map = odometry.motion.map
        self._put('odometry', stamp, make.odometry(motion, ODOM, frame_id))
        self._put('status', stamp, make.status(
            motion, frame_id, keyframes=len(local_map.keyframes), landmarks=len(local_map.landmarks), frames=frames,
            lost=lost, skipped=skipped))
        shown = make, ODOM, motion, local_map
        if motion.keyframe:
            self._put('landmarks', stamp, display.landmarks(*shown))
            self._put('keyframes', stamp, display.keyframes(*shown))
        self._put('observations', stamp, display.observations(*shown))
        self._last = step
        if self.images:
            self._put_overlay(step)
        self.writer.write('/tf', stamp, make.transform(stamp, ODOM, frame_id, motion.T_odom_camera))

    def finish(self, stamps_ns: Sequence[int], poses: Sequence[np.ndarray], segments: Sequence[int]) -> None:
        """Write the path since the last reset, and what the last frame looked like."""
        last = [i for i, segment in enumerate(segments) if segment == segments[-1]]
        path = self.make.path(ODOM, [stamps_ns[i] for i in last], [poses[i] for i in last])
        self._put('path', stamps_ns[-1], path)

        if self._last is not None and not self.images:
            self._put_overlay(self._last)

    def _put_overlay(self, step: Step) -> None:
        drawn = display.overlay(step.frame.image, step.features, step.temporal)
        self._put('overlay', step.frame.stamp_ns,
                  self.make.image(step.frame.stamp_ns, step.frame.camera.frame_id, drawn))

    def _put(self, name: str, stamp_ns: int, message: object) -> None:
        self.writer.write(f'{PREFIX}/{name}', stamp_ns, message)

    def _copy(self, recorded: Recorded, stamp_ns: int) -> None:
        for connection, raw in recorded.messages:
            self.writer.write_raw(connection.topic, connection.msgtype, stamp_ns, as_cdr(raw, connection))
        for topic, message in self._made(recorded.frame):
            self.writer.write(topic, stamp_ns, message)

    def _made(self, frame: Frame) -> Iterator[tuple[str, Any]]:
        """Yield topic and message of images that were none, and of calibrations that are not from camera_info."""
        stamp, make = frame.stamp_ns, self.make
        for role, image, camera in (('image', frame.image, frame.camera),
                                    ('right_image', frame.right_image, frame.right_camera)):
            if role in self._topics.infos:
                yield self._topics.infos[role], make.camera_info(stamp, camera)
            if role in self._topics.images:
                yield self._topics.images[role], make.image(stamp, camera.frame_id, image)
        if 'depth' in self._topics.images and frame.depth_m is not None:
            yield self._topics.images['depth'], make.image(stamp, frame.camera.frame_id, frame.depth_m)


class _Topics(NamedTuple):
    """Role -> topic of the images, and of the calibrations, that have to be made."""

    images: dict[str, str]
    infos: dict[str, str]


def _topics(frames: Frames) -> _Topics:
    streams = frames.streams
    if frames.kind == 'bag':
        images, used = {}, {role: streams[role] for role in ('image', 'right_image') if role in streams}
    else:
        kind = 'image_rect' if frames.rectified else 'image_raw'
        image = f'/camera/left/{kind}' if frames.mode == 'stereo' else f'/camera/{kind}'
        names = {'image': image, 'right_image': f'/camera/right/{kind}', 'depth': f'/camera/depth_registered/{kind}'}
        used = images = {role: names[role] for role in streams}
    infos = {role: info_topic(topic) for role, topic in used.items() if role != 'depth'}
    return _Topics(images, {role: topic for role, topic in infos.items()
                            if role.replace('image', 'camera_info') not in streams})
