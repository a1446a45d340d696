"""What the core says comes from the node that works, on /rosout."""

import logging

from rcl_interfaces.msg import Log
from rclpy.parameter import Parameter

from superslam_ros.nodes.reporting.logs import speaking
from superslam_ros.nodes.superslam_node import SuperSlamNode

from ..conftest import wait_until
from ..test_live import STEREO, Camera, frames  # noqa: F401


def test_a_frame_that_does_not_fit_its_calibration_is_told_of_on_rosout(context, spin, frames):  # noqa: F811
    camera, said = Camera(context=context), []
    camera.create_subscription(Log, '/rosout', said.append, 100)
    node = SuperSlamNode(context=context, parameter_overrides=[*STEREO, Parameter('reliability', value='reliable')])
    spin(camera, node)
    assert camera.ready()
    small = camera.make.image(frames[0].stamp_ns, 'camera', frames[0].image[:100, :120])
    camera.send_infos(frames[0])
    camera.out['right/image'].publish(camera.make.image(frames[0].stamp_ns, 'right', frames[0].right_image))
    camera.out['image'].publish(small)
    assert wait_until(lambda: any('image is 120x100, its calibration 320x240 (' in one.msg for one in said)), said
    assert next(one for one in said if '120x100' in one.msg).name == 'superslam'


def test_every_severity_comes_through():
    class Logger:
        def __init__(self):
            self.said = []

        def __getattr__(self, severity):
            return lambda text: self.said.append((severity, text))

    log, node = logging.getLogger('superslam_ros.slam.test'), Logger()
    log.setLevel(logging.INFO)
    with speaking(node):
        with speaking(node):
            log.info('a')
        log.warning('b %d', 1)
        log.error('c')
    log.error('outside')
    assert node.said == [('info', 'a'), ('warning', 'b 1'), ('error', 'c')]
    assert not logging.getLogger('superslam_ros').handlers
