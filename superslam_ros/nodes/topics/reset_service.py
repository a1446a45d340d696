"""The service that begins odometry anew at a given pose."""

from __future__ import annotations

import numpy as np

from superslam_ros.nodes.shared.base import SlamNode
from superslam_ros.nodes.topics.messages import pose_from
from superslam_ros.nodes.topics.publishers import OdometryPublisher
from superslam_ros.srv import ResetToPose


def offer_reset_to_pose(node: SlamNode, publisher: OdometryPublisher) -> None:
    """Serve ``~/reset_to_pose``, for nodes that call ``offer_reset``."""
    def answer(request: ResetToPose.Request, response: ResetToPose.Response) -> ResetToPose.Response:
        try:
            T = pose_from(request.pose)
        except ValueError as error:
            response.message = f'pose: {error}; (0, 0, 0, 1) is no turn'
            return response
        if not np.isfinite(T).all():
            response.message = 'pose: it holds NaN or infinity'
            return response
        publisher.begin_at(T)
        node.ask_for_reset()
        response.success, response.message = True, 'the next frame begins a new odometry at this pose'
        return response

    node.create_service(ResetToPose, '~/reset_to_pose', answer)
