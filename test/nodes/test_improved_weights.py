"""What `superslam improve` writes, on the robot: weights for the configure transition, and a new map after it."""

from __future__ import annotations

import pytest
import torch
from rclpy.parameter import Parameter
from superslam_ros.msg import MapStatus

from superslam_ros.improve import interpolation
from superslam_ros.models import checkpoint
from superslam_ros.nodes.superslam_node import SuperSlamNode

from .conftest import wait_until
from .test_live import STEREO, Camera, frames  # noqa: F401


@pytest.fixture
def improved(tmp_path):
    """Give weights a little away from the shipped ones."""
    start, other, out = checkpoint.shipped('compact'), tmp_path / 'other.safetensors', tmp_path / 'new.safetensors'
    noise = torch.Generator().manual_seed(0)
    checkpoint.save({name: tensor + 0.05 * tensor.std() * torch.randn(tensor.shape, generator=noise)
                     if tensor.ndim > 1 else tensor for name, tensor in checkpoint.load_state(start).items()}, other)
    interpolation.write(start, other, 0.5, out, {'network': 'compact'})
    return out


def test_weights_come_with_configure_and_a_map_of_those_before_is_refused(
    context, spin, frames, improved, tmp_path,  # noqa: F811
):
    file, statuses = tmp_path / 'before.map', []
    camera = Camera(context=context)
    camera.create_subscription(MapStatus, 'superslam/map_status', statuses.append, 10)
    node = SuperSlamNode(context=context, parameter_overrides=[
        *STEREO, Parameter('map.mode', value='build'), Parameter('map.path', value=str(file)),
        Parameter('map.save_at_end', value=True)])
    spin(camera, node)
    assert camera.ready() and all(camera.send(frame) for frame in frames[:2])
    assert node.odometry.extractor.weights == checkpoint.digest(checkpoint.shipped('compact'))
    refused, = node.set_parameters([Parameter('extractor.weights', value=str(improved))])
    assert not refused.successful and 'cleanup' in refused.reason
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert file.is_file()

    assert all(result.successful for result in node.set_parameters([
        Parameter('extractor.weights', value=str(improved)), Parameter('map.mode', value='localize'),
        Parameter('map.save_at_end', value=False)]))
    node.trigger_configure()
    node.trigger_activate()
    assert node.odometry.extractor.weights == checkpoint.digest(improved)
    statuses.clear()
    assert camera.ready() and all(camera.send(frame) for frame in frames[:3])
    assert camera.status.matches > 100
    assert wait_until(lambda: any(status.code == MapStatus.OTHER_WEIGHTS for status in statuses))
    said = next(status for status in statuses if status.code == MapStatus.OTHER_WEIGHTS).message
    assert 'extractor.weights' in said
