"""Launch SuperPoint, matching and odometry on a camera."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

# name, default, description
ARGUMENTS = (
    ('mode', 'mono', 'Inputs: mono (image), stereo (image and right_image) or rgbd (image and depth)'),
    ('image', 'image', 'Topic of the image; the left one of a stereo camera'),
    ('camera_info', '', 'Topic of its calibration; default: camera_info beside the image topic'),
    ('right_image', 'right/image', 'Topic of the right image'),
    ('right_camera_info', '', 'Topic of its calibration; default: camera_info beside the right image topic'),
    ('depth', 'depth', 'Topic of the depth image, registered to the image'),
    ('rectified', 'true', 'Whether the images are rectified already'),
    ('transport', 'raw', 'Image topics: raw, or compressed (on IMAGE/compressed)'),
    ('depth_transport', 'raw', 'Depth topic: raw, or compressed (on DEPTH/compressedDepth)'),
    ('reliability', 'best_effort', 'Reliability of the image subscriptions: best_effort or reliable'),
    ('composed', 'true', 'true: one process that hands features over as objects; false: three nodes'),
    ('device', 'auto', 'Where the networks run: auto, cpu or cuda'),
    ('weights', '', 'SuperPoint weights (.safetensors, .pth); default: the open ones of this package'),
    ('matcher', 'nearest', 'nearest, or superglue with superglue_weights'),
    ('superglue_weights', '', 'SuperGlue weights (.safetensors, .pth)'),
    ('odom_frame', 'odom', 'Frame in which odometry is reported'),
    ('camera_frame', '', 'Optical frame of the camera; default: the frame_id of the images'),
    ('publish_tf', 'true', 'Whether to broadcast odom_frame -> camera_frame'),
    ('namespace', '', 'Namespace of the nodes'),
    ('use_sim_time', 'false', 'Take the time from /clock, for bags'),
    ('rviz', 'false', 'Open RViz'),
)


def nodes(context):
    """Return the node actions for the arguments of this launch."""
    given = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    config = PathJoinSubstitution([FindPackageShare('superslam_ros'), 'config', 'superslam.yaml'])
    overrides = {
        'use_sim_time': _boolean(given['use_sim_time']),
        'mode': _text(given['mode']),
        'transport': _text(given['transport']),
        'depth_transport': _text(given['depth_transport']),
        'reliability': _text(given['reliability']),
        'extractor.device': _text(given['device']),
        'extractor.weights': _text(given['weights']),
        'matcher.device': _text(given['device']),
        'matcher.matcher': _text(given['matcher']),
        'matcher.weights': _text(given['superglue_weights']),
        'odometry.rectified': _boolean(given['rectified']),
        'frames.odom_frame': _text(given['odom_frame']),
        'frames.camera_frame': _text(given['camera_frame']),
        'frames.publish_tf': _boolean(given['publish_tf']),
    }
    topics = {
        'image': given['image'],
        'camera_info': given['camera_info'] or _beside(given['image']),
        'right/image': given['right_image'],
        'right/camera_info': given['right_camera_info'] or _beside(given['right_image']),
        'depth': given['depth'],
    }
    for name in ('image', 'right/image'):
        topics[f'{name}/compressed'] = f'{topics[name]}/compressed'
    topics['depth/compressedDepth'] = f'{topics["depth"]}/compressedDepth'
    composed = given['composed'].lower() in ('true', '1', 'yes')
    executables = ['superslam_node'] if composed else ['superpoint_node', 'superglue_node', 'odometry_node']
    return [
        Node(
            package='superslam_ros', executable=executable, namespace=given['namespace'], output='screen',
            parameters=[config, overrides], remappings=list(topics.items()))
        for executable in executables
    ]


def _beside(image):
    """Return the camera_info topic that belongs to an image topic."""
    return f'{image.rpartition("/")[0]}/camera_info' if '/' in image else 'camera_info'


def _text(value):
    return ParameterValue(value, value_type=str)


def _boolean(value):
    return value.lower() in ('true', '1', 'yes')


def generate_launch_description():
    """Declare the arguments and start the nodes."""
    rviz = Node(
        package='rviz2', executable='rviz2', output='log',
        arguments=['-d', PathJoinSubstitution([FindPackageShare('superslam_ros'), 'config', 'superslam.rviz'])],
        parameters=[{'use_sim_time': ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool)}],
        condition=IfCondition(LaunchConfiguration('rviz')))
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, default, description in ARGUMENTS
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=nodes), rviz])
