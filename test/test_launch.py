"""The launch file, where ROS brings launch: on a machine without it, test_package reads its text."""

import importlib.util
from pathlib import Path

import pytest

launch = pytest.importorskip('launch', reason='launch comes with a ROS distribution')
pytest.importorskip('launch_ros', reason='launch_ros comes with a ROS distribution')

FILE = Path(__file__).parents[1] / 'launch/superslam.launch.py'


@pytest.fixture
def module():
    """Return the launch file as a module."""
    spec = importlib.util.spec_from_file_location('superslam_launch', FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize('composed, executables', [
    ('true', ['superslam_node']), ('false', ['superpoint_node', 'superglue_node', 'odometry_node'])])
def test_it_starts_what_was_asked_for(module, composed, executables):
    context = launch.LaunchContext()
    context.launch_configurations.update({name: default for name, default, _ in module.ARGUMENTS})
    context.launch_configurations['composed'] = composed
    assert [node.node_executable for node in module.nodes(context)] == executables


def test_every_argument_is_declared_with_a_description(module):
    declared = {one.name: one for one in module.generate_launch_description().get_launch_arguments()}
    assert set(declared) == {name for name, _, _ in module.ARGUMENTS}
    assert all(one.description for one in declared.values())
