"""Results as ROS messages, made with rosbags, without a ROS installation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from superslam_ros.messages import MessageFactory

OUR_MESSAGES = ('BoardDetection', 'BoardDetections', 'Features', 'Keyframe', 'MapStatus', 'Matches', 'TrackingStatus')


def definitions() -> Path:
    """Return the folder of our .msg files: of the source tree, or of the installed share.

    :raises FileNotFoundError: when neither is there.
    """
    for parent in Path(__file__).resolve().parents:
        for folder in (parent / 'msg', parent / 'share' / 'superslam_ros' / 'msg'):
            if (folder / 'Features.msg').is_file():
                return folder
    raise FileNotFoundError('msg/Features.msg of superslam_ros is not installed; install the package again')


def typestore() -> Typestore:
    """Return the standard messages and ours."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    folder = definitions()
    for name in OUR_MESSAGES:
        store.register(get_types_from_msg((folder / f'{name}.msg').read_text(), f'superslam_ros/msg/{name}'))
    return store


class Messages(MessageFactory):
    """Makes messages of a typestore."""

    def __init__(self, store: Typestore) -> None:
        """Remember the types."""
        self.store = store

    def make(self, name: str, /, **fields: Any) -> Any:
        """Return a message of a type given as ``package/Name``; fields that are not given are zero or empty."""
        package, _, kind = name.partition('/')
        return self._make(f'{package}/msg/{kind}', fields)

    def _make(self, kind: str, fields: dict[str, Any]) -> Any:
        others = {name: self._zero(description) for name, description in self.store.fielddefs[kind][1]
                  if name not in fields}
        return self.store.types[kind](**fields, **others)

    def _zero(self, description: Any) -> Any:
        node, about = description
        if node == Nodetype.NAME:
            return self._make(about, {})
        if node == Nodetype.BASE:
            return {'string': '', 'bool': False, 'float32': 0.0, 'float64': 0.0}.get(about[0], 0)
        element, length = about
        if element[0] != Nodetype.BASE or element[1][0] == 'string':
            return [self._zero(element) for _ in range(length if node == Nodetype.ARRAY else 0)]
        return np.zeros(length if node == Nodetype.ARRAY else 0, element[1][0])
