"""What a node says of its work every ten seconds at most: what was skipped and why, what is lost, what is amiss."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

from rclpy.node import Node

from superslam_ros.nodes.reporting import graph
from superslam_ros.nodes.reporting.diagnostics import STEADY, Monitor
from superslam_ros.nodes.shared.worker import LatestWorker

REPORT_S = 10.0


class Reports:
    """Writes warnings of a node into its log, each at most once in a while."""

    def __init__(
        self, node: Node, worker: LatestWorker, monitor: Monitor, skipped: Counter[str],
        channels: Mapping[str, graph.Channel],
    ) -> None:
        """Report from now on; ``skipped`` and ``channels`` are the node's, which goes on changing them."""
        self._node, self._worker, self._monitor = node, worker, monitor
        self._skipped, self._channels = skipped, channels
        self._said: defaultdict[str, float] = defaultdict(lambda: -math.inf)
        self._mixed: set[str] = set()
        self._losses = 0, 0
        node.create_timer(REPORT_S, self.report, clock=STEADY)

    def warn(self, what: str, detail: str | Callable[[], str]) -> None:
        """Say something at most once in a while.

        :param what: what it is about, which is said no more for a while.
        :param detail: the text, or what finds it out; the topics are named behind it where it names none, and who
            publishes where several do.
        """
        now = time.monotonic()
        if now - self._said[what] < REPORT_S:
            return
        self._said[what] = now
        text = detail() if callable(detail) else detail
        channels = list(self._channels.values())
        if channels and not any(channel.topic in text for channel in channels):
            text += f' ({", ".join(channel.topic for channel in channels)})'
        mixed = graph.mixtures(self._node, channels)
        self._node.get_logger().warning('; '.join([text, *(one for one in mixed if one not in text)]))

    def report(self) -> None:
        """Say what there is to say."""
        log = self._node.get_logger()
        if self._monitor.silent:
            log.warning(f'no frames: {self._monitor.why_silent}')
        mixed = graph.mixtures(self._node, self._channels.values())
        for text in set(mixed) - self._mixed:
            log.warning(text)
        self._mixed = set(mixed)
        name = self._node.get_name(), self._node.get_namespace()
        if self._node.get_node_names_and_namespaces().count(name) > 1:
            log.warning(f'there is another node {self._node.get_fully_qualified_name()}: their topics and '
                        'services mix; give one another name or namespace (-r __node:=NAME)')
        losses = self._worker.dropped, sum(self._skipped.values())
        if losses != self._losses:
            dropped, skipped = (now - before for now, before in zip(losses, self._losses))
            reasons = ', '.join(f'{count} x {reason}' for reason, count in self._skipped.most_common(3))
            log.info(f'in the last {REPORT_S:.0f} s {dropped} frames were dropped because a newer one came first, '
                     f'{skipped} skipped{f" (in all: {reasons})" if reasons else ""}')
            self._losses = losses
