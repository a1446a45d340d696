"""``make demo``: the live node on a rendered bag, over DDS between processes, and where to look at the result."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor

from superslam_ros import conversions
from superslam_ros.bags.bag import BagError, open_bag
from superslam_ros.bags.messages import typestore
from superslam_ros.bags.reader import BagFrames
from superslam_ros.data import Matches, Motion, TrackingState
from superslam_ros.geometry.pose import compose, rotation
from superslam_ros.nodes.tools.play_bag import BagPlayer, RealTime
from superslam_ros.nodes.tools.record_bag import RecorderNode, results
from superslam_ros.nodes.topics.messages import features_from, matches_from
from superslam_ros.offline import summary
from superslam_ros.offline.demo import LEFT, RIGHT, DemoOptions, write_demo
from superslam_ros.offline.history import History
from superslam_ros.offline.provenance import provenance
from superslam_ros.offline.runner import write_results
from superslam_ros.offline.scene import BestScene
from superslam_ros.offline.truths import read_truth
from superslam_ros.pictures.view import cloud, draw_view
from superslam_ros.slam import OdometryConfig, Step

REMAPPINGS = {
    'image': f'{LEFT}/image_rect', 'camera_info': f'{LEFT}/camera_info',
    'right/image': f'{RIGHT}/image_rect', 'right/camera_info': f'{RIGHT}/camera_info',
}
RECORDED = results()
WARM_UP = 4
"""Frames sent one by one, to see how long this machine takes for one."""


class Pace:
    """Plays the first frames one by one and then at a rate that the node can follow, at most as recorded."""

    def __init__(self, recorder: RecorderNode, period_s: float) -> None:
        """Watch the recorder's count of answers; ``period_s`` is the time between recorded frames."""
        self._recorder, self._period_s = recorder, period_s
        self._last_ns: int | None = None
        self._sent: list[float] = []
        self._clock: RealTime | None = None
        self.rate = 1.0

    def __call__(self, log_ns: int) -> bool:
        """Wait for a message's time; return whether ROS still runs.

        :raises BagError: when the node does not answer.
        """
        if self._clock is not None:
            return self._clock(log_ns)
        if log_ns == self._last_ns:
            return True
        if self._last_ns is not None and not wait_for_answers(self._recorder, len(self._sent)):
            raise BagError('the node gives no answer; see its messages above')
        self._last_ns = log_ns
        self._sent.append(time.monotonic())
        if len(self._sent) > WARM_UP:
            seconds = float(np.median(np.diff(self._sent[1:])))
            self.rate = min(1.0, 0.75 * self._period_s / seconds)
            self._clock = RealTime(self.rate)
            return self._clock(log_ns)
        return True


def wait_for_answers(recorder: RecorderNode, count: int, timeout_s: float = 60.0) -> bool:
    """Wait until the node has reported on so many frames."""
    deadline = time.monotonic() + timeout_s
    while recorder.counts['/superslam/status'] < count:
        if time.monotonic() > deadline or not rclpy.ok():
            return False
        time.sleep(0.005)
    return True


def run_live(bag: Path, result: Path, period_s: float) -> float:
    """Play a bag to a ``superslam_node`` of its own process and record what it publishes.

    :returns: the rate at which the bag was played.
    :raises BagError: when the node does not come up, answer, or end cleanly.
    """
    remappings = [part for name, topic in REMAPPINGS.items() for part in ('-r', f'{name}:={topic}')]
    recorder = RecorderNode(result, RECORDED, replace=True)
    node = subprocess.Popen([
        sys.executable, '-m', 'superslam_ros.nodes.superslam_node', '--ros-args', '-p', 'mode:=stereo',
        '-p', 'reliability:=reliable', *remappings])
    executor = SingleThreadedExecutor()
    executor.add_node(recorder)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    try:
        with open_bag(bag) as reader:
            player = BagPlayer(recorder, reader)
            if not player.wait_for_subscribers(list(REMAPPINGS.values()), 60.0):
                raise BagError('superslam_node does not subscribe; see its messages above')
            pace = Pace(recorder, period_s)
            player.play(pace)
        _wait_until_quiet(recorder)
        node.send_signal(signal.SIGINT)
        if node.wait(30) != 0:
            raise BagError(f'superslam_node ended with status {node.returncode}')
    except subprocess.TimeoutExpired as error:
        raise BagError('superslam_node does not end; see its messages above') from error
    finally:
        node.kill()
        executor.shutdown()
        thread.join()
        recorder.destroy_node()
    return pace.rate


def _wait_until_quiet(recorder: RecorderNode, quiet_s: float = 2.0) -> None:
    count, since = -1, time.monotonic()
    while time.monotonic() - since < quiet_s:
        if recorder.counts['/superslam/status'] != count:
            count, since = recorder.counts['/superslam/status'], time.monotonic()
        time.sleep(0.05)


