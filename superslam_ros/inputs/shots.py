"""Images of one camera, one by one, from whatever there is, with what is known of the camera, if anything."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from superslam_ros import conversions
from superslam_ros.bags import bag, topics
from superslam_ros.bags.assembly import Skip
from superslam_ros.bags.bag import BagError, BagReader
from superslam_ros.bags.calibration import read_camera
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.data import Camera
from superslam_ros.inputs import folder
from superslam_ros.inputs.listed import read_image
from superslam_ros.inputs.opening import EXPECTED, is_bag, is_camera, is_data_set, is_video, open_frames

NO_CALIBRATION = 'no calibration is given (--camera-info)'


@dataclass(frozen=True)
class ImageOptions:
    """What the user may say of the images; empty means: find out.

    :ivar image: topic of a bag, as ``camera_info``; or camera of a data set.
    :ivar camera_file: calibration, in place of camera_info or that of the data set.
    :ivar rectified: auto (of a bag, from the topic's name; of files, no), yes or no.
    :ivar every: one image in so many.
    """

    image: str = ''
    camera_info: str = ''
    camera_file: Path | None = None
    rectified: str = 'auto'
    every: int = 1


@dataclass(frozen=True)
class Shot:
    """One image, or why there is none.

    :ivar name: path of the file; of a recording, its path and the number of the image.
    :ivar image: (H, W) uint8, None where it cannot be read.
    :ivar camera: of this image, None where it is not known.
    :ivar problem: why there is no image, or no camera.
    :ivar stamp_ns: 0 for files.
    """

    name: str
    image: np.ndarray | None
    camera: Camera | None = None
    problem: str = ''
    stamp_ns: int = 0


@dataclass(frozen=True)
class Source:
    """Images of one path: files in order, a topic of a bag, or another recording.

    :ivar count: how many there are, None where that is not known.
    """

    path: Path
    files: tuple[Path, ...] = ()
    topic: str = ''
    count: int | None = None


def one_image(path: Path, topic: str = '') -> np.ndarray:
    """Return an image as (H, W) uint8: of a file, or of a recording the one of a number, ``RECORDING:N`` from 0 on.

    :param topic: of the images of a bag, or camera of a data set; '' to find it.
    :raises BagError: when there is no such image, or it cannot be read.
    """
    path, number = Path(path), None
    numbered = re.fullmatch(r'(.+):(\d+)', str(path))
    if is_camera(path) and not path.exists():
        number = 0
    elif numbered and not path.exists():
        path, number = Path(numbered[1]), int(numbered[2])
    options = ImageOptions(topic)
    found = sources([path], options)
    if number is None and (len(found[0].files) != 1 or path.is_dir()):
        raise BagError(f'{path}: which of its images? Say it, as {path}:0')
    shot = next(itertools.islice(shots(found, options), number or 0, None), None)
    if shot is None:
        raise BagError(f'{path}: has no image {number}; there are {found[0].count}')
    if shot.image is None:
        raise BagError(f'{shot.name}: {shot.problem}')
    return shot.image


def is_recording(path: Path) -> bool:
    """Say whether a path is that of images that are not files by themselves, or not only of images."""
    return is_camera(path) or is_bag(path) or is_video(path) or is_data_set(path)


def sources(paths: Sequence[Path], options: ImageOptions) -> list[Source]:
    """Return what images the paths hold.

    :raises BagError: when a path is missing, or has no images.
    """
    found = []
    for path in paths:
        if is_bag(path):
            with bag.open_bag(path) as reader:
                topic = topics.select(bag.list_topics(reader), 'mono', options.image, calibrated=('left',)).image
                found.append(Source(path, (), topic, reader.count(topic)))
        elif is_camera(path):
            found.append(Source(path))
        elif is_video(path) or is_data_set(path):
            with open_frames(path, _reader_options(options)) as frames:
                found.append(Source(path, count=frames.count))
        else:
            files = _files(path)
            found.append(Source(path, tuple(files), count=len(files)))
    return found


def shots(found: Sequence[Source], options: ImageOptions, damage: list[str] | None = None) -> Iterator[Shot]:
    """Yield the images of files, folders and recordings in order.

    :param damage: takes what is missing of the recordings.
    :raises BagError: when the calibration cannot be read.
    """
    damage = [] if damage is None else damage
    for source in found:
        if source.topic:
            yield from _of_bag(source, options, damage)
        elif source.files:
            yield from _of_files(source, options)
        else:
            yield from _of_frames(source, options, damage)


def _reader_options(options: ImageOptions) -> ReaderOptions:
    return ReaderOptions('mono', options.image, camera_info=options.camera_info, rectified=options.rectified,
                         camera_file=options.camera_file, uncalibrated=True)


def _of_frames(source: Source, options: ImageOptions, damage: list[str]) -> Iterator[Shot]:
    """Yield the images of a recording that is no bag."""
    with open_frames(source.path, _reader_options(options)) as frames:
        for number, recorded in enumerate(frames):
            frame = recorded.frame
            if number % options.every == 0:
                yield Shot(f'{source.path}:{number:06d}', frame.image, frame.camera,
                           '' if frame.camera else NO_CALIBRATION, frame.stamp_ns)
        damage += frames.damage


def _of_files(source: Source, options: ImageOptions) -> Iterator[Shot]:
    levels, camera = conversions.Levels(), None
    for file in source.files[::options.every]:
        try:
            image = read_image('image', file, levels)
        except Skip:
            yield Shot(str(file), None, None, 'the image cannot be read')
            continue
        if options.camera_file is not None and camera is None:
            camera = read_camera(options.camera_file, options.rectified == 'yes', image.shape[1::-1])
        yield _with_camera(str(file), image, camera, NO_CALIBRATION)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = folder.images(path)
        if not found:
            raise BagError(f'{path}: holds no images ({", ".join(folder.SUFFIXES)}) and is no bag; expected {EXPECTED}')
        return found
    if not path.is_file():
        raise BagError(f'{path}: no such image, folder or recording')
    return [path]


def _with_camera(name: str, image: np.ndarray, camera: Camera | None, problem: str, stamp_ns: int = 0) -> Shot:
    if camera is None:
        return Shot(name, image, None, problem, stamp_ns)
    try:
        return Shot(name, image, camera.of_image(image.shape[1], image.shape[0]), '', stamp_ns)
    except ValueError as error:
        return Shot(name, image, None, f'the image {error}', stamp_ns)


def _of_bag(source: Source, options: ImageOptions, damage: list[str]) -> Iterator[Shot]:
    """Yield the images of a bag with the camera_info before them; those before the first one have the first one."""
    with bag.open_bag(source.path) as reader:
        info_topic = options.camera_info or topics.info_topic(source.topic)
        names = {connection.topic for connection in reader.connections}
        if options.camera_info and options.camera_info not in names:
            raise BagError(f'{source.path}: no topic {options.camera_info}; it has {", ".join(sorted(names))}')
        rectified = options.rectified == 'yes' or (
            options.rectified == 'auto' and topics.is_rectified(source.topic))
        if options.camera_file is not None:
            camera, problem = read_camera(options.camera_file, rectified, name=source.topic), ''
            wanted = (source.topic,)
        else:
            camera, problem = _first_camera(reader, info_topic, rectified)
            wanted = source.topic, info_topic
        levels, number = conversions.Levels(), -1
        for connection, log_ns, message in bag.read(reader, [c for c in reader.connections if c.topic in wanted]):
            if connection.topic != source.topic:
                camera = _camera(message, rectified)[0] or camera
                continue
            number += 1
            if number % options.every == 0:
                yield _of_message(f'{source.path}:{number:06d}', message, log_ns, levels, camera, problem)
        damage += reader.damage


def _first_camera(reader: BagReader, topic: str, rectified: bool) -> tuple[Camera | None, str]:
    """Return the first valid camera_info of a bag, or None and why there is none."""
    problem = f'{reader.path} has no camera_info on {topic}'
    for _, _, message in bag.read(reader, [c for c in reader.connections if c.topic == topic]):
        camera, wrong = _camera(message, rectified)
        if camera is not None:
            return camera, ''
        problem = f'{topic}: {wrong}'
    return None, problem


def _camera(message: object, rectified: bool) -> tuple[Camera | None, str]:
    if message is None:
        return None, 'no message of it can be read'
    try:
        return conversions.camera(message, rectified), ''
    except conversions.ConversionError as error:
        return None, str(error)


def _of_message(
    name: str, message: object, log_ns: int, levels: conversions.Levels, camera: Camera | None, problem: str,
) -> Shot:
    if message is None:
        return Shot(name, None, None, 'the message cannot be read', log_ns)
    stamp_ns = conversions.stamp_ns(message.header.stamp)
    try:
        return _with_camera(name, conversions.gray(message, levels), camera, problem, stamp_ns)
    except conversions.ConversionError as error:
        return Shot(name, None, None, str(error), stamp_ns)
