"""What a node tells on ``/diagnostics``: its rate, where the time goes, what is lost, and why nothing comes."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from importlib import import_module

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from superslam_ros.data import TrackingState
from superslam_ros.nodes.reporting import graph
from superslam_ros.nodes.reporting.latency import Latencies
from superslam_ros.nodes.shared.worker import LatestWorker
from superslam_ros.slam import gpu
from superslam_ros.sync import Stamped

STEADY = Clock(clock_type=ClockType.STEADY_TIME)
"""For reports: with ``use_sim_time`` the node's own clock rests when nobody publishes /clock."""
PERIOD_S = 1.0
_MOST = 1000
"""Frames that wait to be reported, at most."""
SILENCE_S = 5.0
"""After so long without a frame, something is wrong with what should come."""
OK, WARN, ERROR = b'\0', b'\1', b'\2'


class Monitor:
    """Counts what the worker does, and reports it once a second.

    :ivar more: gives values besides.
    """

    def __init__(
        self, node: Node, worker: LatestWorker, skipped: Counter[str], channels: Mapping[str, graph.Channel]
    ) -> None:
        """Advertise ``/diagnostics``, where diagnostic_msgs is installed.

        :param worker: the node's worker.
        :param skipped: how many messages the node has skipped, by reason; the node goes on counting in it.
        :param channels: what the node listens to while it is active.
        """
        self._node, self._worker, self._skipped, self._channels = node, worker, skipped, channels
        self._taken: deque[tuple[Mapping[str, float], TrackingState | None, str]] = deque(maxlen=_MOST)
        self._latencies = Latencies(node.get_clock())
        self.more: Callable[[], Mapping[str, str]] = dict
        self._active = False
        self._last = self._reported = time.monotonic()
        self._dropped_before = self._skipped_before = 0
        self._messages = None
        try:
            self._messages = import_module('diagnostic_msgs.msg')
        except ModuleNotFoundError:
            node.get_logger().info('no diagnostics: diagnostic_msgs is not installed '
                                   '(apt install ros-$ROS_DISTRO-diagnostic-msgs)')
            return
        self._publisher = node.create_publisher(self._messages.DiagnosticArray, '/diagnostics', 10)
        node.create_timer(PERIOD_S, self._report, clock=STEADY)

    def begin(self) -> None:
        """The node listens from now on."""
        self._active, self._last = True, time.monotonic()
        self._latencies.reset()

    def end(self) -> None:
        """The node does not listen any more."""
        self._active = False

    def took(
        self, frame: Stamped, timings_ms: Mapping[str, float], state: TrackingState | None = None, problem: str = '',
    ) -> None:
        """Count a frame whose results were published just now.

        :param frame: its image, or what came in place of that.
        :param timings_ms: milliseconds per stage; ``state`` of tracking, of nodes that track.
        :param problem: what is wrong with it.
        """
        self._latencies.add(frame)
        self._last, self._skipped_before = time.monotonic(), sum(self._skipped.values())
        self._taken.append((timings_ms, state, problem))

    @property
    def silent(self) -> bool:
        """Whether the node listens, and nothing has come for a while."""
        waits = self._active and not self._worker.paused and not self._worker.busy
        return waits and time.monotonic() - self._last > SILENCE_S

    @property
    def why_silent(self) -> str:
        """Why nothing comes: frames that were skipped since the last good one, and what the graph tells."""
        skipped = sum(self._skipped.values()) - self._skipped_before
        if skipped:
            counts = ', '.join(f'{count} x {reason}' for reason, count in self._skipped.most_common(3))
            why = '; '.join(graph.reasons(self._node, self._channels)) or 'the log says why'
            return f'{skipped} have come and been skipped (in all: {counts}); {why}'
        return graph.why_silent(self._node, self._channels)

    def _report(self) -> None:
        now, node = time.monotonic(), self._node
        taken = [self._taken.popleft() for _ in range(len(self._taken))]
        dropped, self._dropped_before = self._worker.dropped - self._dropped_before, self._worker.dropped
        state = next((state for _, state, _ in reversed(taken) if state is not None), None)
        level, message = self._summary(state, dropped, taken[-1][2] if taken else '')
        values = {
            'rate (Hz)': f'{len(taken) / (now - self._reported):.1f}',
            **_means(taken),
            **self._latencies.values(),
            **({'tracking': state.name.lower()} if state is not None else {}),
            'dropped': str(self._worker.dropped),
            **{f'skipped: {reason}': str(count) for reason, count in dict(self._skipped).items()},
            **self.more(),
            **gpu.values(),
        }
        self._reported = now
        status = self._messages.DiagnosticStatus(
            level=level, name=f'{node.get_fully_qualified_name()}: frames', message=message,
            hardware_id=gpu.name() or 'cpu',
            values=[self._messages.KeyValue(key=key, value=value) for key, value in values.items()])
        array = self._messages.DiagnosticArray(status=[status])
        array.header.stamp = node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def _summary(self, state: TrackingState | None, dropped: int, problem: str) -> tuple[bytes, str]:
        if not self._active:
            return OK, 'not active'
        if self._worker.paused:
            return OK, 'paused'
        if self.silent:
            return WARN, f'no frames: {self.why_silent}'
        if state == TrackingState.LOST:
            return ERROR, 'tracking is lost'
        if problem:
            return WARN, problem
        if dropped:
            return WARN, f'{dropped} frames dropped in {PERIOD_S:g} s, because newer ones came first'
        if mixed := graph.mixtures(self._node, self._channels.values()):
            return WARN, '; '.join(mixed)
        return OK, 'frames come' if state is None else state.name.lower()


def _means(taken: list[tuple[Mapping[str, float], TrackingState | None, str]]) -> dict[str, str]:
    total: Counter[str] = Counter()
    for timings_ms, *_ in taken:
        total.update(timings_ms)
    return {f'{stage} (ms)': f'{milliseconds / len(taken):.1f}' for stage, milliseconds in total.items()}
