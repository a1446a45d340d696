"""Run on an Intel RealSense D400: its driver, realsense2_camera, and the nodes of this package."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource, load_python_launch_file_as_module
from launch_ros.actions import SetParameter

from superslam_ros.nodes import launching

SUPERSLAM = load_python_launch_file_as_module(str(Path(__file__).with_name('superslam.launch.py')))

# argument, default, description, choices
ARGUMENTS = (
    ('mode', 'rgbd', 'rgbd: colour and the depth aligned to it; stereo: the infrared pair, projector off',
     ('rgbd', 'stereo')),
    ('driver', 'true', 'Start rs_launch.py of realsense2_camera, whose arguments are taken, too; false: it runs '
     'already', ('true', 'false')),
    ('imu', 'false', 'Whether the driver publishes the IMU of a D435i or D455 on /camera/camera/imu',
     ('true', 'false')),
    ('superslam', 'true', 'Start the nodes of this package, too; false: the driver only', ('true', 'false')),
)
STREAMS = {
    'rgbd': {'enable_color': 'true', 'enable_depth': 'true', 'align_depth.enable': 'true'},
    'stereo': {'enable_color': 'false', 'enable_depth': 'false', 'enable_infra1': 'true', 'enable_infra2': 'true'},
}
IMU = {'enable_gyro': 'true', 'enable_accel': 'true', 'unite_imu_method': '2'}  # 2: linear interpolation


def check(context):
    """Refuse what cannot be started before anything is."""
    SUPERSLAM.resolve({**context.launch_configurations, 'camera': 'realsense'})


def driver(context):
    """Return the driver, set up for the mode."""
    given = context.launch_configurations
    if given['driver'] == 'false':
        return []
    share = Path(get_package_share_directory('realsense2_camera'))
    include = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / 'launch/rs_launch.py')),
        launch_arguments={
            'enable_sync': 'true', 'publish_tf': 'true', **STREAMS[given['mode']],
            **(IMU if given['imu'] == 'true' else {})}.items())
    # The projector's dots move with the camera, and rs_launch.py has no argument for it.
    dots = [SetParameter('depth_module.emitter_enabled', 0)] if given['mode'] == 'stereo' else []
    # In a group, for its arguments and ours share names.
    return [GroupAction([*dots, include])]


def generate_launch_description():
    """Declare the arguments and start the driver and the nodes."""
    nodes = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(Path(__file__).with_name('superslam.launch.py'))),
        launch_arguments={'camera': 'realsense'}.items())
    return LaunchDescription([
        *launching.declare(ARGUMENTS), OpaqueFunction(function=check), OpaqueFunction(function=driver), nodes])
