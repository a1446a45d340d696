"""Latency and CPU time of the same frames: one node, three nodes in one container, and three processes.

    python test/benchmarks/composition.py --frames 60

publishes rendered stereo images one by one and waits for the odometry of each. Latency is from before the first image
is published to when the odometry is here; CPU time is that of all processes of an arrangement. Where the networks run
on a CPU, they are nearly all of both; so it also times the features' way alone.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import rclpy
from composition_interfaces.srv import LoadNode
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rich.console import Console
from rich.table import Table
from sensor_msgs.msg import CameraInfo, Image
from superslam_ros.msg import Features

from superslam_ros.bags.bag import open_bag
from superslam_ros.bags.reader import BagFrames
from superslam_ros.data import Frame
from superslam_ros.nodes.topics.handover import Handed, Inlet, Outlet
from superslam_ros.nodes.topics.messages import RosMessages, features_from
from superslam_ros.offline.demo import DemoOptions, write_demo
from superslam_ros.slam import Extractor

PARAMETERS = {'mode': 'stereo', 'reliability': 'reliable'}
NODES = ('superpoint_node', 'superglue_node', 'odometry_node')
PLUGINS = ('SuperPoint', 'SuperGlue', 'Odometry')
WARM_UP = 5


class Source(rclpy.node.Node):
    """Publishes frames, and knows when their odometry came."""

    def __init__(self) -> None:
        super().__init__('source')
        self.make = RosMessages()
        self.images = [self.create_publisher(Image, name, 5) for name in ('image', 'right/image')]
        self.infos = [self.create_publisher(CameraInfo, f'{side}camera_info', 5) for side in ('', 'right/')]
        self.came: dict[int, float] = {}
        self.create_subscription(Odometry, 'superslam/odometry', self.receive, 10)

    def receive(self, message: Odometry) -> None:
        self.came[message.header.stamp.sec * 10**9 + message.header.stamp.nanosec] = time.perf_counter()

    def wait(self, condition, seconds: float = 120.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                sys.exit('the nodes do not answer')
            rclpy.spin_once(self, timeout_sec=0.01)

    def send(self, frame: Frame) -> float:
        """Return the milliseconds until the odometry of a frame has come."""
        for publisher, camera in zip(self.infos, (frame.camera, frame.right_camera)):
            publisher.publish(self.make.camera_info(frame.stamp_ns, camera))
        images = [self.make.image(frame.stamp_ns, 'camera', image) for image in (frame.image, frame.right_image)]
        start = time.perf_counter()
        for publisher, image in zip(self.images, images):
            publisher.publish(image)
        self.wait(lambda: frame.stamp_ns in self.came)
        return (self.came[frame.stamp_ns] - start) * 1e3


def start(module: str, parameters: bool = True) -> subprocess.Popen:
    given = [part for name, value in PARAMETERS.items() for part in ('-p', f'{name}:={value}')] if parameters else []
    return subprocess.Popen([sys.executable, '-m', f'superslam_ros.nodes.{module}', '--ros-args', *given],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def start_container(source: Source) -> list[subprocess.Popen]:
    process = start('component_container', parameters=False)
    client = source.create_client(LoadNode, '/component_container/_container/load_node')
    source.wait(client.service_is_ready)
    for name in PLUGINS:
        answer = client.call_async(LoadNode.Request(
            package_name='superslam_ros', plugin_name=f'superslam_ros::{name}',
            parameters=[Parameter(name, value=value).to_parameter_msg() for name, value in PARAMETERS.items()]))
        source.wait(answer.done)
        assert answer.result().success, answer.result().error_message
    return [process]


def cpu_s(processes: list[subprocess.Popen]) -> float:
    """Return the CPU time that processes have taken so far."""
    ticks = 0
    for process in processes:
        fields = Path(f'/proc/{process.pid}/stat').read_text().rpartition(')')[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf('SC_CLK_TCK')


def measure(source: Source, processes: list[subprocess.Popen], frames: list[Frame]) -> tuple[float, float]:
    """Return the median latency (ms) and the CPU time per frame (ms)."""
    source.came.clear()
    publishers = [*source.images, *source.infos]
    source.wait(lambda: all(one.get_subscription_count() == 1 for one in publishers)
                and source.count_publishers('superslam/odometry'))
    time.sleep(1)   # the separate nodes find each other
    for frame in frames[:WARM_UP]:
        source.send(frame)
    before = cpu_s(processes)
    latencies = [source.send(frame) for frame in frames[WARM_UP:]]
    spent = cpu_s(processes) - before
    for process in processes:
        process.send_signal(signal.SIGINT)
    for process in processes:
        process.wait()
    source.wait(lambda: not any(one.get_subscription_count() for one in publishers))
    return float(np.median(latencies)), spent / len(latencies) * 1e3


def hand_over_ms(frames: list[Frame], inside: bool) -> float:
    """Return the median milliseconds from a frame's features in one node to the same in another."""
    contexts = [rclpy.Context()] if inside else [rclpy.Context(), rclpy.Context()]
    for context in contexts:
        rclpy.init(context=context)
    giver, taker = (rclpy.create_node(name, context=context) for name, context in (
        ('giver', contexts[0]), ('taker', contexts[-1])))
    outlet, taken, make = Outlet(giver, Features, 'given', 10), [], RosMessages()
    Inlet(taker, Features, 'given', 10, lambda item: taken.append(features_from(item)))
    executor = SingleThreadedExecutor(context=contexts[-1])
    executor.add_node(taker)
    while not giver.count_subscribers('given'):
        time.sleep(0.1)
    times, found = [], Extractor().batch([frame.image for frame in frames])
    for frame, features in zip(frames, found):
        start = time.perf_counter()
        outlet.put(Handed(make.header(frame.stamp_ns, 'camera'), features),
                   partial(make.features, frame.stamp_ns, 'camera', features, 'superpoint', True))
        while not taken:
            executor.spin_once(1)
        times.append((time.perf_counter() - start) * 1e3)
        taken.clear()
    executor.shutdown()
    for context in contexts:
        context.try_shutdown()
    return float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--frames', type=int, default=60)
    arguments = parser.parse_args()
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    with tempfile.TemporaryDirectory() as folder:
        bag, _ = write_demo(Path(folder), DemoOptions(frames=arguments.frames + WARM_UP, rate_hz=10.0,
                                                      texels_per_metre=160))
        with open_bag(bag) as reader:
            frames = [recorded.frame for recorded in BagFrames(reader)]
    rclpy.init()
    source = Source()
    arrangements = {
        'superslam_node': lambda: [start('superslam_node')],
        'three nodes in a container': lambda: start_container(source),
        'three processes': lambda: [start(name) for name in NODES],
    }
    found = {name: measure(source, begin(), frames) for name, begin in arrangements.items()}
    table = Table(title=f'{arguments.frames} stereo frames, {frames[0].camera.width}x{frames[0].camera.height}')
    for title in ('', 'latency, ms', 'CPU, ms', 'latency, ratio', 'CPU, ratio'):
        table.add_column(title, justify='left' if not title else 'right')
    first = found['superslam_node']
    for name, figures in found.items():
        ratios = (f'{figure / one:.2f}' for figure, one in zip(figures, first))
        table.add_row(name, *(f'{figure:.0f}' for figure in figures), *ratios)
    Console().print(table)
    few = frames[:20]
    print(f'{len(Extractor()(few[0].image))} features from node to node: '
          f'{hand_over_ms(few, True):.2f} ms as an object, {hand_over_ms(few, False):.2f} ms as a message')


if __name__ == '__main__':
    main()
