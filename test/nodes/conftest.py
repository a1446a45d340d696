"""Fixtures for tests over real DDS: a context of its own on a domain of its own, and processes that are ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not installed; `make test` installs it')
pytest.importorskip('superslam_ros.msg', reason='the messages are not built; `make test` builds them')

os.environ['ROS_PYTHON_CHECK_FIELDS'] = '1'


@pytest.fixture
def context():
    """Return an initialised context."""
    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    context.try_shutdown()


@pytest.fixture
def spin(context):
    """Return a function that spins nodes in a thread until the test is over."""
    from rclpy._rclpy_pybind11 import InvalidHandle
    from rclpy.executors import MultiThreadedExecutor

    executor = MultiThreadedExecutor(4, context=context)
    nodes, stopping = [], threading.Event()

    def work():     # Executor.shutdown beside a spinning thread takes away what it waits on
        while not stopping.is_set():
            with contextlib.suppress(InvalidHandle):    # a node took down a subscription that was about to be waited on
                executor.spin_once(0.1)

    def add(*more):
        for node in more:
            nodes.append(node)
            executor.add_node(node)

    thread = threading.Thread(target=work)
    thread.start()
    yield add
    stopping.set()
    thread.join()
    executor.shutdown()
    for node in nodes:
        node.destroy_node()


@pytest.fixture
def start():
    """Return a function that starts a module of the package as a process."""
    processes = []

    def run(module, *arguments):
        process = subprocess.Popen(
            [sys.executable, '-m', f'superslam_ros.nodes.{module}', *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.wait()


def end(process, number=signal.SIGINT, timeout=30):
    """Signal a process and return its exit status and what it printed."""
    process.send_signal(number)
    output, _ = process.communicate(timeout=timeout)
    return process.returncode, output


def wait_until(condition, timeout=60.0):
    """Wait for a condition; return whether it came true."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False
