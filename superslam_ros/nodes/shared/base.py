"""What all nodes share: lifecycle, parameters, the worker and the handling of bad messages."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Empty
from std_srvs.srv import Trigger

from superslam_ros.node_config import TopicConfig
from superslam_ros.nodes.reporting import graph, story
from superslam_ros.nodes.reporting.diagnostics import Monitor
from superslam_ros.nodes.reporting.logs import speaking
from superslam_ros.nodes.reporting.reports import Reports
from superslam_ros.nodes.shared.entities import Entities
from superslam_ros.nodes.shared.parameters import NodeParameters, refuse_unknown
from superslam_ros.nodes.shared.process import START_ERRORS
from superslam_ros.nodes.shared.worker import LatestWorker
from superslam_ros.sync import Bundle, Requirements

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_BAD_MESSAGE = (ValueError, RuntimeError, ArithmeticError, LookupError, cv2.error)


class SlamNode(LifecycleNode):
    """A managed node with a worker thread: callbacks offer work, ``process`` does it, a bad message costs a log line.

    Configured, it has its networks and advertises; active, it listens. With ``autostart`` it goes there by itself.
    """

    def __init__(
        self, name: str, config_class: type, waiting: int = 1, overlapping: bool = False, **kwargs: Any,
    ) -> None:
        """Declare the parameters, start the worker, and with ``autostart`` configure and activate.

        :param config_class: the dataclass of the node's own options.
        :param waiting: how many frames may wait for the worker; 1: the latest wins.
        :param overlapping: whether what ``process`` returns goes to ``finish``, beside which the next frame begins.
        :param kwargs: handed to rclpy's Node, so that a container can set context, name and parameters.
        :raises ValueError, OSError, RuntimeError: what keeps the node from starting, with ``autostart``.
        """
        # destroy_node ends it, whatever fails
        self.worker = LatestWorker(self._work, self.fail, waiting, self._finish if overlapping else None)
        super().__init__(name, **kwargs)
        refuse_unknown(self)
        self.parameters = NodeParameters(self, config_class)
        self.topics = self.parameters.of(TopicConfig)
        self.skipped: Counter[str] = Counter()
        self.channels: dict[str, graph.Channel] = {}    # by what the node calls them; filled by ``listen``
        self.monitor = Monitor(self, self.worker, self.skipped, self.channels)
        self.reports = Reports(self, self.worker, self.monitor, self.skipped, self.channels)
        self._requirements = Requirements()
        self._reset_asked, self._retuned = threading.Event(), threading.Event()
        self._broken: BaseException | None = None
        self._has_broken = self.create_guard_condition(self._end)
        self._of_configuring, self.of_activating = Entities(self), Entities(self)
        self._failure: Exception | None = None
        if self.topics.autostart:
            self._start()

    def configure(self, config: Any) -> None:
        """Load what the node works with, and advertise; ``config`` is one of ``config_class``."""
        raise NotImplementedError

    def release(self) -> None:
        """Let go of the networks and the map: what ``configure`` loaded."""

    def listen(self) -> None:
        """Subscribe; what brings the frames is to be ``self.inputs``."""
        raise NotImplementedError

    def describe(self) -> str:
        """Return what the node works with, when it is configured, for the log."""
        return ''

    def retune(self, config: Any) -> None:
        """Take over live options, on the worker's thread between two frames."""

    def process(self, item: Bundle) -> Any:
        """Do the work for one frame, on the worker's thread; of ``overlapping`` nodes, the first half of it."""
        raise NotImplementedError

    def finish(self, made: Any) -> None:
        """Do the second half with what the first has made, on another thread, in the order of the frames."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forget the past, on the worker's thread; for nodes that call ``listen_for_reset`` or ``offer_reset``."""
        raise NotImplementedError

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and advertise; what is wrong is logged, and the node stays unconfigured."""
        self._failure = None
        try:
            with self._outspoken(), self._of_configuring.recorded(), speaking(self.get_logger()):
                self.topics = self.parameters.of(TopicConfig)
                self.configure(self.parameters.of(self.parameters.config_class))
                self._offer_pause()
        except START_ERRORS as error:
            self._failure = error
            self.get_logger().error(f'not configured: {error}')
            self._of_configuring.destroy()
            return TransitionCallbackReturn.FAILURE
        self.parameters.fixed = True
        self.get_logger().info('configured')
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe."""
        with self._outspoken(), self.of_activating.recorded():
            self.listen()
        self.monitor.begin()
        parts = story.of_inputs(self.topics.mode, self.channels.values()), self.describe()
        self.get_logger().info(f'active: {"; ".join(filter(None, parts))}')
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe, and break off the frame at work; the map stays."""
        self._stop_listening()
        self.get_logger().info('inactive: it does not listen, and keeps the map')
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget everything; parameters may be changed again."""
        self._forget()
        self.get_logger().info('unconfigured: networks and map are released')
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Do what is left of deactivating and cleaning up."""
        self._stop_listening()
        self._forget()
        self.get_logger().info('finalized')
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """End the worker, then the node; what ``release`` does is done before what it publishes with is gone."""
        self._close_inputs()
        self.worker.stop()
        self.release()
        super().destroy_node()
        machine = getattr(self, '_state_machine', None)
        if machine is not None:
            machine.destroy_when_not_in_use()   # rclpy forgets to, and it keeps the node in the graph

    def listen_for_reset(self) -> None:
        """Reset before the next frame whenever ``superslam/reset`` says so."""
        self.create_subscription(Empty, 'superslam/reset', lambda _: self._reset_asked.set(), 10)

    def offer_reset(self) -> None:
        """Serve ``~/reset``, which tells the nodes before this one in the pipeline, too."""
        self._reset_publisher = self.create_publisher(Empty, 'superslam/reset', 10)

        def answer(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            self.ask_for_reset()
            response.success, response.message = True, 'the next frame begins a new odometry at the origin'
            return response

        self.create_service(Trigger, '~/reset', answer)

    def ask_for_reset(self) -> None:
        """Have this node and those before it begin anew with the next frame."""
        self._reset_asked.set()
        self.reset_others()

    def reset_others(self) -> None:
        """Have the nodes before this one in the pipeline begin anew."""
        self._reset_publisher.publish(Empty())

    def tune(self) -> None:
        """Have ``retune`` called before the next frame."""
        self._retuned.set()

    def skip(self, reason: str, detail: str | Callable[[], str]) -> None:
        """Count something that cannot be used and say so, at most once in a while for each reason.

        :param detail: what to say, or what finds it out.
        """
        self.skipped[reason] += 1
        self.reports.warn(reason, lambda: f'skipped: {detail() if callable(detail) else detail}')

    def sensor_qos(self, depth: int = 5) -> QoSProfile:
        """Return the QoS of subscriptions, with the reliability of the parameter."""
        best_effort = self.topics.reliability == 'best_effort'
        return QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=depth,
            reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE)

    def _stop_listening(self) -> None:
        self.of_activating.destroy()
        self._close_inputs()
        self.worker.drain()
        self.monitor.end()
        self.channels.clear()

    def _forget(self) -> None:
        self._of_configuring.destroy()
        self.worker.paused = False
        self._requirements.reset()
        self.release()
        self.parameters.fixed = False

    def _close_inputs(self) -> None:
        if hasattr(self, 'inputs'):     # it has been active
            self.inputs.close()

    def _start(self) -> None:
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()
        if self._failure is not None:
            raise self._failure
        if self._broken is not None:
            raise self._broken

    def _offer_pause(self) -> None:
        """Serve ``~/pause`` and ``~/resume``: frames that come in between are let go, and the map stays."""
        for name, paused in (('pause', True), ('resume', False)):
            def answer(
                _: Trigger.Request, response: Trigger.Response, name: str = name, paused: bool = paused,
            ) -> Trigger.Response:
                response.success = self.worker.paused != paused
                response.message = f'{name}d' if response.success else f'is {name}d already'
                self.worker.paused = paused
                self.get_logger().info(response.message)
                return response

            self.create_service(Trigger, f'~/{name}', answer)

    def _work(self, item: Bundle) -> Any:
        with speaking(self.get_logger()):
            self._begin_anew()
            with self._patient():
                return self._process(item)

    def _finish(self, made: Any) -> None:
        with speaking(self.get_logger()), self._patient():
            self.finish(made)

    @contextmanager
    def _patient(self) -> Iterator[None]:
        """Have a frame that cannot be used skipped."""
        try:
            yield
        except _BAD_MESSAGE as error:
            self.skip(getattr(error, 'reason', type(error).__name__), str(error))

    def _begin_anew(self) -> None:
        """Reset, and take over live options, if that was asked for since the last frame."""
        if self._reset_asked.is_set() or self._retuned.is_set():
            self.worker.settle()
        if self._reset_asked.is_set():
            self._reset_asked.clear()
            self._requirements.reset()
            self.get_logger().info('reset')
            self.reset()
        if self._retuned.is_set():
            self._retuned.clear()
            self.retune(self.parameters.of(self.parameters.config_class))

    def _process(self, item: Bundle) -> Any:
        lacking = self._requirements.lacking(item)
        if lacking:
            self.skip(f'no {lacking[0]}', lambda: self.inputs.why_incomplete(item, lacking[0]))
            return None
        if item.missing:
            self.reports.warn('without depth', lambda: 'tracking without depth: '
                              f'{self.inputs.why_incomplete(item, "depth")}')
        return self.process(item)

    def fail(self, error: BaseException) -> None:
        """Have a programming error of the worker end the node, as one of a callback does.

        A node that only looks alive would be worse. It is for those who spin it to destroy it, not for the worker.
        """
        self.get_logger().fatal('internal error, see the traceback; the node ends')
        self._broken = error
        self._has_broken.trigger()

    def _end(self) -> None:
        raise self._broken

    @contextmanager
    def _outspoken(self) -> Iterator[None]:
        """Have a programming error of a transition end the node; rclpy would keep it to itself."""
        try:
            yield
        except START_ERRORS:
            raise
        except BaseException as error:
            self.fail(error)
            raise
