"""The log tells what a node works with, when tracking is lost and found, and what is changed."""

import numpy as np
from rclpy.parameter import Parameter

from superslam_ros.data import Motion, TrackingState
from superslam_ros.nodes.reporting.story import TrackingLog
from superslam_ros.nodes.superslam_node import SuperSlamNode

INITIALIZING, TRACKING, LOST = TrackingState.INITIALIZING, TrackingState.TRACKING, TrackingState.LOST


class Log:
    """Keeps what is said, as a node and as its logger."""

    def __init__(self):
        self.said = []

    def get_logger(self):
        return self

    def info(self, text):
        self.said.append(('info', text))

    def warning(self, text):
        self.said.append(('warning', text))


def motion(tenths, state):
    return Motion(tenths * 10**8, state, np.eye(4), np.eye(6), np.zeros(6), np.eye(6), inliers=3, matches=7)


def test_tracking_that_is_lost_and_found():
    node = Log()
    log = TrackingLog(node)
    for tenths, state in enumerate([INITIALIZING, TRACKING, TRACKING, LOST, LOST, LOST, TRACKING, TRACKING, LOST]):
        log.tell(motion(tenths, state))
    assert [severity for severity, _ in node.said] == ['info', 'warning', 'info', 'warning']
    assert 'lost at 0.300 s: 7 matches, 3 of them agree' in node.said[1][1]
    assert node.said[2][1] == 'tracking is found again after 0.300 s (3 frames)'
    log.reset()
    log.tell(motion(1, TRACKING))
    assert node.said[-1] == ('info', 'tracking begins')


def test_one_line_at_the_start_and_one_for_each_change(context, capfd):
    node = SuperSlamNode(context=context, cli_args=['--ros-args', '-r', 'image:=/cam/image'], parameter_overrides=[
        Parameter('mode', value='rgbd'), Parameter('extractor.device', value='cpu'),
        Parameter('matcher.device', value='cpu'), Parameter('smoother.method', value='none')])
    node.set_parameters([Parameter('extractor.max_keypoints', value=200)])
    node.trigger_deactivate()
    node.trigger_cleanup()
    node.trigger_shutdown()
    node.destroy_node()
    said = [line.partition(']: ')[2] for line in capfd.readouterr().err.splitlines()]
    start = next(line for line in said if line.startswith('active: '))
    assert start == ('active: mode rgbd, listens to /camera_info, /cam/image, /depth; superpoint (weights as shipped) '
                     'on cpu; matcher nearest on cpu; smoother none')
    assert 'extractor.max_keypoints: 1000 -> 200, from the next frame on' in said
    order = ['configured', 'active', 'extractor', 'inactive', 'unconfigured', 'finalized']
    assert [line.partition(':')[0].partition('.')[0] for line in said if line.startswith(tuple(order))] == order
