"""Map with RTAB-Map on the odometry of this package, and if asked for on its keypoints and descriptors."""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource, load_python_launch_file_as_module
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from superslam_ros.nodes import launching

SUPERSLAM = load_python_launch_file_as_module(str(Path(__file__).with_name('superslam.launch.py')))

# argument, default, description, choices
ARGUMENTS = (
    ('features', 'false', 'true: RTAB-Map takes its words from our keypoints and descriptors (rtabmap_msgs/RGBDImage); '
     'false: it finds its own', ('true', 'false')),
    ('odom', 'superslam/odometry', 'Topic of the odometry', None),
    ('frame_id', '', 'Frame whose pose the odometry gives; default: camera_frame. With the EKF of '
     'robot_localization.launch.py: base_link', None),
    ('database', '~/.ros/rtabmap.db', 'File of the map', None),
    ('new_map', 'true', 'Whether to begin a new map, deleting the file', ('true', 'false')),
    ('localization', 'false', 'true: localise in the map of the file without changing it; wants new_map:=false',
     ('true', 'false')),
    ('superslam', 'true', 'Start superslam.launch.py, whose arguments are taken, too; false: it runs already',
     ('true', 'false')),
)
BEST_EFFORT, RELIABLE = 2, 1    # values of RTAB-Map's qos parameters
QUEUE = 30
"""Messages kept until the odometry of their image comes: a second of a usual camera."""


def check(context):
    """Refuse what cannot be started before anything is."""
    given = SUPERSLAM.resolve(context.launch_configurations)
    if given['mode'] not in ('stereo', 'rgbd'):
        raise RuntimeError('RTAB-Map needs depth: give mode:=stereo or mode:=rgbd, or a camera preset')
    if not (given.get('frame_id') or given['camera_frame']):
        raise RuntimeError('RTAB-Map needs the name of the optical frame: give camera_frame:=NAME, or a camera preset')
    launching.check_topics({'odom': given['odom']})
    launching.check_packages('rtabmap_slam')


def mapping(context):
    """Return RTAB-Map, and the node that gives it our features."""
    given = context.launch_configurations
    mode, frame = given.get('mode'), given['frame_id'] or given.get('camera_frame')
    features, rgbd = given['features'] == 'true', mode == 'rgbd'
    # Our features are published so, and too large for best effort.
    reliable = features or given.get('reliability') == 'reliable'
    sim_time = {'use_sim_time': given.get('use_sim_time') == 'true'}
    namespace = given.get('namespace', '')
    rtabmap = Node(
        package='rtabmap_slam', executable='rtabmap', output='screen', namespace=namespace,
        parameters=[sim_time, {
            'frame_id': frame, 'subscribe_rgbd': features, 'subscribe_stereo': not (features or rgbd),
            'subscribe_depth': rgbd and not features, 'subscribe_rgb': rgbd and not features,
            'approx_sync': rgbd and not features,
            'topic_queue_size': QUEUE, 'sync_queue_size': QUEUE,
            'qos_odom': RELIABLE, 'qos': RELIABLE if reliable else BEST_EFFORT,
            'image_transport': ParameterValue(given.get('transport') or 'raw', value_type=str),
            'depth_transport': 'compressedDepth' if given.get('depth_transport') == 'compressed' else 'raw',
            'database_path': ParameterValue(given['database'], value_type=str),
            'delete_db_on_start': given['new_map'] == 'true',
            # RTAB-Map's own parameters are strings.
            'Mem/IncrementalMemory': text(given['localization'] == 'false'),
            'Mem/InitWMWithAllNodes': text(given['localization'] == 'true')}],
        remappings=[('odom', given['odom']), ('rgbd_image', 'superslam/rgbd_image'), *topics(given)])
    if not features:
        return [rtabmap]
    images = [(name, given[argument]) for name, argument in (
        ('image', 'image'), ('camera_info', 'camera_info'), ('right/image', 'right_image'),
        ('right/camera_info', 'right_camera_info'), ('depth', 'depth'))]
    compressed = [(f'{name}/{kind}', f'{topic}/{kind}') for name, topic in images
                  for kind in ('compressed', 'compressedDepth')]
    parameters = {name: ParameterValue(given[name], value_type=str)
                  for name in ('mode', 'transport', 'depth_transport', 'reliability') if given.get(name)}
    return [rtabmap, Node(
        package='superslam_ros', executable='rgbd_image_node', output='screen', namespace=namespace,
        additional_env=launching.environment(), parameters=[sim_time, parameters], remappings=[*images, *compressed])]


def topics(given):
    """Return the remappings of RTAB-Map's image topics."""
    return [(name, given[argument]) for name, argument in (
        ('rgb/image', 'image'), ('rgb/camera_info', 'camera_info'), ('depth/image', 'depth'),
        ('left/image_rect', 'image'), ('left/camera_info', 'camera_info'),
        ('right/image_rect', 'right_image'), ('right/camera_info', 'right_camera_info'))]


def text(value):
    """Return a boolean as RTAB-Map writes it."""
    return ParameterValue('true' if value else 'false', value_type=str)


def generate_launch_description():
    """Declare the arguments and start the nodes."""
    nodes = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(Path(__file__).with_name('superslam.launch.py'))))
    return LaunchDescription([
        *launching.declare(ARGUMENTS), OpaqueFunction(function=check), nodes, OpaqueFunction(function=mapping)])
