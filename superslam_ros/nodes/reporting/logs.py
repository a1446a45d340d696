"""What the core logs, in the log of the node that works: on the console in ROS's format, and on /rosout."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import rclpy.logging
from rclpy.impl.rcutils_logger import RcutilsLogger

_speaker: ContextVar[RcutilsLogger] = ContextVar('speaker')


class _ToRos(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        logger, text = _speaker.get(None) or rclpy.logging.get_logger('superslam_ros'), self.format(record)
        # rclpy remembers the severity of each line that logs, and wants it to stay the same.
        if record.levelno >= logging.ERROR:
            logger.error(text)
        elif record.levelno >= logging.WARNING:
            logger.warning(text)
        else:
            logger.info(text)


_CORE, _HANDLER = logging.getLogger('superslam_ros'), _ToRos()
_lock = threading.Lock()
_inside = 0


@contextmanager
def speaking(logger: RcutilsLogger) -> Iterator[None]:
    """Have the core speak with the logger of a node, on this thread, inside the block."""
    token = _speaker.set(logger)
    _enter(1)
    try:
        yield
    finally:
        _enter(-1)
        _speaker.reset(token)


def _enter(change: int) -> None:
    """Count the blocks of all threads: outside of them, Python's logging is as others have set it up."""
    global _inside
    with _lock:
        _inside += change
        if _inside:
            _CORE.addHandler(_HANDLER)      # once: one that is there is not added
        else:
            _CORE.removeHandler(_HANDLER)
