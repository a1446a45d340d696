"""Run on a Stereolabs ZED: its driver, zed_wrapper, and the nodes of this package."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource, load_python_launch_file_as_module

from superslam_ros.nodes import launching

SUPERSLAM = load_python_launch_file_as_module(str(Path(__file__).with_name('superslam.launch.py')))

# argument, default, description, choices
ARGUMENTS = (
    ('mode', 'rgbd', 'rgbd: the left image and the depth that the ZED SDK computes; stereo: both images',
     ('rgbd', 'stereo')),
    ('camera_model', 'zed2i', 'Model, as zed_camera.launch.py knows it: zed, zedm, zed2, zed2i, zedx, zedxm ...', None),
    ('driver', 'true', 'Start zed_camera.launch.py of zed_wrapper, whose arguments are taken, too; false: it runs '
     'already, with pos_tracking.publish_tf false', ('true', 'false')),
    ('superslam', 'true', 'Start the nodes of this package, too; false: the driver only', ('true', 'false')),
)
STREAMS = {'rgbd': 'video.publish_rgb:=true', 'stereo': 'video.publish_left_right:=true'}


def check(context):
    """Refuse what cannot be started before anything is."""
    SUPERSLAM.resolve({**context.launch_configurations, 'camera': 'zed'})


def driver(context):
    """Return the driver, set up for the mode, without an odometry of its own in TF."""
    given = context.launch_configurations
    if given['driver'] == 'false':
        return []
    share = Path(get_package_share_directory('zed_wrapper'))
    overrides = ';'.join(filter(None, [STREAMS[given['mode']], given.get('param_overrides')]))
    include = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / 'launch/zed_camera.launch.py')),
        launch_arguments={
            'camera_model': given['camera_model'], 'namespace': '', 'publish_tf': 'false', 'publish_map_tf': 'false',
            'param_overrides': overrides}.items())
    # In a group, for its arguments and ours share names.
    return [GroupAction([include])]


def generate_launch_description():
    """Declare the arguments and start the driver and the nodes."""
    nodes = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(Path(__file__).with_name('superslam.launch.py'))),
        launch_arguments={'camera': 'zed'}.items())
    return LaunchDescription([
        *launching.declare(ARGUMENTS), OpaqueFunction(function=check), OpaqueFunction(function=driver), nodes])
