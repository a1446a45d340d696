"""What the log tells of a node's work: what it works with, and when tracking is lost and found."""

from __future__ import annotations

from collections.abc import Iterable

from rclpy.node import Node

from superslam_ros.data import Motion, TrackingState
from superslam_ros.nodes.reporting.graph import Channel
from superslam_ros.slam import Extractor, Matcher, MotionEstimator, gpu


def of_extractor(extractor: Extractor) -> str:
    """Return extractor, weights and device."""
    return f'{extractor.name} ({_weights(extractor.config.weights)}) on {_device(extractor.device.type)}'


def of_matcher(matcher: Matcher) -> str:
    """Return matcher, weights where it has any, and device."""
    weights = '' if matcher.network is None else f' ({_weights(matcher.config.weights)})'
    return f'matcher {matcher.config.matcher}{weights} on {_device(matcher.device.type)}'


def of_motion(motion: MotionEstimator) -> str:
    """Return the smoother."""
    return f'smoother {"gtsam" if motion.smoother.active else "none"}'


def of_inputs(mode: str, channels: Iterable[Channel]) -> str:
    """Return mode and topics."""
    return f'mode {mode}, listens to {", ".join(channel.topic for channel in channels)}'


class TrackingLog:
    """Says when tracking is lost, and when it is found again after how long."""

    def __init__(self, node: Node) -> None:
        """Begin; nothing is lost yet."""
        self._node = node
        self.reset()

    def reset(self) -> None:
        """Begin anew, as the odometry does."""
        self._last: TrackingState | None = None
        self._lost_ns, self._frames = 0, 0

    def tell(self, motion: Motion) -> None:
        """Take the result of a frame."""
        log, state = self._node.get_logger(), motion.state
        if state == TrackingState.LOST:
            if self._last != state:
                self._lost_ns, self._frames = motion.stamp_ns, 0
                how = 'goes on by the guess' if motion.guessed else 'is predicted'
                log.warning(f'tracking is lost at {motion.stamp_ns * 1e-9:.3f} s: {motion.matches} matches, '
                            f'{motion.inliers} of them agree; the pose {how} until it is found again')
            self._frames += 1
        elif self._last == TrackingState.LOST:
            log.info(f'tracking is found again after {(motion.stamp_ns - self._lost_ns) * 1e-9:.3f} s '
                     f'({self._frames} frames)')
        elif state == TrackingState.TRACKING != self._last:
            log.info('tracking begins')
        self._last = state


def _weights(path: str) -> str:
    return path or 'weights as shipped'


def _device(name: str) -> str:
    return f'{name} ({gpu.name()})' if name == 'cuda' else name
