"""A node, or a container, as a process: how it begins, spins and ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Callable

import rclpy
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from superslam_ros import memory

POLL_S = 0.2
"""How long a signal may have to wait."""
START_ERRORS = (ValueError, OSError, RuntimeError, ImportError)
"""What keeps a node from starting: wrong parameters, missing weights, no GPU, a package that is not installed."""
LAUNCHER = 'SUPERSLAM_LAUNCHER'
"""Environment variable: a process id, without which this process is not to go on; our launch files set it to theirs."""


def begin(args: list[str] | None = None) -> Callable[[], bool]:
    """Initialise ROS; return a function that says whether to go on: no signal has come, and the launcher lives.

    rclpy's own handler ends the context while executors wait in it: now and then one crashes, and of many some are
    quicker and wait for ever.

    :param args: the command line, with the program's name; by default that of the process.
    :raises SystemExit: with the reason in a line, when ROS does not understand its arguments.
    """
    stopping, launcher = threading.Event(), Launcher()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:       # of rcl, with places in its source
        sys.exit(f'error: --ros-args: {" ".join(re.sub(r", at [^ ]+:[0-9]+", "", str(error)).split())}')
    return lambda: rclpy.ok() and not stopping.is_set() and launcher.lives()


def spin(node: Node, going: Callable[[], bool], executor: Executor | None = None) -> None:
    """Spin a node as long as ``going`` says so, or until a callback raises; then end it, and ROS.

    :param executor: default: of one thread.
    """
    executor = executor or SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while going():
            spin_once(executor, POLL_S)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()


def spin_once(executor: Executor, timeout_s: float | None = None) -> None:
    """Run callbacks that are due; what another thread has destroyed while the executor waited for it is no error."""
    with contextlib.suppress(rclpy_implementation.InvalidHandle):
        executor.spin_once(timeout_s)


class Launcher:
    """The process that has started this one, if it said so: a launch that fails may go without ending it."""

    def __init__(self) -> None:
        """Remember who there is."""
        self._number, self._parent = int(os.environ.get(LAUNCHER, 0)), os.getppid()

    def lives(self) -> bool:
        """Return whether it is still there."""
        if not self._number:
            return True
        try:
            os.kill(self._number, 0)
        except ProcessLookupError:
            return False
        except PermissionError:     # it is another user's
            pass
        return os.getppid() == self._parent


def run(make_node: Callable[[], Node], args: list[str] | None = None) -> int:
    """Spin a node until SIGINT or SIGTERM; return the exit status.

    What keeps a node from starting (missing weights, a wrong parameter) is said in one line; status 1.
    """
    memory.keep_freed()
    going = begin(args)
    try:
        node = make_node()
    except (*START_ERRORS, rclpy.exceptions.ParameterException) as error:
        print(f'error: {error}', file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    spin(node, going)
    return 0
