"""Node: images to ChArUco boards, their corners and poses."""

from __future__ import annotations

if __name__ == '__main__':      # before the imports that take long
    from superslam_ros.nodes.shared.start import start

    start(__spec__.name)

import dataclasses
from functools import partial
from typing import Any

import numpy as np
from std_srvs.srv import Trigger

from superslam_ros import conversions
from superslam_ros.bags.topics import is_rectified
from superslam_ros.boards.board import Board
from superslam_ros.boards.corners import CornerDetector
from superslam_ros.boards.detector import BoardDetector, Hints
from superslam_ros.boards.files import KEYS, board_of, read_boards
from superslam_ros.data import Camera
from superslam_ros.geometry.camera import alone
from superslam_ros.node_config import CharucoConfig, CharucoNodeConfig
from superslam_ros.nodes.shared.base import SlamNode
from superslam_ros.nodes.shared.process import run
from superslam_ros.nodes.topics.boards import BoardPublisher
from superslam_ros.nodes.topics.inputs import CameraInputs, FrameInputs, subscribe_image
from superslam_ros.slam.checks import SMALLEST_SIDE, SkippedFrame
from superslam_ros.slam.extract import pick_device
from superslam_ros.slam.odometry import timed
from superslam_ros.sync import Bundle


class CharucoNode(SlamNode):
    """Subscribes to image and camera_info, publishes charuco/..., and serves ~/start, ~/stop and ~/toggle."""

    def __init__(self, **kwargs: Any) -> None:
        """Start as a managed node; ``kwargs`` go to rclpy's Node."""
        super().__init__('charuco', CharucoNodeConfig, **kwargs)

    def configure(self, config: CharucoNodeConfig) -> None:
        """Read the boards, load the networks and advertise.

        :raises ValueError: when the boards are not described, or described wrongly.
        :raises OSError, RuntimeError: when weights or the device are not there.
        """
        self._options = options = config.charuco
        boards = boards_of(options)
        corners = CornerDetector(options.weights or None, options.refine_weights or None, pick_device(options.device))
        self._detector = BoardDetector(boards, corners)
        self._hints = Hints(self._detector)
        self._levels = conversions.Levels()
        self._publisher = BoardPublisher(self, options, boards)
        self._offer_switch()
        self.worker.paused = not options.started

    def release(self) -> None:
        """Let go of the networks."""
        self._detector = self._hints = None

    def describe(self) -> str:
        """Return which boards are looked for."""
        stopped = '' if self._options.started else '; waits for ~/start'
        return f'looks for {", ".join(board.name for board in self._detector.boards)}{stopped}'

    def listen(self) -> None:
        """Subscribe to the image and its calibration."""
        rectified = self._options.rectified == 'yes' or (
            self._options.rectified == 'auto' and is_rectified(self.resolve_topic_name('image')))
        self._cameras = CameraInputs(self, rectified, single=True)
        self.inputs = FrameInputs(self, 'image', [], 0)
        subscribe_image(self.inputs, self, 'image')

    def process(self, item: Bundle) -> None:
        """Find the boards in one image and publish them."""
        message = item.main.item
        gray = self.inputs.read(partial(conversions.gray, levels=self._levels), 'image', message)
        if min(gray.shape) < SMALLEST_SIDE:
            raise SkippedFrame('image too small', f'image of {gray.shape[1]}x{gray.shape[0]} is smaller than '
                               f'{SMALLEST_SIDE}x{SMALLEST_SIDE}')
        camera, why = self._camera(gray)
        with timed({}, 'detect') as timings_ms:
            found = self._hints(gray, self._detector.detect(gray, camera))
        if found.others and not found.boards:
            self.reports.warn('another board', found.reason)
        self._publisher.publish(item.main.stamp_ns, message.header.frame_id, gray, found, camera, why)
        self.monitor.took(item.main, timings_ms, None, why)

    def _camera(self, gray: np.ndarray) -> tuple[Camera | None, str]:
        """Return the camera of an image, or None and why there is none."""
        if not self._cameras.complete:
            why = self._cameras.why_incomplete()
        else:
            try:
                return alone(self._cameras.left.of_image(gray.shape[1], gray.shape[0])), ''
            except ValueError as error:
                why = f'image {error}'
        self.reports.warn('no pose', f'boards have no pose: {why}')
        return None, why

    def _offer_switch(self) -> None:
        """Serve what Nav2's docking calls before and after it wants the pose: one service, or one for each."""
        for name, wanted in (('start', True), ('stop', False), ('toggle', None)):
            def answer(
                _: Trigger.Request, response: Trigger.Response, wanted: bool | None = wanted,
            ) -> Trigger.Response:
                self.worker.paused = not (self.worker.paused if wanted is None else wanted)
                response.success, response.message = True, 'stopped' if self.worker.paused else 'started'
                self.get_logger().info(response.message)
                return response

            self.create_service(Trigger, f'~/{name}', answer)


def boards_of(options: CharucoConfig) -> dict[str, Board]:
    """Return the boards of the file, or the one that the parameters describe.

    :raises ValueError: naming what is missing or wrong.
    """
    if options.boards:
        return read_boards(options.boards)
    values = {key: value for key, value in dataclasses.asdict(options).items() if key in KEYS}
    missing = [f'charuco.{key}' for key in ('squares_x', 'squares_y', 'square_m', 'marker_m', 'dictionary')
               if not values[key]]
    if missing:
        raise ValueError(f'no board is described: set charuco.boards to a file of boards, or {", ".join(missing)}')
    values['legacy'] = {'true': True, 'false': False}.get(values['legacy'], values['legacy'])
    return {options.name: board_of(options.name, values)}


def main() -> int:
    """Run the node."""
    return run(CharucoNode)
