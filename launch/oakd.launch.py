"""Run on a Luxonis OAK-D: its driver, depthai_ros_driver, and the nodes of this package."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource, load_python_launch_file_as_module

from superslam_ros.nodes import launching

SUPERSLAM = load_python_launch_file_as_module(str(Path(__file__).with_name('superslam.launch.py')))

# argument, default, description, choices
ARGUMENTS = (
    ('mode', 'rgbd', 'rgbd: colour and the depth that the camera computes and aligns to it', ('rgbd',)),
    ('camera_model', 'OAK-D', 'Model, as the driver knows it: OAK-D, OAK-D-PRO, OAK-D-LITE, ...', None),
    ('driver', 'true', 'Start the driver, whose arguments are taken, too; false: it runs already', ('true', 'false')),
    ('driver_package', 'depthai_ros_driver',
     'Package of the driver; version 3 is depthai_ros_driver_v3 on Humble and Jazzy', None),
    ('superslam', 'true', 'Start the nodes of this package, too; false: the driver only', ('true', 'false')),
)
LAUNCH_FILES = ('driver.launch.py', 'camera.launch.py')
"""Of version 3 and of version 2."""


def check(context):
    """Refuse what cannot be started before anything is."""
    SUPERSLAM.resolve({**context.launch_configurations, 'camera': 'oakd'})


def driver(context):
    """Return the driver."""
    given = context.launch_configurations
    if given['driver'] == 'false':
        return []
    share = Path(get_package_share_directory(given['driver_package']))
    found = [share / 'launch' / name for name in LAUNCH_FILES if (share / 'launch' / name).exists()]
    if not found:
        raise RuntimeError(f'{share}/launch has neither {" nor ".join(LAUNCH_FILES)}')
    include = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(found[0])),
        launch_arguments={
            'name': 'oak', 'namespace': '', 'camera_model': given['camera_model'],
            # Without a neural network, which the driver's default parameters load.
            'params_file': given.get('params_file') or str(share / 'config/rgbd.yaml')}.items())
    # In a group, for its arguments and ours share names.
    return [GroupAction([include])]


def generate_launch_description():
    """Declare the arguments and start the driver and the nodes."""
    nodes = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(Path(__file__).with_name('superslam.launch.py'))),
        launch_arguments={'camera': 'oakd'}.items())
    return LaunchDescription([
        *launching.declare(ARGUMENTS), OpaqueFunction(function=check), OpaqueFunction(function=driver), nodes])
