"""Every executable starts, says what is wrong when it cannot, and ends with status 0 when asked to."""

import signal

import pytest

from .conftest import end, wait_until

NODES = {'superpoint_node': 'superpoint', 'superglue_node': 'superglue', 'odometry_node': 'odometry',
         'superslam_node': 'superslam'}


def test_nodes_start_and_stop(context, spin, start):
    import rclpy

    watcher = rclpy.create_node('watcher', context=context)
    spin(watcher)
    processes = {module: start(module) for module in NODES}
    assert wait_until(lambda: set(NODES.values()) <= set(watcher.get_node_names())), watcher.get_node_names()
    for (module, process), number in zip(processes.items(), 2 * [signal.SIGINT, signal.SIGTERM]):
        status, output = end(process, number)
        assert status == 0, f'{module}: {output}'
        assert 'Traceback' not in output, output


@pytest.mark.parametrize('parameter, complaint', [
    ('extractor.weights:=/nowhere/superpoint.pth', '/nowhere/superpoint.pth does not exist'),
    ('extractor.max_keypoints:=-5', 'max_keypoints'),
])
def test_a_node_that_cannot_start_says_why_in_one_line(start, parameter, complaint):
    process = start('superpoint_node', '--ros-args', '-p', parameter)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert complaint in output
    assert 'Traceback' not in output
