"""How nodes are spun."""

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation

from superslam_ros.nodes.shared.process import spin_once


@pytest.mark.parametrize(('error', 'ends'), [(rclpy_implementation.InvalidHandle('gone'), False), (ValueError(), True)])
def test_what_another_thread_takes_down_is_no_error_of_the_node(context, error, ends):
    """The rest of what a callback raises is."""
    node = rclpy.create_node('spun', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    done = []

    def fail():
        done.append(True)
        raise error

    node.create_timer(0.001, fail)
    try:
        if ends:
            with pytest.raises(ValueError):
                spin_once(executor, 5.0)
        else:
            while not done:
                spin_once(executor, 5.0)
            spin_once(executor, 5.0)
            assert len(done) > 1
    finally:
        executor.shutdown()
        node.destroy_node()
