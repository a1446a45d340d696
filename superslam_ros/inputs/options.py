"""Options that an input takes, and those that say nothing of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from superslam_ros.bags.files import BagError
from superslam_ros.bags.reader import ReaderOptions

FLAGS = {'image': '--image', 'right_image': '--right-image', 'depth': '--depth', 'camera_info': '--camera-info-topic',
         'right_camera_info': '--right-camera-info-topic', 'receive_time': '--receive-time', 'rate_hz': '--rate',
         'tolerance_s': '--sync-tolerance', 'mask': '--mask', 'right_camera_file': '--right-camera-info',
         'guess': '--guess', 'imu': '--imu TOPIC', 'stamp_offset_s': '--stamp-offset', 'max_rate_hz': '--max-rate'}


def refuse(path: Path, options: ReaderOptions, kind: str, taken: Collection[str], modes: Collection[str]) -> None:
    """Refuse options that say nothing of an input, so that none is passed over in silence.

    :param taken: of :data:`FLAGS`; ``modes`` that it can have.
    :raises BagError: naming the option.
    """
    for name, flag in FLAGS.items():
        if getattr(options, name) and name not in taken:
            raise BagError(f'{flag}: says nothing of {path}, which is {kind}; leave it out')
    if options.mode not in ('auto', *modes):
        raise BagError(f'--mode {options.mode}: {path} is {kind}, which has {" and ".join(modes)} only')
    if options.rate_hz < 0 or options.tolerance_s < 0:
        raise BagError('--rate and --sync-tolerance must not be negative')


def named(path: Path, options: ReaderOptions, cameras: Sequence[str], pairs: Mapping[str, str]) -> dict[str, str]:
    """Return role -> camera of a data set: those that the user names, or the first with its partner.

    :param cameras: that there are; ``pairs``: right camera of a left one.
    :raises BagError: when there is none of a name.
    """
    for flag, name in (('--image', options.image), ('--right-image', options.right_image)):
        if name and name not in cameras:
            raise BagError(f'{flag} {name}: {path} has {", ".join(cameras)}')
    left = options.image or next((name for name in pairs if name in cameras), cameras[0])
    right = options.right_image or pairs.get(left, '')
    return {'image': left, **({'right image': right} if right in cameras else {})}
