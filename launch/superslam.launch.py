"""Launch SuperPoint, matching and odometry on a camera."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import OpaqueFunction
from launch_ros.actions import ComposableNodeContainer, LoadComposableNodes, Node
from launch_ros.descriptions import ComposableNode
from launch_ros.parameter_descriptions import ParameterValue

from superslam_ros.nodes import launching

SHARE = Path(get_package_share_directory('superslam_ros'))
CAMERAS = SHARE / 'config/cameras'
NODES = ('superpoint_node', 'superglue_node', 'odometry_node')
BOOLEAN = ('', 'true', 'false')

# argument, default, description, choices
ARGUMENTS = (
    ('camera', '', f'Preset of topics and frames: {", ".join(sorted(file.stem for file in CAMERAS.glob("*.yaml")))}, '
     'or a YAML file like theirs; arguments given beside it win', None),
    ('image', 'image', 'Topic of the image; the left one of a stereo camera', None),
    ('camera_info', '', 'Topic of its calibration; default: camera_info beside the image topic', None),
    ('right_image', 'right/image', 'Topic of the right image', None),
    ('right_camera_info', '', 'Topic of its calibration; default: camera_info beside the right image topic', None),
    ('depth', 'depth', 'Topic of the depth image, registered to the image', None),
    ('mask', '', 'Topic of masks, one with every image: zero where no keypoints are to be, such as on people; default: '
     'none', None),
    ('guess', 'guess', 'Topic of the odometry of the wheels, with guess_source:=odometry', None),
    ('imu_topic', 'imu', 'Topic of an IMU, with imu_enabled:=true', None),
    ('config', str(SHARE / 'config/superslam.yaml'),
     'Parameter file; the arguments below win over it, and their default is what it says', None),
    ('namespace', '', 'Namespace of the nodes', None),
    ('composed', 'true', 'true: one node in a component container, where features go from stage to stage as objects; '
     'false: three nodes, each a process', ('true', 'false')),
    ('container', '', 'With composed:=true, the full name of a running component_container of this package to load '
     'into; default: start one', None),
    ('use_sim_time', 'false', 'Take the time from /clock, for bags and simulators', ('true', 'false')),
    ('rviz', 'false', 'Open RViz on config/superslam.rviz, or with a map on config/map.rviz', ('true', 'false')),
)

# argument, parameters that it sets, description, choices; not given, the parameter file counts.
PARAMETERS = (
    ('mode', ('mode',), 'Inputs: mono (image), stereo (image and right_image) or rgbd (image and depth)',
     ('', 'mono', 'stereo', 'rgbd')),
    ('rectified', ('odometry.rectified',), 'Whether the images are rectified already', BOOLEAN),
    ('transport', ('transport',), 'Image topics: raw, or compressed (on IMAGE/compressed)', ('', 'raw', 'compressed')),
    ('depth_transport', ('depth_transport',), 'Depth topic: raw, or compressed (on DEPTH/compressedDepth)',
     ('', 'raw', 'compressed')),
    ('reliability', ('reliability',), 'Reliability of the image subscriptions', ('', 'best_effort', 'reliable')),
    ('device', ('extractor.device', 'matcher.device'), 'Where the networks run', ('', 'auto', 'cpu', 'cuda')),
    ('weights', ('extractor.weights',),
     'SuperPoint weights (.safetensors, .pth), or compact, which is shipped and ten times as fast', None),
    ('matcher', ('matcher.matcher',), 'Mutual nearest neighbours, or the attention network',
     ('', 'nearest', 'superglue')),
    ('superglue_weights', ('matcher.weights',), 'SuperGlue weights (.safetensors, .pth); default: those shipped', None),
    ('odom_frame', ('frames.odom_frame',), 'Frame in which odometry is reported', None),
    ('camera_frame', ('frames.camera_frame',), 'Optical frame of the camera; default: the frame_id of the images',
     None),
    ('base_frame', ('frames.base_frame',), 'Frame of the robot whose odometry is wanted, such as base_link; TF must '
     'know where on it the camera is; default: the camera', None),
    ('publish_tf', ('frames.publish_tf',), 'Whether to broadcast odom_frame -> base_frame or camera_frame', BOOLEAN),
    ('invert_tf', ('frames.invert_tf',), 'Whether to broadcast the inverse, with odom_frame as the child', BOOLEAN),
    ('initial_pose', ('frames.initial_pose',), 'Where odometry begins: x y z roll pitch yaw, or x y z qx qy qz qw',
     None),
    ('guess_source', ('guess.source',), 'Odometry of the wheels as a guess: off; odometry: from the topic guess; tf: '
     'from guess_frame to base_frame', ('', 'off', 'odometry', 'tf')),
    ('guess_frame', ('guess.frame',), 'Frame of the odometry of the wheels, with guess_source:=tf', None),
    ('imu_enabled', ('imu.enabled',), 'Whether to use an IMU (sensor_msgs/Imu), whose frame TF connects with the '
     'camera', BOOLEAN),
    ('map_mode', ('map.mode',), 'Keep a map beside the odometry: build one; localize: find the camera in the one of '
     'map_file; or off', ('', 'off', 'build', 'localize')),
    ('map_file', ('map.path',), 'File of that map; to build: gone on with where it exists', None),
    ('map_frame', ('map.frame',), 'Frame of the map', None),
    ('publish_map_tf', ('map.publish_tf',), 'Whether to broadcast map -> odom', BOOLEAN),
    ('save_map', ('map.save_at_end',), 'Whether to save the map to map_file at the end', BOOLEAN),
    ('autostart', ('autostart',), 'Whether the nodes configure and activate themselves; false: a lifecycle '
     'manager does', BOOLEAN),
)


TOPICS = ('image', 'camera_info', 'right_image', 'right_camera_info', 'depth', 'mask')


def resolve(given):
    """Return the arguments as they count, those that were given before a camera's preset, before the defaults.

    For launch files that include this one, too: nothing may be wrong once a process is started.

    :raises RuntimeError: naming what is wrong.
    """
    rows = [*ARGUMENTS, *((name, '', description, choices) for name, _, description, choices in PARAMETERS)]
    values = {name: default for name, default, *_ in rows}
    if given.get('camera'):
        chosen = launching.preset(CAMERAS, given['camera'], given.get('mode'))
        unknown = set(chosen) - set(values)
        if unknown:
            raise RuntimeError(f'camera:={given["camera"]}: there is no argument {", ".join(sorted(unknown))}')
        values.update(chosen)
    values.update({name: value for name, value in given.items() if value})
    launching.settle(values, rows)
    for image, info in (('image', 'camera_info'), ('right_image', 'right_camera_info')):
        values[info] = values[info] or beside(values[image])
    launching.check_topics({name: values[name] for name in (*TOPICS, 'namespace', 'container')})
    if values['rviz'] == 'true':
        launching.check_packages('rviz2')
    if starts_nodes(values):
        said = launching.check_parameters(values['config'])
        if not values['container']:     # which may be on another computer
            launching.check_weights({f'{name} (in {values["config"]})': said.get(name, '')
                                     for name in ('extractor.weights', 'matcher.weights')})
            launching.check_weights({name: values[name] for name in ('weights', 'superglue_weights')})
            check_map(said, values)
    return values


def check_map(said, given):
    """Refuse a map that is not there, or cannot be saved; ``said``: by the parameter file.

    :raises RuntimeError: naming the argument.
    """
    mode, file = (given[name] or said.get(parameter, '') for name, parameter in (
        ('map_mode', 'map.mode'), ('map_file', 'map.path')))
    if mode == 'localize':
        launching.check_files({'map_file': file})
    elif mode == 'build' and file and not Path(file).resolve().parent.is_dir():
        raise RuntimeError(f'map_file:={file}: there is no folder {Path(file).resolve().parent}')


def starts_nodes(given):
    """Return whether the nodes are wanted; ``superslam`` is an argument of those who include this file."""
    superslam = {'superslam': given.get('superslam') or 'true'}
    launching.settle(superslam, [('superslam', '', '', ('true', 'false'))])
    return superslam['superslam'] == 'true'


def nodes(context):
    """Return the node actions for the arguments of this launch."""
    given = context.launch_configurations
    if not starts_nodes(given):     # they run already; arguments and preset count
        return []
    overrides = {'use_sim_time': given['use_sim_time'] == 'true'}
    for argument, parameters, _, choices in PARAMETERS:
        if given[argument]:
            value = given[argument] == 'true' if choices is BOOLEAN else ParameterValue(given[argument], value_type=str)
            overrides.update(dict.fromkeys(parameters, value))
    if given['mask']:
        overrides['masked'] = True
    common = {'parameters': [given['config'], overrides], 'remappings': remappings(given),
              'namespace': given['namespace']}
    if given['composed'] == 'false':
        names = NODES if map_mode(given) == 'off' else (*NODES, 'map_node')
        return [Node(package='superslam_ros', executable=name, output='screen',
                     additional_env=launching.environment(), **common) for name in names]
    node = ComposableNode(package='superslam_ros', plugin='superslam_ros::SuperSlam', name='superslam', **common)
    if given['container']:
        return [LoadComposableNodes(target_container=given['container'], composable_node_descriptions=[node])]
    return [ComposableNodeContainer(
        package='superslam_ros', executable='component_container', name='superslam_container',
        namespace=given['namespace'], output='screen', additional_env=launching.environment(),
        parameters=[{'end_on_failure': True}], composable_node_descriptions=[node])]


def rviz(context):
    """Return RViz, if it is wanted."""
    given = context.launch_configurations
    if given['rviz'] == 'false':
        return []
    shown = ['-d', str(SHARE / 'config/superslam.rviz')]
    if starts_nodes(given) and map_mode(given) != 'off':
        shown = ['-d', str(SHARE / 'config/map.rviz'), *(['-f', given['map_frame']] if given['map_frame'] else [])]
    return [Node(
        package='rviz2', executable='rviz2', output='log', namespace=given['namespace'], arguments=shown,
        parameters=[{'use_sim_time': given['use_sim_time'] == 'true'}])]


def map_mode(given):
    """Return whether there is to be a map: off, build or localize."""
    return given['map_mode'] or launching.check_parameters(given['config']).get('map.mode', 'off')


def remappings(given):
    """Return what the topics of the nodes are called."""
    topics = {
        'image': given['image'], 'camera_info': given['camera_info'],
        'right/image': given['right_image'], 'right/camera_info': given['right_camera_info'],
        'guess': given['guess'], 'imu': given['imu_topic'], 'depth': given['depth'],
        'depth/compressedDepth': f'{given["depth"]}/compressedDepth',
        'mask': given['mask'] or 'mask'}
    for name in ('image', 'right/image'):
        topics[f'{name}/compressed'] = f'{topics[name]}/compressed'
    return list(topics.items())


def beside(image):
    """Return the camera_info topic that belongs to an image topic."""
    return f'{image.rpartition("/")[0]}/camera_info' if '/' in image else 'camera_info'


def generate_launch_description():
    """Declare the arguments and start the nodes."""
    # Before the arguments are declared, whose defaults would count as given.
    resolved = OpaqueFunction(function=lambda context: context.launch_configurations.update(
        resolve(context.launch_configurations)))
    return LaunchDescription([
        resolved, *launching.declare((*ARGUMENTS, *(
            (name, '', description, choices) for name, _, description, choices in PARAMETERS))),
        OpaqueFunction(function=nodes), OpaqueFunction(function=rviz)])
