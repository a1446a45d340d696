"""Frames from a bag: decoded, calibrated, stereo and depth brought to the left image by their stamps."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from superslam_ros import conversions
from superslam_ros.bags import bag, topics
from superslam_ros.bags.bag import BagError, BagReader, Connection
from superslam_ros.bags.calibration import read_camera
from superslam_ros.data import Camera, Frame
from superslam_ros.sync import Bundle, Requirements, Stamped, Synchronizer, apart, tolerance_s

log = logging.getLogger(__name__)

SMALLEST_SIDE = 16


@dataclass(frozen=True)
class ReaderOptions:
    """What the user may say about the camera of a bag; empty means: find out.

    :ivar rectified: auto (from the topic's name), yes or no.
    :ivar camera_file: calibration in the format of camera_calibration, in place of camera_info.
    :ivar tolerance_s: largest difference of the stamps of what belongs to one frame; 0: see ``sync.tolerance_s``.
    :ivar receive_time: use the time of receipt instead of the header's stamp.
    :ivar black_level: of images of more than 8 bits, as ``white_level``: see ``conversions.Levels``.
    """

    mode: str = 'auto'
    image: str = ''
    right_image: str = ''
    depth: str = ''
    camera_info: str = ''
    right_camera_info: str = ''
    rectified: str = 'auto'
    camera_file: Path | None = None
    right_camera_file: Path | None = None
    tolerance_s: float = 0.0
    receive_time: bool = False
    black_level: float = 0.0
    white_level: float = 0.0


class Recorded(NamedTuple):
    """A frame, and the messages it was made of, as they were recorded."""

    frame: Frame
    messages: list[tuple[Connection, bytes]]


class _Skip(Exception):
    """This frame cannot be used: the reason, which is counted, and what was found in this one."""

    def __init__(self, reason: str, detail: str = '') -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


class BagFrames:
    """Iterates over the frames of an open bag; counts and logs what it has to leave out.

    :ivar selection: the topics in use.
    :ivar skipped: reason, with what was found in the first such frame -> how many frames were left out for it.
    :ivar levels: how images of more than 8 bits become 8.
    :ivar without_depth: how many frames of a camera with depth had none.
    """

    def __init__(self, reader: BagReader, options: ReaderOptions | None = None) -> None:
        """Choose the topics and find the first calibration.

        :raises BagError: when there is nothing to read, or no calibration.
        """
        self.reader, self.options = reader, options or ReaderOptions()
        o = self.options
        if o.tolerance_s < 0:
            raise BagError(f'--sync-tolerance {o.tolerance_s}: must not be negative')
        listed = bag.list_topics(reader)
        self.selection = topics.select(
            listed,
            o.mode,
            o.image,
            o.right_image,
            o.depth,
            o.camera_info,
            o.right_camera_info,
            calibrated=o.camera_file is not None,
        )
        # Times of receipt jitter more than stamps.
        mode = 'depth' if o.receive_time else self.selection.mode
        self._tolerance_s = tolerance_s(o.tolerance_s, mode)
        self.rectified = (
            topics.is_rectified(self.selection.image) if o.rectified == 'auto' else o.rectified == 'yes'
        )
        self._frame_ids = {topic.name: topic.frame_id for topic in listed}
        self._check_registration()
        self.skipped: Counter[str] = Counter()
        self._said: dict[str, str] = {}
        self.levels = conversions.Levels(o.black_level, o.white_level)
        self.without_depth, self._requirements = 0, Requirements()
        self._raw_info: dict[str, tuple[Connection, bytes]] = {}
        self._info_problem: dict[str, str] = {}
        self._cameras: dict[str, Camera] = {}
        self._load_cameras()

    def _check_registration(self) -> None:
        frames = (self._frame_ids.get(name, '') for name in (self.selection.image, self.selection.depth))
        problem = conversions.unregistered(*frames)
        if problem:
            log.warning('%s: %s; or --mode mono', self.selection.depth, problem)

    def __len__(self) -> int:
        """Return the number of messages of the image topic."""
        return self.reader.count(self.selection.image)

    def __iter__(self) -> Iterator[Recorded]:
        """Yield every frame that can be used, in the order of receipt."""
        chosen = self.selection
        roles = {chosen.image: 'image', chosen.right_image: 'right image', chosen.depth: 'depth',
                 chosen.camera_info: 'left', chosen.right_camera_info: 'right'}
        roles.pop('', None)
        companions = [roles[name] for name in (chosen.right_image, chosen.depth) if name]
        synchronizer = Synchronizer(companions, round(self._tolerance_s * 1e9))
        connections = [c for c in self.reader.connections if c.topic in roles]
        for connection, log_ns, raw in self.reader.messages(connections):
            role = roles[connection.topic]
            message = bag.deserialize(raw, connection)
            if message is None:
                self._leave_out(f'{role}: message cannot be read', connection.topic)
            elif role in ('left', 'right'):
                self._take_info(role, message, connection, raw)
            else:
                stamped = self._stamped(message, log_ns, (connection, raw))
                if stamped is None:
                    self._leave_out(f'{role}: stamp is zero or negative (--receive-time uses the time of receipt)',
                                    connection.topic)
                    continue
                add = synchronizer.add_main if role == 'image' else None
                ready = add(stamped) if add else synchronizer.add_companion(role, stamped)
                for bundle in ready:
                    yield from self._frames(bundle)
        for bundle in synchronizer.flush():
            yield from self._frames(bundle)

    def _stamped(self, message: Any, log_ns: int, source: tuple[Connection, bytes]) -> Stamped | None:
        stamp = log_ns if self.options.receive_time else conversions.stamp_ns(message.header.stamp)
        return Stamped(stamp, log_ns, (message, source)) if stamp > 0 else None

    def _frames(self, bundle: Bundle) -> Iterator[Recorded]:
        """Yield the frame of a bundle, or nothing."""
        try:
            frame = self._frame(bundle)
        except _Skip as skip:
            self._leave_out(skip.reason, self.selection.image, skip.detail)
            return
        used = [bundle.main, *bundle.companions.values()]
        infos = [self._raw_info[name] for name in sorted(self._raw_info)]
        yield Recorded(frame, infos + [message.item[1] for message in used])

    def _frame(self, bundle: Bundle) -> Frame:
        lacking = self._requirements.lacking(bundle)
        if lacking:
            off_ns = bundle.off_ns.get(lacking[0])
            raise _Skip(f'no {lacking[0]} within {self._tolerance_s * 1e3:g} ms of the image',
                        '' if off_ns is None else f'the nearest is {apart(off_ns)}')
        if bundle.missing:
            self.without_depth += 1
            if self.without_depth == 1:
                log.warning('%s: a frame has no depth and is tracked without (said once, counted in the summary)',
                            self.selection.depth)
        frame = Frame(bundle.main.stamp_ns, self._image('image', bundle.main), self._cameras.get('left'))
        if min(frame.image.shape) < SMALLEST_SIDE:
            raise _Skip(f'image with a side below {SMALLEST_SIDE} pixels', _size(frame.image))
        frame.camera = _camera_of('image', frame.image, frame.camera)
        if 'right image' in bundle.companions:
            frame.right_image = self._image('right image', bundle.companions['right image'])
            if frame.right_image.shape != frame.image.shape:
                raise _Skip('left and right image are of different size',
                            f'{_size(frame.image)}, {_size(frame.right_image)}')
            frame.right_camera = _camera_of('right image', frame.right_image, self._cameras.get('right'))
        if 'depth' in bundle.companions:
            frame.depth_m = self._image('depth', bundle.companions['depth'])
            if frame.depth_m.shape != frame.image.shape:
                raise _Skip('depth and image are of different size: register the depth to the image '
                            '(depth_image_proc)', f'{_size(frame.depth_m)}, {_size(frame.image)}')
        return frame

    def _image(self, role: str, message: Stamped) -> np.ndarray:
        try:
            if role == 'depth':
                return conversions.depth_m(message.item[0])
            return conversions.gray(message.item[0], self.levels)
        except conversions.ConversionError as error:
            raise _Skip(f'{role}: {error.reason}', error.detail) from error

    def _leave_out(self, reason: str, topic: str, detail: str = '') -> None:
        if reason not in self._said:
            self._said[reason] = f'{reason} (first: {detail})' if detail else reason
            log.warning('%s: frame left out: %s (said once, counted in the summary)', topic, self._said[reason])
        self.skipped[self._said[reason]] += 1

    # Calibration ------------------------------------------------------------------------------------

    def _load_cameras(self) -> None:
        """Read the camera files, or the first valid camera_info of each topic, so that it may come late."""
        o, chosen = self.options, self.selection
        for role, file, image, topic, flag in (
            ('left', o.camera_file, chosen.image, chosen.camera_info, '--camera-info'),
            ('right', o.right_camera_file, chosen.right_image, chosen.right_camera_info, '--right-camera-info'),
        ):
            if role == 'right' and not chosen.right_image:
                continue
            if file is not None:
                camera = read_camera(file, self.rectified)
                self._cameras[role] = replace(camera, frame_id=self._frame_ids.get(image) or camera.frame_id)
            elif not topic:
                raise BagError(f'{flag} FILE.yaml is needed for {chosen.right_image} as well')
            else:
                self._first_info(role, topic, flag)
        right = self._cameras.get('right')
        if right is not None and not right.baseline_to(self._cameras['left']) > 1e-6:
            raise BagError(f'{chosen.right_camera_info or o.right_camera_file}: the stereo baseline is not positive '
                           '(-P[3] / P[0] of the right camera, less that of the left); calibrate the pair, give the '
                           'left camera as the left one, or use --mode mono')

    def _first_info(self, role: str, topic: str, flag: str) -> None:
        connections = [c for c in self.reader.connections if c.topic == topic]
        for connection, _, raw in self.reader.messages(connections):
            message = bag.deserialize(raw, connection)
            if message is not None:
                self._take_info(role, message, connection, raw)
            if role in self._cameras:
                return
        problem = self._info_problem.get(role, 'no message of it can be read')
        raise BagError(f'{topic}: {problem}; give {flag} FILE.yaml in the format of camera_calibration')

    def _take_info(self, role: str, message: Any, connection: Connection, raw: bytes) -> None:
        """Use a camera_info from now on; one that is not valid leaves the last one in force."""
        topic = connection.topic
        try:
            camera = conversions.camera(message, self.rectified)
        except conversions.ConversionError as error:
            if role not in self._info_problem:
                log.warning('%s: %s', topic, error)
            self._info_problem[role] = str(error)
            return
        self._raw_info[topic] = connection, raw
        before = self._cameras.get(role)
        if before is None or not before.same(camera):
            if before is not None:
                log.warning(
                    '%s: the calibration changes at %d ns', topic, conversions.stamp_ns(message.header.stamp)
                )
            self._cameras[role] = camera
            problem = conversions.off_centre(camera)
            if problem:
                log.warning('%s: %s', topic, problem)


def _camera_of(role: str, image: np.ndarray, camera: Camera | None) -> Camera | None:
    """Return the camera of an image, binning and region of interest applied."""
    try:
        return camera and camera.of_image(image.shape[1], image.shape[0])
    except ValueError as error:
        raise _Skip(f'{role} and its calibration do not belong together', f'the {role} {error}') from error


def _size(image: np.ndarray) -> str:
    return f'{image.shape[1]}x{image.shape[0]}'
