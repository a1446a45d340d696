"""Which topics of a bag are the camera: by type, by name, and by what their first message says."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from superslam_ros.bags.bag import INFO_TYPE, BagError, Topic
from superslam_ros.conversions import DEPTH_ENCODINGS

# How the names of a left topic become those of its right partner.
_RIGHT_OF = (
    ('left', 'right'),
    ('Left', 'Right'),
    ('LEFT', 'RIGHT'),
    ('cam0', 'cam1'),
    ('camera0', 'camera1'),
    ('camera_0', 'camera_1'),
    ('image_0', 'image_1'),
    ('infra1', 'infra2'),
    ('cam_0', 'cam_1'),
    ('cam1', 'cam2'),
    ('camera1', 'camera2'),
    ('image_00', 'image_01'),
)


VIDEO_TYPES = (
    'theora_image_transport/msg/Packet', 'ffmpeg_image_transport_msgs/msg/FFMPEGPacket',
    'foxglove_msgs/msg/CompressedVideo', 'foxglove/msg/CompressedVideo')
"""Of which a single message is no image."""
_REPUBLISH = 'play the bag, have `ros2 run image_transport republish` decode it to raw images, and record those'


@dataclass(frozen=True)
class Selection:
    """The topics of one camera; empty names are topics that are not used."""

    image: str
    camera_info: str = ''
    right_image: str = ''
    right_camera_info: str = ''
    depth: str = ''
    mask: str = ''

    @property
    def mode(self) -> str:
        """mono, stereo or rgbd."""
        return 'stereo' if self.right_image else 'rgbd' if self.depth else 'mono'


def select(
    topics: Sequence[Topic], mode: str = 'auto', image: str = '', right_image: str = '', depth: str = '',
    camera_info: str = '', right_camera_info: str = '', calibrated: Collection[str] = (), mask: str = '',
) -> Selection:
    """Choose the camera topics.

    Without instructions: a color image with a depth registered to it, else a stereo pair, else an image with
    any depth, else one image. Named topics are taken as they are.

    :param calibrated: of ``left`` and ``right`` those whose calibration comes from a file, so that their camera_info
        is not needed.
    :raises BagError: when a named topic is not there or has no messages, or nothing fits; with what there is.
    """
    for name in (image, right_image, depth, camera_info, right_camera_info, mask):
        _require(topics, name)
    usable = [topic for topic in topics
              if topic.is_image and topic.count and not topic.problem and topic.name != mask]
    images = [topic for topic in usable if not _is_depth(topic)]
    depths = [topic for topic in usable if _is_depth(topic) and topic.name != image]
    if not image and not images:
        raise BagError(f'no image topic in this bag; it has {_listing(topics)}{_hint(topics, depths)}')
    mode = _mode(mode, right_image, depth)
    if mode == 'mono':
        image = image or min(images, key=_rank).name
        right_image = depth = ''
    elif mode == 'stereo':
        image, right_image = _stereo(images, image, right_image)
    elif mode == 'rgbd':
        image, depth = _rgbd(images, depths, image, depth)
    else:
        image, right_image, depth = _automatic(images, depths, image)
    if 'left' not in calibrated:
        camera_info = camera_info or _info_of(topics, image, '--camera-info-topic')
    if right_image and 'right' not in calibrated:
        right_camera_info = right_camera_info or _info_of(topics, right_image, '--right-camera-info-topic')
    return Selection(image, camera_info, right_image, right_camera_info, depth, mask)


def is_rectified(name: str) -> bool:
    """Guess from an image topic's name whether image_proc has rectified it."""
    return re.search(r'(?<![a-z])rect(ified)?(?![a-z])', name.lower()) is not None


def info_topic(image: str) -> str:
    """Return the camera_info topic that belongs to an image topic by ROS convention."""
    base = re.sub(r'/(compressed|compressedDepth|zstd|zlib)$', '', image)
    return f'{base.rpartition("/")[0]}/camera_info'


def _mode(mode: str, right_image: str, depth: str) -> str:
    if mode == 'auto' and right_image:
        return 'stereo'
    return 'rgbd' if mode == 'auto' and depth else mode


def _automatic(images: list[Topic], depths: list[Topic], image: str) -> tuple[str, str, str]:
    pairs = _pairs(images, image)
    registered = [topic for topic in depths if re.search('aligned|registered', topic.name)]
    if registered or (depths and not pairs):
        name, depth = _rgbd(images, registered or depths, image, '')
        return name, '', depth
    if pairs:
        return (*pairs[0], '')
    return image or min(images, key=_rank).name, '', ''


