"""Find ChArUco boards in the images of a camera: for docking, and for calibration of where the camera is."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import OpaqueFunction
from launch_ros.actions import LoadComposableNodes, Node
from launch_ros.descriptions import ComposableNode
from launch_ros.parameter_descriptions import ParameterValue

from superslam_ros.boards.files import read_boards
from superslam_ros.nodes import launching

SHARE = Path(get_package_share_directory('superslam_ros'))
BOOLEAN = ('', 'true', 'false')

# argument, default, description, choices
ARGUMENTS = (
    ('image', 'image', 'Topic of the image', None),
    ('camera_info', '', 'Topic of its calibration; default: camera_info beside the image topic', None),
    ('pose', 'charuco/pose', 'Topic of the pose of pose_of; for docking with Nav2: detected_dock_pose', None),
    ('config', str(SHARE / 'config/superslam.yaml'),
     'Parameter file; the arguments below win over it, and their default is what it says', None),
    ('namespace', '', 'Namespace of the node', None),
    ('container', '', 'Full name of a running component_container of this package to load into; default: a process',
     None),
    ('use_sim_time', 'false', 'Take the time from /clock, for bags and simulators', ('true', 'false')),
    ('rviz', 'false', 'Open RViz on config/charuco.rviz', ('true', 'false')),
)

# argument, parameter that it sets, description, choices; not given, the parameter file counts.
PARAMETERS = (
    ('boards', 'charuco.boards', 'File of boards: boards: {NAME: {squares_x, squares_y, square_m, marker_m, '
     'dictionary, ...}}', None),
    ('pose_of', 'charuco.pose_of', 'Board whose pose is published; default: the first one', None),
    ('rectified', 'charuco.rectified', 'Whether the images are rectified already; auto: by the name of the topic',
     ('', 'auto', 'yes', 'no')),
    ('camera_frame', 'charuco.camera_frame', 'Optical frame of the camera; default: the frame_id of the images', None),
    ('publish_tf', 'charuco.publish_tf', 'Whether to broadcast camera -> board', BOOLEAN),
    ('started', 'charuco.started', 'false: do nothing until ~/start or ~/toggle is called, as Nav2 can', BOOLEAN),
    ('transport', 'transport', 'Image topic: raw, or compressed (on IMAGE/compressed)', ('', 'raw', 'compressed')),
    ('reliability', 'reliability', 'Reliability of the image subscription', ('', 'best_effort', 'reliable')),
    ('autostart', 'autostart', 'false: the node waits unconfigured for a lifecycle manager', BOOLEAN),
)
WITHOUT_FILE = ('squares_x', 'squares_y', 'square_m', 'marker_m', 'dictionary')


def check(context):
    """Refuse what cannot be started before anything is; complete the arguments."""
    given = context.launch_configurations
    given['camera_info'] = given['camera_info'] or (
        f'{given["image"].rpartition("/")[0]}/camera_info' if '/' in given['image'] else 'camera_info')
    launching.check_topics({name: given[name] for name in ('image', 'camera_info', 'pose', 'namespace', 'container')})
    said = launching.check_parameters(given['config'])
    file = given['boards'] or said.get('charuco.boards')
    if not file and not all(said.get(f'charuco.{name}') for name in WITHOUT_FILE):
        raise RuntimeError('boards: no board is described: give boards:=FILE.yaml, as `superslam charuco board` writes')
    if file and not given['container']:     # which may be on another computer
        try:
            names = list(read_boards(file))
        except ValueError as error:
            raise RuntimeError(f'boards: {error}') from error
        if given['pose_of'] and given['pose_of'] not in names:
            raise RuntimeError(f'pose_of:={given["pose_of"]}: is no board of {file}, which has {", ".join(names)}')
    if given['rviz'] == 'true':
        launching.check_packages('rviz2')


def actions(context):
    """Return the node, and RViz."""
    given = context.launch_configurations
    parameters = {'use_sim_time': given['use_sim_time'] == 'true'}
    for argument, parameter, _, choices in PARAMETERS:
        if given[argument]:
            parameters[parameter] = (given[argument] == 'true' if choices is BOOLEAN else
                                     ParameterValue(given[argument], value_type=str))
    common = {
        'parameters': [given['config'], parameters], 'namespace': given['namespace'],
        'remappings': [('image', given['image']), ('image/compressed', f'{given["image"]}/compressed'),
                       ('camera_info', given['camera_info']), ('charuco/pose', given['pose'])]}
    if given['container']:
        node = ComposableNode(package='superslam_ros', plugin='superslam_ros::Charuco', name='charuco', **common)
        found = [LoadComposableNodes(target_container=given['container'], composable_node_descriptions=[node])]
    else:
        found = [Node(package='superslam_ros', executable='charuco_node', name='charuco', output='screen',
                      additional_env=launching.environment(), **common)]
    if given['rviz'] == 'true':
        frame = ['-f', given['camera_frame']] if given['camera_frame'] else []
        found.append(Node(
            package='rviz2', executable='rviz2', output='log', namespace=given['namespace'],
            arguments=['-d', str(SHARE / 'config/charuco.rviz'), *frame],
            parameters=[{'use_sim_time': given['use_sim_time'] == 'true'}]))
    return found


def generate_launch_description():
    """Declare the arguments and start the node."""
    return LaunchDescription([
        *launching.declare((*ARGUMENTS, *(
            (name, '', description, choices) for name, _, description, choices in PARAMETERS))),
        OpaqueFunction(function=check), OpaqueFunction(function=actions)])
