"""What is published of the boards in an image, built only for those who listen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from superslam_ros import display
from superslam_ros.boards.board import Board
from superslam_ros.boards.types import BoardDetection, Detections
from superslam_ros.data import Camera
from superslam_ros.msg import BoardDetections
from superslam_ros.node_config import CharucoConfig
from superslam_ros.nodes.shared.base import SlamNode
from superslam_ros.nodes.topics.messages import RosMessages
from superslam_ros.nodes.topics.optional import publisher_where_installed

RELIABLE = QoSProfile(depth=10)


class BoardPublisher:
    """Publishes detections, poses, transforms, markers and the overlay."""

    def __init__(self, node: SlamNode, config: CharucoConfig, boards: Mapping[str, Board]) -> None:
        """Advertise the topics.

        :raises ValueError: when there is no board of the name ``pose_of``.
        """
        self._node, self._config, self._boards, self._make = node, config, boards, RosMessages()
        self._pose_of = config.pose_of or next(iter(boards))
        if self._pose_of not in boards:
            raise ValueError(f'charuco.pose_of: {config.pose_of!r} is no board; there is {", ".join(boards)}')
        self._detections = node.create_publisher(BoardDetections, 'charuco/detections', RELIABLE)
        self._pose = node.create_publisher(PoseStamped, 'charuco/pose', RELIABLE)
        self._with_covariance = node.create_publisher(
            PoseWithCovarianceStamped, 'charuco/pose_with_covariance', RELIABLE)
        self._overlay = node.create_publisher(Image, 'charuco/overlay', RELIABLE)
        self._objects = publisher_where_installed(
            node, 'vision_msgs/Detection3DArray', 'charuco/detections_3d', RELIABLE)
        self._markers = publisher_where_installed(node, 'visualization_msgs/MarkerArray', 'charuco/markers', RELIABLE)
        self._tf = publisher_where_installed(
            node, 'tf2_msgs/TFMessage', '/tf', QoSProfile(depth=100)) if config.publish_tf else None

    def publish(
        self, stamp_ns: int, frame_id: str, gray: np.ndarray, found: Detections, camera: Camera | None, why: str,
    ) -> None:
        """Publish what is in one image.

        :param why: there is no camera, where it is None.
        """
        make, frame = self._make, self._config.camera_frame or frame_id or 'camera_optical'
        order = list(self._boards)
        boards = sorted(found.boards, key=lambda one: order.index(one.board))
        size = gray.shape[1], gray.shape[0]
        self._detections.publish(make.board_detections(stamp_ns, frame, size, boards, found.reason, why))
        posed = [one for one in boards if one.T_camera_board is not None]
        alone = self._alone(posed)
        for one in alone:
            if one.board == self._pose_of:
                self._pose.publish(make.pose_stamped(stamp_ns, frame, one.T_camera_board))
                self._with_covariance.publish(
                    make.pose_with_covariance_stamped(stamp_ns, frame, one.T_camera_board, one.covariance))
            if self._tf is not None:
                self._tf.publish(make.transform(stamp_ns, frame, one.board, one.T_camera_board))
        if self._objects is not None:
            sizes = {name: board_size_m(board) for name, board in self._boards.items()}
            self._objects.publish(make.board_objects(stamp_ns, frame, posed, sizes))
        if self._markers is not None and self._markers.get_subscription_count():
            self._markers.publish(display.board_markers(make, stamp_ns, frame, self._boards, alone))
        if self._overlay.get_subscription_count():
            drawn = display.board_overlay(gray, self._boards, boards, camera, found.reason or why)
            self._overlay.publish(make.image(stamp_ns, frame_id, drawn))

    def _alone(self, posed: list[BoardDetection]) -> list[BoardDetection]:
        """Return the boards of which there is one only: of two equal ones, nobody knows which is meant."""
        counts = Counter(one.board for one in posed)
        for name in (name for name, count in counts.items() if count > 1):
            self._node.reports.warn(f'several {name}', f'board {name} is there {counts[name]} times: the poses are in '
                                    'charuco/detections only; print one with another first_id')
        return [one for one in posed if counts[one.board] == 1]


def board_size_m(board: Board) -> tuple[float, float]:
    """Return width and height of what is printed (m)."""
    return board.squares_x * board.square_m, board.squares_y * board.square_m
