"""Play a bag, run the nodes on it, look at them in RViz, and record what they publish."""

import json
import subprocess
import sys
from pathlib import Path

from ament_index_python.packages import get_package_prefix
from launch import LaunchDescription
from launch.actions import (
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import PythonLaunchDescriptionSource, load_python_launch_file_as_module

from superslam_ros.nodes import launching

SUPERSLAM = load_python_launch_file_as_module(str(Path(__file__).with_name('superslam.launch.py')))
EXECUTABLES = Path(get_package_prefix('superslam_ros')) / 'lib/superslam_ros'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'

TRUTH = ('true', 'false')

# argument, default, description, choices
ARGUMENTS = (
    ('bag', None, 'Bag to play: a rosbag2 folder, .mcap, .db3, or ROS 1 .bag; the topics of the camera are found by '
     'type and name, as `superslam bag info BAG` shows, and the arguments of superslam.launch.py win over that', None),
    ('rate', '1.0', 'How fast to play; 1 is as recorded. Frames that come faster than they can be worked on are '
     'dropped: `superslam run` drops none', None),
    ('loop', 'false', 'Whether to begin again at the end; the odometry starts over each time', TRUTH),
    ('tf', '', 'Whether to play the transforms of the bag; default: with base_frame or publish_tf:=false only, since '
     'the camera would have two parents', ('', *TRUTH)),
    ('record', '', 'New folder for a bag of what the nodes publish; default: do not record', None),
    ('linger', '5.0', 'Seconds from the end of the bag until everything is shut down; negative: until Ctrl-C', None),
)


def find_camera(context, recorded):
    """Set the arguments of superslam.launch.py that were not given to what the bag has; note its topics."""
    given = context.launch_configurations
    found = subprocess.run(
        [EXECUTABLES / 'superslam', 'bag', 'info', '--json', given['bag']], capture_output=True, text=True)
    if not found.stdout:
        raise RuntimeError(found.stderr.strip().splitlines()[-1])
    print(found.stderr, end='', file=sys.stderr)        # what is damaged, and left alone
    camera = json.loads(found.stdout)
    values = {'mode': camera['mode'], 'rectified': str(camera['rectified']).lower()}
    recorded.update(topic['name'] for topic in camera['topics'].values())
    for role, topic in camera['topics'].items():
        name, _, last = topic['name'].rpartition('/')
        if topic['type'] != COMPRESSED:
            values[role] = topic['name']
        elif last == ('compressedDepth' if role == 'depth' else 'compressed'):
            values[role] = name
            values['depth_transport' if role == 'depth' else 'transport'] = 'compressed'
        else:
            raise RuntimeError(f'{topic["name"]} is compressed, but not named IMAGE/compressed or '
                               'DEPTH/compressedDepth: the nodes cannot subscribe to it; `superslam run` reads it')
    if not given.get('camera'):
        for argument, value in values.items():
            given.setdefault(argument, value)


def check(context):
    """Refuse what cannot be started before anything is."""
    given = context.launch_configurations
    launching.check_numbers(given, ('rate', 'linger'))
    if float(given['rate']) <= 0:
        raise RuntimeError(f'rate:={given["rate"]}: must be positive')
    if given['record'] and Path(given['record']).exists():
        raise RuntimeError(f'record: {given["record"]} exists already; choose another folder, or move it')
    SUPERSLAM.resolve(given)


def play(context, recorded):
    """Return the player, the recorder and the end; of the ``recorded`` topics, those that are subscribed to."""
    given = context.launch_configurations
    image = '/compressed' if given['transport'] == 'compressed' else ''
    depth = '/compressedDepth' if given['depth_transport'] == 'compressed' else ''
    subscribed = [given['image'] + image, given['camera_info'], *{
        'stereo': (given['right_image'] + image, given['right_camera_info']),
        'rgbd': (given['depth'] + depth,)}.get(given['mode'], ())]
    waiting = [subscribed[0], *(topic for topic in subscribed[1:] if topic in recorded)]
    # The camera has one parent in TF: the odometry's frame, or one of the robot's.
    tf = given['tf'] or str(bool(given.get('base_frame')) or given.get('publish_tf') == 'false').lower()
    player = ExecuteProcess(
        cmd=[str(EXECUTABLES / 'play_bag'), given['bag'], '--clock', '--rate', given['rate'],
             *(['--without', '/tf', '/tf_static'] if tf == 'false' else []),
             *(['--loop'] if given['loop'] == 'true' else []), '--wait-for', *waiting],
        name='play_bag', output='screen', additional_env=launching.environment())
    actions = [player]
    if given['record']:
        actions.insert(0, ExecuteProcess(
            cmd=[str(EXECUTABLES / 'record_bag'), '--results', given['namespace'] or '/', '--out', given['record']],
            name='record_bag', output='screen', additional_env=launching.environment()))
    if float(given['linger']) >= 0:
        end = TimerAction(period=float(given['linger']), actions=[Shutdown(reason='the bag is over')])
        actions.append(RegisterEventHandler(OnProcessExit(
            target_action=player, on_exit=lambda event, context: None if context.is_shutdown else [end])))
    return actions


def generate_launch_description():
    """Declare the arguments, start the nodes, then play to them."""
    recorded = set()
    nodes = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(Path(__file__).with_name('superslam.launch.py'))),
        # Best effort would lose large images between player and nodes.
        launch_arguments={'use_sim_time': 'true', 'reliability': 'reliable'}.items())
    return LaunchDescription([
        *launching.declare(ARGUMENTS), OpaqueFunction(function=find_camera, args=[recorded]),
        OpaqueFunction(function=check), nodes, OpaqueFunction(function=play, args=[recorded])])
