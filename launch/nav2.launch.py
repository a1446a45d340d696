"""Give Nav2 its odometry: odom -> base_link and the topic odom, from robot_localization.launch.py."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource, load_python_launch_file_as_module
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from superslam_ros.nodes import launching

ROBOT_LOCALIZATION = load_python_launch_file_as_module(
    str(Path(__file__).with_name('robot_localization.launch.py')))

# argument, default, description, choices
ARGUMENTS = (
    ('odom', 'odom', 'Topic of the fused odometry, which is odom_topic in the parameters of Nav2', None),
    ('map', 'static', 'Who gives map -> odom: static (nobody does, the robot starts at the origin of the map), '
     'superslam (this package, by the map of map_file), or other (a localisation of yours, such as AMCL, SLAM Toolbox '
     'or rtabmap.launch.py)', ('static', 'superslam', 'other')),
    ('navigation', 'true', 'Start navigation_launch.py of nav2_bringup; false: only what it needs from this package',
     ('true', 'false')),
    ('params_file', '', 'Parameters of Nav2; default: those of nav2_bringup, whose costmaps want a laser on scan',
     None),
)


def check(context):
    """Refuse what cannot be started before anything is."""
    given = context.launch_configurations
    if given['map'] == 'static':
        launching.check_packages('tf2_ros')
    if given['navigation'] == 'true':
        if given.get('namespace'):
            raise RuntimeError('navigation_launch.py of nav2_bringup runs in no namespace: launch Nav2 with its '
                               'bringup_launch.py and namespace:=NAME, and this file with navigation:=false')
        launching.check_packages('nav2_bringup')
        if given['params_file']:
            launching.read_yaml(given['params_file'], 'params_file')
    ROBOT_LOCALIZATION.check(context)


def localize(context):
    """Have the camera found in the map, where that is what gives map -> odom."""
    if context.launch_configurations['map'] == 'superslam':
        context.launch_configurations['map_mode'] = 'localize'


def navigation(context):
    """Return Nav2 and, if asked for, map -> odom."""
    given = context.launch_configurations
    actions = []
    if given['map'] == 'static':
        actions.append(Node(
            package='tf2_ros', executable='static_transform_publisher', name='map_at_odom',
            arguments=['--frame-id', 'map', '--child-frame-id', given.get('odom_frame') or 'odom']))
    if given['navigation'] == 'true':
        bringup = Path(get_package_share_directory('nav2_bringup'))
        # In a group, for navigation_launch.py has arguments of the same names.
        actions.append(GroupAction([IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(bringup / 'launch/navigation_launch.py')),
            launch_arguments={
                'use_sim_time': given.get('use_sim_time', 'false'), 'autostart': given.get('autostart') or 'true',
                'params_file': given['params_file'] or str(bringup / 'params/nav2_params.yaml')}.items())]))
    return actions


def generate_launch_description():
    """Declare the arguments and start the nodes."""
    odometry = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(Path(__file__).with_name('robot_localization.launch.py'))),
        launch_arguments={'filtered': LaunchConfiguration('odom')}.items())
    return LaunchDescription([
        *launching.declare(ARGUMENTS), OpaqueFunction(function=localize), OpaqueFunction(function=check), odometry,
        OpaqueFunction(function=navigation)])
