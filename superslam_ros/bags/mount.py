"""Where on what moves with it the camera of a bag is, by the transforms in the bag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from superslam_ros import conversions
from superslam_ros.bags import bag
from superslam_ros.bags.bag import BagError, BagReader
from superslam_ros.geometry.frames import FrameTree
from superslam_ros.messages import transforms_of


def mount_of(
    reader: BagReader, topic: str, base_of: Callable[[Any], str], camera_frame: str, flag: str, remedy: str,
) -> np.ndarray:
    """Return T_base_camera (4, 4).

    :param topic: by whose first message ``base_of`` tells the frame of the base.
    :param flag: the option that needs it; ``remedy``: what else would tell.
    :raises BagError: where the transforms do not tell.
    """
    first, tree = bag.first_message(reader, reader.of_topic(topic)), FrameTree()
    base = '' if first is None else conversions.frame_id(base_of(first))
    for name in ('/tf_static', '/tf'):
        for _, _, message in bag.read(reader, reader.of_topic(name)):
            for _, parent, child, T in () if message is None else transforms_of(message):
                tree.add(parent, child, T)
            found = tree.lookup(base, camera_frame)
            if found is not None:
                return found
    raise BagError(f'{flag} {topic}: the transforms of the bag do not say where on {base!r} the camera '
                   f'{camera_frame!r} is; say it with {remedy}')
