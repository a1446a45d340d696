"""A looped replay at 160x120 for an hour: do the memory, the file handles or the threads of the nodes grow?

    python test/benchmarks/soak.py --minutes 60 --out OUT

plays a small rendered stereo bag again and again to nodes in processes of their own, and subscribes to all that they
publish. Writes OUT/soak.csv, a row a second and process, and prints what each process had in the second quarter of the
time and in the last tenth; status 1 when that has grown, or when the odometry stops.
"""

from __future__ import annotations

import argparse
import csv
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from superslam_ros.nodes.tools.demo import REMAPPINGS
from superslam_ros.nodes.tools.record_bag import results
from superslam_ros.offline.demo import DemoOptions, write_demo

MEASURED = ('memory_mb', 'files', 'threads')
GROWTH = (6.0, 1.0, 0.0)
"""How much more of each the last tenth of the time may have than the second quarter, in the median."""
SILENCE_S = 60.0


class Listener(Node):
    """Subscribes to all that the nodes publish, and counts the odometry."""

    def __init__(self) -> None:
        """Subscribe."""
        super().__init__('listener')
        self.odometry, self.heard = 0, time.monotonic()
        for topic, kind in results().items():
            package, _, name = kind.partition('/msg/')
            self.create_subscription(
                getattr(import_module(f'{package}.msg'), name), topic,
                self.hear if topic.endswith('odometry') else lambda _: None,
                QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT), raw=True)

    def hear(self, _: bytes) -> None:
        """Count."""
        self.odometry += 1
        self.heard = time.monotonic()


def start(bag: Path, nodes: Sequence[str]) -> dict[str, subprocess.Popen]:
    """Start the nodes, and a player that never ends."""
    renamed = [part for name, topic in REMAPPINGS.items() for part in ('-r', f'{name}:={topic}')]
    commands = {name: [name, '--ros-args', '-p', 'mode:=stereo', *renamed] for name in nodes}
    commands['play_bag'] = ['tools.play_bag', str(bag), '--loop', '--wait-for', *REMAPPINGS.values()]
    return {name: subprocess.Popen([sys.executable, '-m', f'superslam_ros.nodes.{module}', *arguments])
            for name, (module, *arguments) in commands.items()}


def measure(process: subprocess.Popen) -> tuple[float, int, int]:
    """Return the resident memory (MB), open files and threads of a process."""
    folder = Path('/proc') / str(process.pid)
    pages = int((folder / 'statm').read_text().split()[1])
    return (pages * resource.getpagesize() / 2**20, *(len(list((folder / name).iterdir())) for name in ('fd', 'task')))


def soak(minutes: float, out: Path, nodes: Sequence[str], size: tuple[int, int] = (160, 120)) -> dict[str, np.ndarray]:
    """Let nodes run; return (N, 4) by process: seconds, and what is ``MEASURED``, once a second.

    :raises RuntimeError: when a process ends, or no odometry comes for a minute.
    """
    out.mkdir(parents=True, exist_ok=True)
    bag, _ = write_demo(out, DemoOptions(frames=60, width=size[0], height=size[1], rate_hz=10.0))
    rclpy.init(args=[])
    listener, processes = Listener(), start(bag, nodes)
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in processes}
    try:
        while not listener.odometry and time.monotonic() - listener.heard < 2 * SILENCE_S:
            rclpy.spin_once(listener, timeout_sec=1.0)
        began = due = time.monotonic()
        while time.monotonic() - began < 60 * minutes:
            rclpy.spin_once(listener, timeout_sec=0.2)
            ended = [f'{name}: status {one.poll()}' for name, one in processes.items() if one.poll() is not None]
            if ended or time.monotonic() - listener.heard > SILENCE_S:
                raise RuntimeError(f'after {time.monotonic() - began:.0f} s: {ended or "no odometry comes"}')
            if time.monotonic() >= due:
                due += 1
                for name, process in processes.items():
                    rows[name].append((time.monotonic() - began, *measure(process)))
    finally:
        for process in processes.values():
            process.send_signal(signal.SIGINT)
        for process in processes.values():
            process.wait(60)
        print(f'{listener.odometry} poses')
        listener.destroy_node()
        rclpy.try_shutdown()
    with (out / 'soak.csv').open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(('process', 'seconds', *MEASURED))
        writer.writerows((name, *row) for name, table in rows.items() for row in table)
    return {name: np.array(table) for name, table in rows.items()}


def grown(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what is ``MEASURED`` in the second quarter and in the last tenth of a process's rows, in the median."""
    count = len(table)
    return np.median(table[count // 4:count // 2, 1:], axis=0), np.median(table[count - count // 10 - 1:, 1:], axis=0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog='soak', description=__doc__.partition('\n')[0])
    parser.add_argument('--minutes', type=float, default=60.0, help='default 60')
    parser.add_argument('--out', type=Path, default=Path('soak'))
    parser.add_argument('--nodes', nargs='+', default=['superslam_node'], metavar='NODE',
                        help='default superslam_node; or superpoint_node superglue_node odometry_node')
    options = parser.parse_args(argv)
    flat = True
    for name, table in soak(options.minutes, options.out, options.nodes).items():
        before, after = grown(table)
        flat &= bool((after <= before + GROWTH).all())
        print(f'{name}: ' + ', '.join(
            f'{what} {first:.1f} -> {last:.1f}' for what, first, last in zip(MEASURED, before, after)))
    return int(not flat)


if __name__ == '__main__':
    sys.exit(main())
