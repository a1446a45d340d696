"""A node, or a container, as a process: how it starts, spins and ends."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable

import rclpy
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from superslam_ros import memory

POLL_S = 0.2
"""How long a signal may have to wait."""
START_ERRORS = (ValueError, OSError, RuntimeError, ImportError)
"""What keeps a node from starting: wrong parameters, missing weights, no GPU, a package that is not installed."""


def signalled() -> threading.Event:
    """Return an event that SIGINT and SIGTERM set.

    rclpy's own handler, to be switched off in ``rclpy.init``, ends the context while executors wait in it: now and
    then one crashes, and of many some are quicker and wait for ever.
    """
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    return stopping


def spin(node: Node, stopping: threading.Event, executor: Executor | None = None) -> None:
    """Spin a node until the event is set, the context has ended or a callback raises, then end both.

    :param executor: default: of one thread.
    """
    executor = executor or SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while rclpy.ok() and not stopping.is_set():
            executor.spin_once(POLL_S)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()


def run(make_node: Callable[[], Node], args: list[str] | None = None) -> int:
    """Spin a node until SIGINT or SIGTERM; return the exit status.

    What keeps a node from starting (missing weights, a wrong parameter) is said in one line; status 1.
    """
    memory.keep_freed()
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    stopping = signalled()
    try:
        node = make_node()
    except (*START_ERRORS, rclpy.exceptions.ParameterException) as error:
        print(f'error: {error}', file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    spin(node, stopping)
    return 0
