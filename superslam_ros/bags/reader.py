"""Frames from a bag: decoded, calibrated, stereo and depth brought to the left image by their stamps."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from superslam_ros import conversions
from superslam_ros.bags import bag, topics
from superslam_ros.bags.assembly import Assembled, Assembler, Recorded, Skip
from superslam_ros.bags.bag import BagError, BagReader, Connection
from superslam_ros.bags.calibration import cameras_of_files, check_pair
from superslam_ros.bags.topics import Selection
from superslam_ros.sync import Bundle, RateLimit, Stamped, Synchronizer, tolerance_s

log = logging.getLogger(__name__)

ODOMETRY_TYPE, IMU_TYPE = 'nav_msgs/msg/Odometry', 'sensor_msgs/msg/Imu'


@dataclass(frozen=True)
class ReaderOptions:
    """What the user may say about the camera of a recording; empty means: find out.

    :ivar image: topic of a bag, or camera of a data set (cam0, image_2), as ``right_image`` and ``depth``.
    :ivar mask: topic of masks, one with every image: zero where no keypoints are to be.
    :ivar stamp_offset_s: added to the stamps of images and depth images.
    :ivar max_rate_hz: images a second that are used at most; 0: all.
    :ivar guess: topic of nav_msgs/Odometry of wheels, for ``BagFrames.on_guess``.
    :ivar imu: topic of sensor_msgs/Imu; ``imu_files``: its calibration, see ``calibration.inertial``.
    :ivar rectified: auto (of a bag from the topic's name, of a data set as its kind is), yes or no.
    :ivar camera_file: calibration, in any of ``calibration.FORMATS``, in place of camera_info; of a pair for both.
    :ivar tolerance_s: largest difference of the stamps of what belongs to one frame; 0: see ``sync.tolerance_s``.
    :ivar receive_time: use the time of receipt instead of the header's stamp.
    :ivar uncalibrated: where there is no calibration, none is guessed: frames have none.
    :ivar rate_hz: images a second, where they have no times.
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
    uncalibrated: bool = False
    rate_hz: float = 0.0
    mask: str = ''
    guess: str = ''
    imu: str = ''
    imu_files: tuple[Path, ...] = ()
    stamp_offset_s: float = 0.0
    max_rate_hz: float = 0.0


class BagFrames(Assembled):
    """Iterates over the frames of an open bag; counts and logs what it has to leave out.

    :ivar selection: the topics in use.
    :ivar levels: how images of more than 8 bits become 8.
    :ivar calibration: the files it is from; empty: camera_info messages.
    :ivar guessed: what of it is a guess: nothing.
    :ivar imu_topics: of sensor_msgs/Imu, with messages.
    :ivar on_guess: called with every message of ``options.guess``, between the frames as they were recorded.
    """

    kind, guessed = 'bag', ''

    def __init__(self, reader: BagReader, options: ReaderOptions | None = None) -> None:
        """Choose the topics and find the first calibration.

        :raises BagError: when there is nothing to read, or no calibration.
        """
        self.reader, self.options = reader, options or ReaderOptions()
        o = self.options
        if o.tolerance_s < 0:
            raise BagError(f'--sync-tolerance {o.tolerance_s}: must not be negative')
        if o.max_rate_hz < 0:
            raise BagError(f'--max-rate {o.max_rate_hz:g}: must not be negative')
        if o.rate_hz:
            raise BagError(f'--rate {o.rate_hz:g}: the messages of a bag have their stamps')
        listed = bag.list_topics(reader)
        self._frame_ids = {topic.name: topic.frame_id for topic in listed}
        self._sizes = {topic.name: topic.size for topic in listed}
        self.selection = self._select(listed, ('left', 'right'))
        self.on_guess: Callable[[Any], None] = lambda message: None
        self.imu_topics = [topic.name for topic in listed if topic.type == IMU_TYPE and topic.count]
        for flag, name, kind in (('--guess', o.guess, ODOMETRY_TYPE), ('--imu', o.imu, IMU_TYPE)):
            there = [topic.name for topic in listed if topic.type == kind]
            if name and name not in there:
                others = f'; there is {", ".join(there)}' if there else ''
                raise BagError(f'{flag} {name}: no topic of {kind} in this bag{others}')
        # Times of receipt jitter more than stamps.
        self._tolerance_s = tolerance_s(o.tolerance_s, 'depth' if o.receive_time else self.mode)
        self.rectified = (
            topics.is_rectified(self.selection.image) if o.rectified == 'auto' else o.rectified == 'yes'
        )
        self._check_registration()
        self.levels = conversions.Levels(o.black_level, o.white_level)
        streams = {name.replace('_', ' '): topic for name, topic in self.streams.items()}
        self._assembler = Assembler(streams, self._tolerance_s, self._image)
        self._raw_info: dict[str, tuple[Connection, bytes]] = {}
        self._info_problem: dict[str, str] = {}
        self._load_cameras(listed)

    def _select(self, listed: list[bag.Topic], calibrated: Collection[str]) -> Selection:
        o = self.options
        return topics.select(listed, o.mode, o.image, o.right_image, o.depth, o.camera_info, o.right_camera_info,
                             calibrated, o.mask)

    @property
    def mode(self) -> str:
        """mono, stereo or rgbd."""
        return self.selection.mode

    @property
    def camera_frame(self) -> str:
        """Optical frame of the left, or only, image; empty where its messages do not say it."""
        return self._frame_ids.get(self.selection.image, '')

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Width and height of the left, or only, image, as far as its first message says."""
        return self._sizes.get(self.selection.image)

    def late_ns(self, topic: str) -> int | None:
        """Return how much later than its stamp the first message of a topic was received; None without one."""
        for _, log_ns, message in bag.read(self.reader, self.reader.of_topic(topic)):
            if message is not None:
                return log_ns - conversions.stamp_ns(message.header.stamp)
        return None

    @property
    def streams(self) -> dict[str, str]:
        """Role -> topic in use."""
        return {role: name for role, name in vars(self.selection).items() if name}

    @property
    def damage(self) -> list[str]:
        """What is missing or cannot be read of the bag, as far as is known yet."""
        return self.reader.damage

    @property
    def count(self) -> int:
        """The number of messages of the image topic."""
        return len(self)

    def truth(self) -> None:
        """Nothing: a bag has no ground truth of its own."""

    def imu(self) -> None:
        """Nothing: topics of sensor_msgs/Imu are read beside the frames, not as a whole."""

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
        roles = {chosen.image: 'image', chosen.right_image: 'right image', chosen.depth: 'depth', chosen.mask: 'mask',
                 chosen.camera_info: 'left', chosen.right_camera_info: 'right', self.options.guess: 'guess'}
        roles.pop('', None)
        companions = [roles[name] for name in (chosen.right_image, chosen.depth, chosen.mask) if name]
        synchronizer = Synchronizer(companions, round(self._tolerance_s * 1e9))
        rate = RateLimit(self.options.max_rate_hz)
        connections = [c for c in self.reader.connections if c.topic in roles]
        for connection, log_ns, raw in self.reader.messages(connections):
            role = roles[connection.topic]
            message = bag.deserialize(raw, connection)
            if message is None:
                self._assembler.leave_out(f'{role}: message cannot be read', role)
            elif role == 'guess':
                self.on_guess(message)
            elif role in ('left', 'right'):
                self._take_info(role, message, connection, raw)
            else:
                stamped = self._stamped(message, log_ns, (connection, raw))
                if stamped is None:
                    self._assembler.leave_out(
                        f'{role}: stamp is zero or negative (--receive-time uses the time of receipt)', role)
                    continue
                if role == 'image' and not rate.passes(stamped.stamp_ns):
                    self.skipped['above --max-rate'] += 1
                    continue
                add = synchronizer.add_main if role == 'image' else None
                ready = add(stamped) if add else synchronizer.add_companion(role, stamped)
                for bundle in ready:
                    yield from self._frames(bundle)
        for bundle in synchronizer.flush():
            yield from self._frames(bundle)

    def _stamped(self, message: Any, log_ns: int, source: tuple[Connection, bytes]) -> Stamped | None:
        stamp = log_ns if self.options.receive_time else conversions.stamp_ns(message.header.stamp)
        if stamp <= 0:
            return None
        return Stamped(stamp + round(self.options.stamp_offset_s * 1e9), log_ns, (message, source))

    def _frames(self, bundle: Bundle) -> Iterator[Recorded]:
        """Yield the frame of a bundle, or nothing."""
        frame = self._assembler.frame(bundle)
        if frame is None:
            return
        used = [bundle.main, *bundle.companions.values()]
        infos = [self._raw_info[name] for name in sorted(self._raw_info)]
        yield Recorded(frame, infos + [message.item[1] for message in used])

    def _image(self, role: str, message: Stamped) -> np.ndarray:
        try:
            if role == 'depth':
                return conversions.depth_m(message.item[0])
            return conversions.gray(message.item[0], None if role == 'mask' else self.levels)
        except conversions.ConversionError as error:
            raise Skip(f'{role}: {error.reason}', error.detail) from error

    # Calibration ------------------------------------------------------------------------------------

    def _load_cameras(self, listed: list[bag.Topic]) -> None:
        """Read the camera files, and of the others the first valid camera_info, so that it may come late."""
        o, images = self.options, {'left': self.selection.image, 'right': self.selection.right_image}
        if o.right_camera_file and self.mode != 'stereo':
            raise BagError(f'--right-camera-info {o.right_camera_file}: there is no right image; --right-image TOPIC')
        given = cameras_of_files(o.camera_file, o.right_camera_file, self.mode == 'stereo', self.rectified,
                                 self._sizes.get(images['left']), images)
        cameras = self._assembler.cameras
        for role, camera in given.items():
            cameras[role] = replace(camera, frame_id=self._frame_ids.get(images[role]) or camera.frame_id)
            if {'left': o.camera_info, 'right': o.right_camera_info}[role]:
                flag = '--camera-info' if role == 'left' else '--right-camera-info'
                raise BagError(f'{flag} and {flag}-topic both say what the {role} camera is; give one of them')
        self.selection = self._select(listed, given.keys())
        infos = {'left': self.selection.camera_info, 'right': self.selection.right_camera_info}
        for role, topic in infos.items():
            if topic and role not in cameras:
                self._first_info(role, topic, '--camera-info' if role == 'left' else '--right-camera-info')
        check_pair(cameras, infos['right'] or str(o.right_camera_file or o.camera_file))
        files = dict.fromkeys(str(file) for file in (o.camera_file, o.right_camera_file) if file and given)
        self.calibration = ', '.join(Path(file).name for file in files)

    def _first_info(self, role: str, topic: str, flag: str) -> None:
        connections = [c for c in self.reader.connections if c.topic == topic]
        for connection, _, raw in self.reader.messages(connections):
            message = bag.deserialize(raw, connection)
            if message is not None:
                self._take_info(role, message, connection, raw)
            if role in self._assembler.cameras:
                return
        problem = self._info_problem.get(role, 'no message of it can be read')
        raise BagError(f'{topic}: {problem}; give {flag} FILE.yaml')

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
        before = self._assembler.cameras.get(role)
        if before is None or not before.same(camera):
            if before is not None:
                log.warning(
                    '%s: the calibration changes at %d ns', topic, conversions.stamp_ns(message.header.stamp)
                )
            self._assembler.cameras[role] = camera
            problem = conversions.off_centre(camera)
            if problem:
                log.warning('%s: %s', topic, problem)

