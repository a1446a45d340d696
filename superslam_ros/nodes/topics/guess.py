"""The odometry of wheels as a guess, from a topic or from TF."""

from __future__ import annotations

import threading

import numpy as np
from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile, ReliabilityPolicy

from superslam_ros.data import JUMP_BACK_NS
from superslam_ros.geometry.pose import inverse
from superslam_ros.messages import odometry_of
from superslam_ros.node_config import FrameConfig, GuessOptions
from superslam_ros.nodes.reporting.reports import REPORT_S
from superslam_ros.nodes.shared.base import SlamNode
from superslam_ros.nodes.topics.transforms import TransformListener
from superslam_ros.slam.guess import OdometryGuess
from superslam_ros.slam.tracking.prediction import Relative

WAIT_S = 0.05
"""A frame waits so long for a message that is not older than it."""


def guess_of(node: SlamNode, options: GuessOptions, frames: FrameConfig) -> GuessInput | None:
    """Return the guess that a node is to have.

    :raises ValueError: naming the parameter, where what is said of frames does not go together.
    """
    if options.source == 'off':
        return None
    if options.source == 'tf':
        if not options.frame or not frames.base_frame:
            raise ValueError('guess.source: tf: needs guess.frame, such as odom, and frames.base_frame, such as '
                             'base_link, which TF connects')
        if options.frame == frames.odom_frame:
            raise ValueError(f'guess.frame: {options.frame} is the frame of this odometry, too: give frames.odom_frame '
                             'another name, such as visual_odom')
    return GuessInput(node, options, frames)


class GuessInput:
    """A ``Predictor`` that listens; messages come on one thread, and it is asked on others."""

    def __init__(self, node: SlamNode, options: GuessOptions, frames: FrameConfig) -> None:
        """Subscribe."""
        self._node, self._options, self._frames = node, options, frames
        self._changed, self._guess = threading.Condition(), OdometryGuess(options)
        self._base, self._camera = frames.base_frame, frames.camera_frame
        from_tf = options.source == 'tf'
        self._transforms = TransformListener(node, self._hear if from_tf else lambda parent, stamp_ns: None)
        if not from_tf:
            # Best effort hears every publisher.
            node.create_subscription(Odometry, 'guess', self._receive, QoSProfile(
                depth=50, reliability=ReliabilityPolicy.BEST_EFFORT))

    @property
    def parent(self) -> str:
        """The frame that the base has for a parent already, with source tf; else nothing."""
        return self._options.frame if self._options.source == 'tf' else ''

    def look(self, camera_frame: str) -> None:
        """Find out where on the base the camera is, before a frame of it."""
        if self._guess.T_base_camera is not None:
            return
        camera_frame = self._frames.camera_frame or camera_frame
        mount = self._transforms.lookup(self._base, camera_frame) if self._base else None
        if mount is not None:
            self._guess.T_base_camera = mount
            if self._options.source != 'tf':
                self._transforms.close()
        elif self._guess.last_ns:
            self._node.get_logger().warning(
                f'the guess is of no use yet: TF does not connect its frame {self._base!r} with the camera '
                f'{camera_frame!r}', throttle_duration_sec=REPORT_S)
        else:
            what = f'the transform from {self._options.frame!r} to {self._base!r}' if self.parent else \
                self._node.resolve_topic_name('guess')
            self._node.get_logger().warning(f'no guess has come yet: {what}', throttle_duration_sec=REPORT_S)

    def between(self, stamp0_ns: int, stamp1_ns: int) -> Relative | None:
        """Return how the camera moved; wait a little for what is on its way."""
        with self._changed:
            self._wait_for(stamp1_ns)
            return self._guess.between(stamp0_ns, stamp1_ns)

    def T_base_guess(self, stamp_ns: int) -> np.ndarray | None:
        """Return where the frame of the wheels' odometry is in the base, at a time or, failing that, at the last."""
        with self._changed:
            self._wait_for(stamp_ns)
            T = self._guess.pose(stamp_ns)
            return None if T is None else inverse(T)

    def _wait_for(self, stamp_ns: int) -> None:
        late = stamp_ns - self._guess.last_ns
        if 0 < late < self._options.max_gap * 1e9:      # what has stopped is not waited for
            self._changed.wait_for(lambda: self._guess.last_ns >= stamp_ns, WAIT_S)

    def _receive(self, message: Odometry) -> None:
        stamp_ns, *told = odometry_of(message)
        with self._changed:
            self._base = message.child_frame_id or self._base
            self._guess.add(stamp_ns, *told)
            self._changed.notify_all()

    def _hear(self, parent: str, stamp_ns: int) -> None:
        if parent != self._options.frame.lstrip('/'):
            return
        with self._changed:
            T = self._transforms.lookup(parent, self._base)
            behind_ns = self._guess.last_ns - stamp_ns
            if T is not None and (behind_ns < 0 or behind_ns >= JUMP_BACK_NS):      # transforms are told repeatedly
                self._guess.add(stamp_ns, T)
                self._changed.notify_all()
