"""An input, and an odometry that knows what the input says of its images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.inputs.frames import Frames
from superslam_ros.inputs.opening import open_frames
from superslam_ros.slam import SlamConfig

Config = TypeVar('Config', bound=SlamConfig)


@contextmanager
def opened(path: Path, config: Config, options: ReaderOptions) -> Iterator[tuple[Frames, Config]]:
    """Give the frames of an input, and the configuration for them.

    What the configuration says of the images, ``extractor.black_level`` and ``white_level`` and that
    ``odometry.rectified`` is false, holds, where the options do not say it.

    :raises BagError: when the input cannot be used.
    """
    rectified = options.rectified
    if rectified == 'auto' and not config.odometry.rectified:
        rectified = 'no'
    options = replace(options, rectified=rectified, black_level=config.extractor.black_level,
                      white_level=config.extractor.white_level)
    with open_frames(path, options) as frames:
        yield frames, replace(config, odometry=replace(config.odometry, rectified=frames.rectified))
