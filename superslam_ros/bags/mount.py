"""Where on a robot the camera of a bag is, by the transforms in the bag."""

from __future__ import annotations

import numpy as np

from superslam_ros import conversions
from superslam_ros.bags import bag
from superslam_ros.bags.bag import BagError, BagReader
from superslam_ros.geometry.frames import FrameTree
from superslam_ros.messages import transforms_of


def mount_of(reader: BagReader, guess: str, camera_frame: str) -> np.ndarray:
    """Return T_base_camera (4, 4); the base is the child frame of the odometry on the topic ``guess``.

    :raises BagError: where the transforms do not tell.
    """
    def of_topic(name: str) -> list[bag.Connection]:
        return [one for one in reader.connections if one.topic == name]

    first = bag.first_message(reader, of_topic(guess))
    base = '' if first is None else conversions.frame_id(first.child_frame_id)
    tree = FrameTree()
    for name in ('/tf_static', '/tf'):
        for _, _, message in bag.read(reader, of_topic(name)):
            for _, parent, child, T in () if message is None else transforms_of(message):
                tree.add(parent, child, T)
            found = tree.lookup(base, camera_frame)
            if found is not None:
                return found
    raise BagError(f'--guess {guess}: the transforms of the bag do not say where on {base!r} the camera '
                   f'{camera_frame!r} is; say it with --base-camera X Y Z ROLL PITCH YAW')