def _stereo(images: list[Topic], image: str, right_image: str) -> tuple[str, str]:
    if image and right_image:
        return image, right_image
    if right_image:
        lefts = [left.name for left in images if right_image in _right_names(left.name)]
        if lefts:
            return lefts[0], right_image
    pairs = _pairs(images, image)
    if not pairs:
        raise BagError(f'no left and right image topics found among {_listing(images)}; '
                       'name them: --image TOPIC --right-image TOPIC')
    return pairs[0]


def _pairs(images: list[Topic], image: str) -> list[tuple[str, str]]:
    """Return the (left, right) pairs, the best first."""
    names = {topic.name for topic in images}
    lefts = [topic for topic in images if not image or topic.name == image]
    return [(left.name, right) for left in sorted(lefts, key=_rank) for right in _right_names(left.name)
            if right in names]


def _right_names(left: str) -> list[str]:
    return [left.replace(a, b) for a, b in _RIGHT_OF if a in left]


def _rgbd(images: list[Topic], depths: list[Topic], image: str, depth: str) -> tuple[str, str]:
    if not depth:
        if not depths:
            raise BagError(f'no depth topic found among {_listing(images)}; name it: --depth TOPIC')
        if image:
            depths = sorted(depths, key=lambda topic: -_common(topic.name, image))
        depth = min(depths, key=_rank_depth).name if not image else depths[0].name
    if not image:
        if not images:
            raise BagError('only depth topics in this bag; name the image: --image TOPIC')
        target = re.search(r'aligned_depth_to_(\w+)', depth)
        image = min(images, key=lambda topic: (
            target is None or target[1] not in topic.name, not re.search('color|rgb|left', topic.name),
            -_common(topic.name, depth), _rank(topic))).name
    return image, depth


def _rank(topic: Topic) -> tuple:
    """Sort key: rectified before raw, raw before compressed, left before right, then by name."""
    name = topic.name.lower()
    return (
        'right' in name, not is_rectified(name), topic.type.endswith('CompressedImage'),
        bool(re.search('debug|overlay|mask|infra', name)), name)


def _rank_depth(topic: Topic) -> tuple:
    return not re.search('aligned|registered', topic.name), topic.type.endswith('CompressedImage'), topic.name


def _is_depth(topic: Topic) -> bool:
    if 'compresseddepth' in (topic.name + topic.encoding).lower():
        return True
    named = 'depth' in topic.name.lower() or 'disparity' in topic.name.lower()
    if topic.type.endswith('CompressedImage'):
        source, known, codec = topic.encoding.partition(';')
        return named and 'jpeg' not in (codec or source).lower() and (not known or source in DEPTH_ENCODINGS)
    return topic.encoding in ('16UC1', '32FC1') or (named and topic.encoding in (*DEPTH_ENCODINGS, ''))


def _common(a: str, b: str) -> int:
    """Return how many leading parts two topic names share."""
    shared = 0
    for x, y in zip(a.split('/'), b.split('/')):
        if x != y:
            break
        shared += 1
    return shared


def _info_of(topics: Sequence[Topic], image: str, flag: str) -> str:
    infos = [topic.name for topic in topics if topic.type == INFO_TYPE and topic.count and not topic.problem]
    wanted = info_topic(image)
    if wanted in infos:
        return wanted
    found = f'the bag has {", ".join(infos)}' if infos else 'the bag has none'
    file = flag.replace('-topic', '')
    raise BagError(f'no camera_info for {image} (looked for {wanted}; {found}); give {flag} TOPIC, or '
                   f'{file} FILE.yaml')


def _hint(topics: Sequence[Topic], depths: Sequence[Topic]) -> str:
    """Return what to do with a bag that has something like images."""
    if any(topic.type in VIDEO_TYPES for topic in topics):
        return f'; of a video, {_REPUBLISH}'
    names = ', '.join(topic.name for topic in depths)
    return f'; {names} may be depth, by name or encoding: if it is the image, --image TOPIC' if names else ''


def _require(topics: Sequence[Topic], name: str) -> None:
    if not name:
        return
    for topic in topics:
        if topic.name == name:
            if not topic.count:
                raise BagError(f'topic {name} has no messages in this bag')
            if topic.type in VIDEO_TYPES:
                raise BagError(f'topic {name} is a video ({topic.type}); {_REPUBLISH}')
            if topic.problem:
                raise BagError(f'{name}: {topic.problem}')
            if topic.type != INFO_TYPE and not topic.is_image:
                raise BagError(f'topic {name} holds no images, but {topic.type}; this bag has {_listing(topics)}')
            return
    raise BagError(f'no topic {name} in this bag; it has {_listing(topics)}')


def _listing(topics: Sequence[Topic]) -> str:
    return ', '.join(f'{topic.name} ({topic.type.rpartition("/")[2]}{topic.problem and ": " + topic.problem})'
                     for topic in topics) or 'no topics'
