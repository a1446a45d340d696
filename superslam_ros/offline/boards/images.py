"""Images of one camera, from files, folders and bags, with what is known of the camera."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from superslam_ros import conversions
from superslam_ros.bags import bag, topics
from superslam_ros.bags.bag import BagError, BagReader
from superslam_ros.bags.calibration import read_camera
from superslam_ros.bags.files import is_bag
from superslam_ros.data import Camera

SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.pgm', '.ppm', '.webp')


@dataclass(frozen=True)
class ImageOptions:
    """What the user may say of the images; empty means: find out.

    :ivar image: topic of a bag, as ``camera_info``.
    :ivar camera_file: calibration in the format of camera_calibration, in place of camera_info.
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

    :ivar name: path of the file; of a bag, its path and the number of the message.
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
    """Images of one path: files in order, or a topic of a bag; ``count``: how many there are."""

    path: Path
    files: tuple[Path, ...]
    topic: str
    count: int


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
        else:
            files = _files(path)
            found.append(Source(path, tuple(files), '', len(files)))
    return found


def shots(found: Sequence[Source], options: ImageOptions) -> Iterator[Shot]:
    """Yield the images of files, folders and bags in order.

    :raises BagError: when the calibration cannot be read.
    """
    given = None if options.camera_file is None else read_camera(options.camera_file, options.rectified == 'yes')
    for source in found:
        if source.topic:
            yield from _of_bag(source, options)
        for file in source.files[::options.every]:
            yield _with_camera(str(file), _read(file), given, 'no calibration is given (--camera-info)')


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(inner for inner in path.iterdir() if inner.suffix.lower() in SUFFIXES)
        if not found:
            raise BagError(f'{path}: holds no images ({", ".join(SUFFIXES)}) and is no bag')
        return found
    if not path.is_file():
        raise BagError(f'{path}: no such image, folder or bag')
    return [path]


def _read(file: Path) -> np.ndarray | None:
    """Return an image, its pixels where they are stored: that is where its calibration has them."""
    return cv2.imread(str(file), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)


def _with_camera(name: str, image: np.ndarray | None, camera: Camera | None, problem: str, stamp_ns: int = 0) -> Shot:
    if image is None:
        return Shot(name, None, None, 'the image cannot be read', stamp_ns)
    if camera is None:
        return Shot(name, image, None, problem, stamp_ns)
    try:
        return Shot(name, image, camera.of_image(image.shape[1], image.shape[0]), '', stamp_ns)
    except ValueError as error:
        return Shot(name, image, None, f'the image {error}', stamp_ns)


def _of_bag(source: Source, options: ImageOptions) -> Iterator[Shot]:
    """Yield the images of a bag with the camera_info before them; those before the first one have the first one."""
    with bag.open_bag(source.path) as reader:
        info_topic = options.camera_info or topics.info_topic(source.topic)
        names = {connection.topic for connection in reader.connections}
        if options.camera_info and options.camera_info not in names:
            raise BagError(f'{source.path}: no topic {options.camera_info}; it has {", ".join(sorted(names))}')
        rectified = options.rectified == 'yes' or (
            options.rectified == 'auto' and topics.is_rectified(source.topic))
        if options.camera_file is not None:
            camera, problem, wanted = read_camera(options.camera_file, rectified), '', (source.topic,)
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
