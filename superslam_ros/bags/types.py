"""Types of messages, each from the definition recorded with its topic, else from the standard ones."""

from __future__ import annotations

import re
from functools import lru_cache

from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from superslam_ros.bags.storage.parts import LONGEST, Connection

_NAME = re.compile(r'[A-Za-z]\w*/(msg|srv|action)/[A-Za-z]\w*', re.ASCII)
_WORD = re.compile(r'[\w/]+', re.ASCII)
_CONSTANT = re.compile(r'^[ \t]*\S+[ \t]+\w+[ \t]*=.*$', re.MULTILINE)
_SETTLED = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage', 'sensor_msgs/msg/CameraInfo')
"""Types that have been the same in all versions of ROS: a definition that says otherwise is damaged."""
_IDL = '=' * 80 + '\nIDL: '
# What definitions that are none make rosbags raise.
_DEFINITION_ERRORS = (
    TypesysError, ValueError, LookupError, TypeError, AttributeError, AssertionError, NameError, SyntaxError,
    RecursionError)


class UnknownTypeError(RuntimeError):
    """A topic whose messages cannot be understood; the text is the reason."""


def store(connection: Connection) -> Typestore:
    """Return a typestore with the type of a connection.

    :raises UnknownTypeError: when neither its own definition can be understood nor the type is a standard one.
    """
    return _store(connection.msgtype, connection.encoding, connection.format, connection.definition)


def problem(connection: Connection) -> str:
    """Return why the messages of a connection cannot be understood, nothing when they can."""
    try:
        store(connection)
    except UnknownTypeError as error:
        return str(error)
    return ''


@lru_cache(maxsize=256)
def _store(name: str, encoding: str, form: str, definition: str) -> Typestore:
    if encoding not in ('cdr', 'ros1') or (form == 'ros1msg') != (encoding == 'ros1'):
        raise UnknownTypeError(f'its messages are serialised as {encoding[:40]!r}, defined as {form[:40]!r}')
    if not _NAME.fullmatch(name):
        raise UnknownTypeError(f'{name[:80]!r} is no type of ROS')
    reason = 'it is recorded without its definition'
    if definition and len(definition) < LONGEST and name not in _SETTLED:
        try:
            return _from_definition(name, form, definition)
        except _DEFINITION_ERRORS:
            reason = 'its definition cannot be understood'
    standard = _standard(encoding)
    if name not in standard.fielddefs:
        raise UnknownTypeError(reason)
    return standard


@lru_cache(maxsize=2)
def _standard(encoding: str) -> Typestore:
    return get_typestore(Stores.ROS1_NOETIC if encoding == 'ros1' else Stores.LATEST)


def _from_definition(name: str, form: str, text: str) -> Typestore:
    """Return a typestore with one type and what it is made of.

    :raises _DEFINITION_ERRORS: when the definition is none, or not whole.
    """
    text = text.replace('\r\n', '\n').replace('\r', '\n').lstrip('\ufeff')
    types = {}
    if form in ('ros2msg', 'ros1msg'):
        # Constants are no part of a message, and rosbags does not understand all of them.
        types.update(get_types_from_msg(_CONSTANT.sub('', text), name))
    elif form in ('ros2idl', 'omgidl'):
        for part in text.split(_IDL)[1:] if text.startswith(_IDL) else [f'\n{text}']:
            types.update(get_types_from_idl(part.partition('\n')[2]))
    else:
        raise ValueError(f'unknown format {form[:40]!r}')
    types = {name: ([], fields) for name, (_, fields) in types.items()}
    # rosbags makes Python code of them.
    if not all(_WORD.fullmatch(word) for name, (_, fields) in types.items() for word in (name, *dict(fields))):
        raise ValueError('a name in it is none')
    needed = [name]
    for needed_name in needed:
        for _, description in types[needed_name][1]:
            while description[0] in (Nodetype.ARRAY, Nodetype.SEQUENCE):
                description = description[1][0]
            if description[0] == Nodetype.NAME and description[1] not in needed:
                needed.append(description[1])
    made = get_typestore(Stores.EMPTY)
    made.register(types)
    return made