def read_steps(bag: Path, result: Path) -> tuple[list[Step], np.ndarray, dict[str, int]]:
    """Put the recorded messages together again, frame by frame.

    :returns: the steps, the last landmarks (N, 3), and the counts of the last status.
    """
    store = typestore()
    messages: dict[str, dict[int, Any]] = {topic: {} for topic in RECORDED}
    with open_bag(result) as reader:
        for connection, _, raw in reader.messages():
            message = store.deserialize_cdr(raw, connection.msgtype)
            if hasattr(message, 'header'):
                messages[connection.topic][conversions.stamp_ns(message.header.stamp)] = message
    with open_bag(bag) as reader:
        frames = {recorded.frame.stamp_ns: recorded.frame for recorded in BagFrames(reader)}
    steps = list(_steps(messages, frames))
    clouds = messages['/superslam/landmarks']
    landmarks = cloud(clouds[max(clouds)])[:, :3] if clouds else np.zeros((0, 3))
    statuses = messages['/superslam/status']
    last = statuses[max(statuses)]
    return steps, landmarks, {'dropped': int(last.dropped), 'skipped': int(last.skipped)}


def _steps(messages: dict[str, dict[int, Any]], frames: dict[int, Any]) -> Iterator[Step]:
    for stamp, status in sorted(messages['/superslam/status'].items()):
        parts = [messages[f'/superslam/{name}'].get(stamp)
                 for name in ('features', 'matches', 'matches_stereo', 'odometry')]
        if stamp not in frames or any(part is None for part in parts):
            continue
        features, temporal, stereo, odometry = parts
        pose = odometry.pose.pose
        T = compose(
            rotation([getattr(pose.orientation, axis) for axis in 'xyzw']),
            [getattr(pose.position, axis) for axis in 'xyz'])
        motion = Motion(
            stamp, TrackingState(status.state), T, odometry.pose.covariance.reshape(6, 6), np.zeros(6),
            odometry.twist.covariance.reshape(6, 6), status.inliers, status.matches, status.keyframe, status.metric)
        matches: Matches = matches_from(temporal)
        yield Step(
            frames[stamp], features_from(features), None, matches, matches_from(stereo), motion,
            dict(zip(status.stages, status.stage_ms.tolist())))


def report(out: Path, bag: Path, truth: Path, result: Path, images: int, rate: float) -> dict[str, Any]:
    """Write trajectory, summary and overview of a live run; return the summary."""
    steps, landmarks, counts = read_steps(bag, result)
    if not steps:
        raise BagError('the node published nothing that belongs together')
    history, best = History(), BestScene(OdometryConfig())
    for step in steps:
        history.add(step, 0)
        best.see(step)
    content = summary.outcome(history)
    content = {'bag': bag.name, 'mode': 'stereo', 'features': 'superpoint', **provenance({'superpoint': ''}),
               'images': images, 'played_at': rate, **counts, **content}
    write_results(out, content, history, best, landmarks, read_truth(truth))
    content.update(summary.stage_times(history))
    (out / 'summary.json').write_text(json.dumps(content, indent=2) + '\n')
    return content


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo."""
    parser = argparse.ArgumentParser(prog='demo', description=__doc__)
    parser.add_argument('--out', type=Path, default=Path('demo'))
    parser.add_argument('--frames', type=int, default=DemoOptions.frames, help='of the bag (default %(default)s)')
    arguments = parser.parse_args(argv)
    out, options = arguments.out, DemoOptions(arguments.frames)
    bag, truth, result = out / 'demo', out / 'demo.tum', out / 'live'
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    try:
        if not truth.exists():
            print(f'rendering the demo bag: {options.frames} stereo frames with exact ground truth ...')
            out.mkdir(parents=True, exist_ok=True)
            write_demo(out, options)
        rclpy.init(args=[])
        print('running superslam_node on it, over DDS ...')
        rate = run_live(bag, result, 1 / options.rate_hz)
        content = report(out, bag, truth, result, options.frames, rate)
        draw_view(out / 'rviz.png', result)
    except (BagError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    finally:
        rclpy.try_shutdown()
    print(_story(content, out, bag, result))
    return 0


def _story(content: dict[str, Any], out: Path, bag: Path, result: Path) -> str:
    ate, rate = content['ate'], content['played_at']
    return f"""
{content['frames']} of {content['images']} frames processed live (bag played at {rate:.2f} x real time, \
{content['dropped']} dropped), {content['lost_frames']} lost
error against the exact ground truth: ATE {ate['rmse_m'] * 1000:.1f} mm over {ate['true_path_m']:.2f} m \
({ate['percent_of_true_path']:.2f} %)

look at   {out / 'overview.png'}      keypoints, matches, estimated and true trajectory
          {out / 'rviz.png'}          what RViz shows of it
          {result}               what the node published (MCAP)
          {bag}               what it was fed
          {out / 'summary.json'}
"""


if __name__ == '__main__':
    sys.exit(main())
