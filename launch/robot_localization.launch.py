"""Fuse the odometry with an IMU in the EKF of robot_localization, which then gives odom -> base_link.

With a map, a second one gives map -> odom.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource, load_python_launch_file_as_module
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from superslam_ros.nodes import launching

SHARE = Path(get_package_share_directory('superslam_ros'))
SUPERSLAM = load_python_launch_file_as_module(str(Path(__file__).with_name('superslam.launch.py')))

# argument, default, description, choices
ARGUMENTS = (
    ('base_frame', 'base_link', 'Body frame of the robot; TF must know where the camera and the IMU are in it', None),
    ('imu', '', 'Topic of an IMU (sensor_msgs/Imu) whose angular velocity is fused; default: none', None),
    ('ekf_config', str(SHARE / 'config/ekf.yaml'), 'Parameter file of the EKF; the arguments here win over it', None),
    ('map_ekf', 'false', 'Start a second EKF, which fuses the poses in the map (map_mode, map_file) and gives map -> '
     'odom in place of the map itself', ('true', 'false')),
    ('map_ekf_config', str(SHARE / 'config/ekf_map.yaml'), 'Its parameter file', None),
    ('map_filtered', 'odometry/filtered_map', 'Topic of its odometry', None),
    ('two_d', 'false', 'For robots on a floor: keep z, roll and pitch at zero', ('true', 'false')),
    ('filtered', 'odometry/filtered', 'Topic of the fused odometry', None),
    ('superslam', 'true', 'Start superslam.launch.py, whose arguments are taken, too; false: it runs already',
     ('true', 'false')),
)


def check(context):
    """Refuse what cannot be started before anything is; for those who include this file, too."""
    given = {**{name: default for name, default, *_ in ARGUMENTS}, **context.launch_configurations}
    launching.check_packages('robot_localization')
    launching.read_yaml(given['ekf_config'], 'ekf_config')
    launching.check_topics({name: given[name] for name in ('imu', 'filtered', 'map_filtered')})
    resolved = SUPERSLAM.resolve({**given, 'publish_tf': 'false'})
    if given['map_ekf'] == 'true':
        launching.read_yaml(given['map_ekf_config'], 'map_ekf_config')
        if SUPERSLAM.starts_nodes(given) and SUPERSLAM.map_mode(resolved) == 'off':
            raise RuntimeError('map_ekf:=true: there is no map; give map_mode:=localize map_file:=FILE, or '
                               'map_mode:=build')
        context.launch_configurations['publish_map_tf'] = 'false'


def filters(context):
    """Return the EKF and, where it is wanted, that of the map."""
    given = context.launch_configurations
    odom_frame, map_frame = given.get('odom_frame') or 'odom', given.get('map_frame') or 'map'
    found = [ekf(given, 'ekf_filter_node', given['ekf_config'], given['filtered'],
                 {'odom_frame': odom_frame, 'world_frame': odom_frame})]
    if given['map_ekf'] == 'true':
        found.append(ekf(given, 'ekf_map_node', given['map_ekf_config'], given['map_filtered'],
                         {'odom_frame': odom_frame, 'map_frame': map_frame, 'world_frame': map_frame}))
    return found


def ekf(given, name, config, filtered, frames):
    """Return an EKF, for the arguments of this file and of superslam.launch.py."""
    overrides = {
        **frames, 'base_link_frame': given['base_frame'],
        'two_d_mode': given['two_d'] == 'true', 'use_sim_time': given.get('use_sim_time') == 'true',
        **({'imu0': ParameterValue(given['imu'], value_type=str)} if given['imu'] else {})}
    return Node(
        package='robot_localization', executable='ekf_node', name=name, output='screen',
        namespace=given.get('namespace', ''), parameters=[config, overrides],
        remappings=[('odometry/filtered', filtered)])


def generate_launch_description():
    """Declare the arguments and start the nodes."""
    nodes = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(Path(__file__).with_name('superslam.launch.py'))),
        # The transform is left to the EKF.
        launch_arguments={'publish_tf': 'false', 'base_frame': LaunchConfiguration('base_frame')}.items())
    return LaunchDescription([
        *launching.declare(ARGUMENTS), OpaqueFunction(function=check), nodes, OpaqueFunction(function=filters)])
