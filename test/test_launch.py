"""The launch files: executed up to the processes where ROS brings launch, else read as text."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from superslam_ros.bags.bag import list_topics, open_bag
from superslam_ros.bags.messages import Messages, typestore
from superslam_ros.bags.writer import BagWriter
from superslam_ros.worlds import pinhole

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / 'launch').glob('*.launch.py'))
PRESETS = sorted((ROOT / 'config/cameras').glob('*.yaml'))
DOCUMENT = (ROOT / 'docs/integration.md').read_text()
STACKS = {'realsense2_camera': ['rs_launch.py'], 'zed_wrapper': ['zed_camera.launch.py'],
          'depthai_ros_driver': ['driver.launch.py'], 'nav2_bringup': ['navigation_launch.py'],
          'robot_localization': [], 'rtabmap_slam': [], 'tf2_ros': [], 'rviz2': []}


def arguments(file: Path) -> dict[str, ast.Tuple]:
    """Return the rows of a launch file's tables ARGUMENTS and PARAMETERS by name, without running it."""
    tables = [node.value for node in ast.parse(file.read_text()).body if isinstance(node, ast.Assign)
              and getattr(node.targets[0], 'id', '') in ('ARGUMENTS', 'PARAMETERS')]
    return {row.elts[0].value: row for table in tables for row in table.elts}


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.name)
def test_every_argument_is_in_the_documentation(file):
    section = re.search(rf'^## [^\n]*`{re.escape(file.name)}`\n.*?(?=^## |\Z)', DOCUMENT, re.M | re.S)
    assert section, f'docs/integration.md has no section on {file.name}'
    missing = [name for name in arguments(file) if f'`{name}`' not in section[0]]
    assert not missing, f'docs/integration.md does not explain {missing} of {file.name}'


@pytest.mark.parametrize('file', PRESETS, ids=lambda file: file.stem)
def test_presets_hold_arguments_of_the_launch_file(file):
    modes = yaml.safe_load(file.read_text())
    known = arguments(ROOT / 'launch/superslam.launch.py')
    assert modes and set(modes) <= {'stereo', 'rgbd'}
    for mode, preset in modes.items():
        assert set(preset) <= set(known)
        second = {'stereo': {'right_image', 'right_camera_info'}, 'rgbd': {'depth'}}[mode]
        assert {'image', 'camera_info', 'camera_frame', 'rectified', *second} <= set(preset)
        assert all(value.startswith('/') for name, value in preset.items()
                   if name.endswith(('image', 'info')) or name == 'depth')


def test_parameters_exist():
    """What the launch file sets would be refused at the start if it did not exist."""
    config = yaml.safe_load((ROOT / 'config/superslam.yaml').read_text())['/**']['ros__parameters']
    for row in arguments(ROOT / 'launch/superslam.launch.py').values():
        if isinstance(row.elts[1], ast.Tuple):
            for name in ast.literal_eval(row.elts[1]):
                group, _, option = name.rpartition('.')
                assert option in (config[group] if group else config), name


@pytest.fixture
def run(monkeypatch, tmp_path, started):
    """Return a function that executes a launch file with arguments: the processes it would start.

    The drivers and Nav2 are stand-ins that declare what they are given.
    """
    pytest.importorskip('launch', reason='launch comes with a ROS distribution')
    pytest.importorskip('launch_ros', reason='launch_ros comes with a ROS distribution')
    monkeypatch.setenv('AMENT_PREFIX_PATH', os.pathsep.join(
        [str(tmp_path), os.environ.get('AMENT_PREFIX_PATH', sys.prefix)]))
    # The executables ask the PATH for their Python.
    monkeypatch.setenv('PATH', os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']]))
    for package, files in STACKS.items():
        marker = tmp_path / 'share/ament_index/resource_index/packages' / package
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
        for name in files:
            path = tmp_path / 'share' / package / 'launch' / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(STAND_IN)
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
    try:
        get_package_share_directory('superslam_ros')
    except PackageNotFoundError:
        pytest.skip('superslam_ros is not installed')
    import launch

    def execute(name, **given):
        context = launch.LaunchContext()
        context.launch_configurations.update({key: str(value) for key, value in given.items()})
        description = module(name).generate_launch_description()
        started.clear()
        for process in processes(description, context):
            started.append(process)
        return context, list(started)

    return execute


@pytest.fixture
def started():
    """Return a list to which ``run`` adds the processes that it would start, one by one."""
    return []


STAND_IN = '''
from launch import LaunchDescription
from launch.actions import ExecuteProcess, OpaqueFunction
def generate_launch_description():
    return LaunchDescription([OpaqueFunction(function=lambda context: [ExecuteProcess(
        cmd=['driver', *(f'{key}:={value}' for key, value in context.launch_configurations.items())])])])
'''


def module(name):
    """Return a launch file as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f'launch/{name}.launch.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def processes(entity, context):
    """Yield the processes below an entity, executing everything else."""
    from launch.actions import ExecuteLocal
    from launch_ros.actions import LoadComposableNodes

    if isinstance(entity, (ExecuteLocal, LoadComposableNodes)):
        if entity.condition is None or entity.condition.evaluate(context):
            yield entity
        return
    for inner in entity.visit(context) or ():
        yield from processes(inner, context)


def names(found):
    """Return the executables of nodes."""
    return [getattr(node, 'node_executable', None) for node in found]


def settings(node, context):
    """Return the parameters and the remappings of a node."""
    from launch.utilities import perform_substitutions
    from launch_ros.utilities import evaluate_parameters
    from launch_ros.utilities.to_parameters_list import to_parameters_list

    given = getattr(node, 'parameters', None) or node._Node__parameters
    pairs = getattr(node, 'remappings', None) or node._Node__remappings
    values = to_parameters_list(context, 'node', '/', evaluate_parameters(context, given))
    return ({parameter.name: parameter.value for parameter in values},
            {perform_substitutions(context, a): perform_substitutions(context, b) for a, b in pairs})


def component(container):
    """Return the description of a container's only node."""
    description, = container._ComposableNodeContainer__composable_node_descriptions
    return description


def words(process, context):
    """Return the command line of a process."""
    from launch.utilities import perform_substitutions

    return [perform_substitutions(context, word) for word in process.cmd]


def command(process, context):
    """Return the arguments of a stand-in as a dictionary."""
    return dict(word.split(':=', 1) for word in words(process, context)[1:])


def test_composed_or_separate(run):
    context, (container,) = run('superslam', mode='stereo', namespace='robot')
    assert container.node_executable == 'component_container'
    parameters, _ = settings(component(container), context)
    assert parameters['mode'] == 'stereo' and parameters['use_sim_time'] is False
    assert parameters['extractor.weights'] == '' and parameters['extractor.max_keypoints'] == 1000
    _, nodes = run('superslam', composed='false')
    assert names(nodes) == ['superpoint_node', 'superglue_node', 'odometry_node']
    context, (load,) = run('superslam', container='/box', rviz='false')
    assert type(load).__name__ == 'LoadComposableNodes'
    _, nodes = run('superslam', rviz='true')
    assert names(nodes) == ['component_container', 'rviz2']


def test_maps(run, tmp_path):
    file = tmp_path / 'office.map'
    context, (container,) = run('map', mode='stereo', map_file=file, save_map='true')
    parameters, _ = settings(component(container), context)
    assert (parameters['map.mode'], parameters['map.path'], parameters['map.save_at_end']) == ('build', str(file), True)
    _, nodes = run('map', composed='false')
    assert names(nodes) == ['superpoint_node', 'superglue_node', 'odometry_node', 'map_node']
    with pytest.raises(RuntimeError, match='map_file: there is no file'):
        run('localize', map_file=file)
    with pytest.raises(RuntimeError, match='there is no folder'):
        run('map', map_file=tmp_path / 'nowhere/office.map')
    file.touch()
    context, (container,) = run('localize', map_file=file, map_frame='building')
    parameters, _ = settings(component(container), context)
    assert (parameters['map.mode'], parameters['map.frame']) == ('localize', 'building')
    _, nodes = run('localize', map_file=file, map_frame='building', rviz='true')
    assert names(nodes) == ['component_container', 'rviz2']
    context, found = run('nav2', map='superslam', map_file=file)
    assert 'static_transform_publisher' not in names(found)
    assert settings(component(found[0]), context)[0]['map.mode'] == 'localize'


def test_given_arguments_become_parameters_and_topics(run, tmp_path):
    weights = tmp_path / 'w.safetensors'
    weights.touch()
    context, nodes = run('superslam', composed='false', mode='rgbd', image='/c/image', depth='/d', device='cpu',
                         rectified='false', publish_tf='false', weights=weights, matcher='superglue')
    parameters, topics = settings(nodes[0], context)
    assert {name: parameters[name] for name in (
        'mode', 'extractor.device', 'matcher.device', 'odometry.rectified', 'frames.publish_tf', 'extractor.weights',
        'matcher.matcher')} == {
        'mode': 'rgbd', 'extractor.device': 'cpu', 'matcher.device': 'cpu', 'odometry.rectified': False,
        'frames.publish_tf': False, 'extractor.weights': str(weights), 'matcher.matcher': 'superglue'}
    assert topics['camera_info'] == '/c/camera_info' and topics['image/compressed'] == '/c/image/compressed'
    assert topics['depth/compressedDepth'] == '/d/compressedDepth'


@pytest.mark.parametrize('file', PRESETS, ids=lambda file: file.stem)
def test_a_preset_is_taken_and_arguments_win(run, file):
    for mode, preset in yaml.safe_load(file.read_text()).items():
        context, nodes = run('superslam', camera=file.stem, mode=mode, composed='false', camera_frame='mine')
        parameters, topics = settings(nodes[0], context)
        assert topics['image'] == preset['image'] and parameters['odometry.rectified'] is preset['rectified']
        assert parameters['mode'] == mode and parameters['frames.camera_frame'] == 'mine'
    context, nodes = run('superslam', camera=file, composed='false')    # by path, first mode
    assert settings(nodes[0], context)[0]['mode'] == next(iter(yaml.safe_load(file.read_text())))


@pytest.mark.parametrize('given, complaint', [
    ({'camera': 'kodak'}, 'presets: oakd, realsense, zed'),
    ({'camera': 'oakd', 'mode': 'stereo'}, 'preset oakd has rgbd'),
    ({'mode': 'sterio'}, 'mode:=sterio: write mono, stereo, rgbd'),
    ({'rectified': 'maybe'}, 'rectified:=maybe: write true or false'),
    ({'composed': '2'}, 'composed:=2: write true or false'),
    ({'weights': '/nowhere.pth'}, 'weights: there is no file /nowhere.pth'),
    ({'superglue_weights': '/nowhere.pth'}, 'superglue_weights: there is no file /nowhere.pth'),
    ({'config': '/nowhere.yaml'}, 'config: /nowhere.yaml cannot be read'),
    ({'camera': '/nowhere.yaml'}, 'presets: oakd, realsense, zed'),
    ({'image': '/camera/left image'}, 'image:=/camera/left image'),
    ({'namespace': 'robot-1'}, 'namespace:=robot-1'),
])
@pytest.mark.parametrize('name', ['superslam', 'robot_localization', 'rtabmap', 'nav2', 'realsense'])
def test_what_is_wrong_is_refused_by_name_before_a_process_is_started(run, started, name, given, complaint):
    if name == 'realsense' and not {'camera', 'mode'}.isdisjoint(given):
        pytest.skip('it has its own')
    if name == 'nav2' and 'namespace' in given:
        complaint = 'runs in no namespace'
    with pytest.raises(RuntimeError, match=re.escape(complaint)):
        run(name, **given)
    assert not started


@pytest.mark.parametrize('text, complaint', [
    ('a: [', 'is no YAML'), ('', 'must hold names and values'), ('- a', 'must hold names and values'),
    ('extractor: {octaves: 2}', 'is no parameter file'),
    ('/**: {ros__parameters: {extractor: {octave: 2}}}', "unknown parameter 'extractor.octave' (did you mean"),
    ('/superslam: {ros__parameters: {extractor.octaves: 9}}', 'extractor.octaves: 9 is outside'),
    ('/robot/superslam: {ros__parameters: {mode: both}}', "mode: 'both' is not one of"),
    ('odometry: {ros__parameters: {frames: {publish_tf: often}}}', 'frames.publish_tf: expected bool'),
    ('/**: {ros__parameters: {matcher: {weights: /nowhere.pth}}}', 'there is no file /nowhere.pth'),
])
def test_a_parameter_file_is_read_before_a_process_is_started(run, started, tmp_path, text, complaint):
    file = tmp_path / 'config.yaml'
    file.write_text(text)
    for name, composed in (('superslam', 'true'), ('superslam', 'false'), ('nav2', 'true'), ('zed', 'true')):
        with pytest.raises(RuntimeError, match=re.escape(complaint)):
            run(name, config=file, composed=composed)
    assert not started


def test_a_parameter_file_for_a_whole_robot_is_taken(tmp_path):
    from superslam_ros.nodes import launching

    file = tmp_path / 'config.yaml'
    file.write_text('/camera/driver: {ros__parameters: {mode: 7}}\nsuperslam: {ros__parameters: {mode: rgbd, '
                    'odometry.max_depth: 8, use_sim_time: true, extractor: {threshold: 1e-3}}}\n')
    assert launching.check_parameters(file)['mode'] == 'rgbd'
    assert launching.check_parameters(ROOT / 'config/superslam.yaml')['extractor.octaves'] == 2


@pytest.mark.parametrize('name, given, complaint', [
    ('superslam', {'rviz': 'true'}, 'rviz2'), ('robot_localization', {}, 'robot_localization'),
    ('nav2', {}, 'tf2_ros'), ('nav2', {'map': 'other'}, 'nav2_bringup'),
    ('rtabmap', {'mode': 'rgbd', 'camera_frame': 'c'}, 'rtabmap_slam'),
])
def test_packages_that_are_not_installed_are_missed_before_a_process_is_started(
        run, started, monkeypatch, tmp_path, name, given, complaint):
    for marker in (tmp_path / 'share/ament_index/resource_index/packages').glob(complaint):
        marker.unlink()
    with pytest.raises(RuntimeError, match=f'package {complaint} is not installed'):
        run(name, **given)
    assert not started


@pytest.mark.parametrize('yes, no', [('True', 'False'), ('TRUE', 'FALSE'), ('1', '0'), (' true ', 'false ')])
def test_truth_values_are_spelt_as_the_conditions_of_launch_take_them(run, demo_bag, yes, no):
    context, nodes = run('superslam', use_sim_time=yes, rectified=no, publish_tf=no, composed=no, rviz=yes)
    parameters, _ = settings(nodes[0], context)
    assert names(nodes) == ['superpoint_node', 'superglue_node', 'odometry_node', 'rviz2']
    assert {name: parameters[name] for name in ('use_sim_time', 'odometry.rectified', 'frames.publish_tf')} == {
        'use_sim_time': True, 'odometry.rectified': False, 'frames.publish_tf': False}
    context, (ekf,) = run('robot_localization', superslam=no, two_d=yes, use_sim_time=yes)
    parameters, _ = settings(ekf, context)
    assert parameters['two_d_mode'] is True and parameters['use_sim_time'] is True
    _, found = run('nav2', superslam=no, navigation=no)
    assert names(found) == ['ekf_node', 'static_transform_publisher']
    context, found = run('rtabmap', camera='realsense', features=yes, new_map=no, localization=yes, use_sim_time=yes)
    assert names(found) == ['component_container', 'rtabmap', 'rgbd_image_node']
    parameters, _ = settings(found[1], context)
    assert parameters['delete_db_on_start'] is False and parameters['Mem/IncrementalMemory'] == 'false'
    assert parameters['use_sim_time'] is True
    for name in ('realsense', 'zed', 'oakd'):
        assert names(run(name, driver=no)[1]) == ['component_container']
        assert len(run(name, driver=yes)[1]) == 2
    context, (driver, _) = run('realsense', imu=yes)
    assert command(driver, context)['enable_gyro'] == 'true'
    context, found = run('bag', bag=demo_bag.bag, loop=yes, tf=yes, rviz=yes, rectified=no)
    assert '--loop' in words(found[-1], context) and '--without' not in words(found[-1], context)
    assert settings(component(found[0]), context)[0]['odometry.rectified'] is False


def test_bag(run, started, demo_bag, tmp_path):
    context, found = run('bag', bag=demo_bag.bag, record=tmp_path / 'out', rate=2)
    parameters, topics = settings(component(found[0]), context)
    assert parameters['use_sim_time'] is True and parameters['reliability'] == 'reliable'
    assert parameters['odometry.rectified'] is True and topics['image'] == '/camera/left/image_rect'
    assert [Path(words(process, context)[0]).name for process in found[1:]] == ['record_bag', 'play_bag']
    played = words(found[2], context)
    assert played[played.index('--wait-for') + 1:] == [f'/camera/{topic}' for topic in (
        'left/image_rect', 'left/camera_info', 'right/image_rect', 'right/camera_info')]
    assert played[played.index('--without') + 1:][:2] == ['/tf', '/tf_static']
    (tmp_path / 'there').touch()
    for given, complaint in (
        ({'bag': tmp_path / 'none'}, 'no such recording'), ({'rate': 'fast'}, 'rate:=fast: no number'),
        ({'rate': '-1'}, 'rate:=-1: must be positive'), ({'linger': 'long'}, 'linger:=long'),
        ({'record': tmp_path / 'there'}, 'exists already'), ({'config': '/nowhere.yaml'}, 'cannot be read')):
        with pytest.raises(RuntimeError, match=complaint):
            run('bag', **{'bag': demo_bag.bag, **given})
        assert not started


@pytest.mark.parametrize('given', [{'base_frame': 'base_link'}, {'publish_tf': 'false'}, {'tf': 'true'}])
def test_transforms_of_a_bag_are_played_where_the_camera_gets_no_second_parent(run, demo_bag, given):
    context, found = run('bag', bag=demo_bag.bag, **given)
    assert '--without' not in words(found[-1], context)


def test_a_bag_with_depth_that_the_nodes_cannot_read_is_refused(run, tmp_path):
    make = Messages(typestore())
    depth = cv2.imencode('.png', np.full((48, 64), 1500, np.uint16))[1].ravel()
    with BagWriter(tmp_path / 'bag', make.store) as writer:
        writer.write('/c/rgb/image_raw', 0, make.image(0, 'c', np.zeros((48, 64), np.uint8)))
        writer.write('/c/rgb/camera_info', 0, make.camera_info(0, pinhole(64, 48)))
        writer.write('/c/depth/image_raw/compressed', 0, make.make(
            'sensor_msgs/CompressedImage', header=make.header(0, 'c'), format='16UC1; png compressed ', data=depth))
    with pytest.raises(RuntimeError, match='DEPTH/compressedDepth'):
        run('bag', bag=tmp_path / 'bag')


def test_a_bag_is_played_to_the_composed_node_and_recorded(run, demo_bag, tmp_path, monkeypatch):
    pytest.importorskip('superslam_ros.msg', reason='the messages are not built')
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path / 'log'))
    done = subprocess.run(
        [sys.executable, '-c', LAUNCH, ROOT / 'launch/bag.launch.py', f'bag:={demo_bag.bag}', 'rate:=0.3',
         f'record:={tmp_path / "out"}', 'linger:=3'], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    with open_bag(tmp_path / 'out') as bag:
        counts = {topic.name: topic.count for topic in list_topics(bag)}
    assert counts['/superslam/odometry'] and counts['/tf'], done.stdout


LAUNCH = '''
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
service = LaunchService()
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    PythonLaunchDescriptionSource(sys.argv[1]), launch_arguments=[word.split(':=') for word in sys.argv[2:]])]))
sys.exit(service.run())
'''


def test_nothing_is_left_of_a_launch_that_fails(run, tmp_path, monkeypatch):
    """A launch file of a user fails behind ours, which launch forgets the process of that it is about to start."""
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path / 'log'))
    theirs = tmp_path / 'theirs.launch.py'
    theirs.write_text(FAILING.format(ours=str(ROOT / 'launch/superslam.launch.py')))
    done = subprocess.run([sys.executable, '-c', LAUNCH, theirs], capture_output=True, text=True, timeout=100)
    output = done.stdout + done.stderr
    assert done.returncode == 1 and 'a mistake' in output, output
    for pid in re.findall(r'process started with pid \[(\d+)\]', output):
        deadline = time.monotonic() + 60
        while Path(f'/proc/{pid}').exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not Path(f'/proc/{pid}').exists()
    done = subprocess.run(
        [sys.executable, '-c', LAUNCH, ROOT / 'launch/superslam.launch.py', 'config:=/nowhere.yaml'],
        capture_output=True, text=True, timeout=100)
    assert done.returncode == 1 and 'process started' not in done.stdout + done.stderr


FAILING = '''
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
def fail(context):
    raise RuntimeError('a mistake')
def generate_launch_description():
    return LaunchDescription([
        IncludeLaunchDescription(PythonLaunchDescriptionSource({ours!r})), OpaqueFunction(function=fail)])
'''


@pytest.mark.parametrize('features', ['true', 'false'])
@pytest.mark.parametrize('camera, mode', [('realsense', 'rgbd'), ('realsense', 'stereo')])
def test_rtabmap(run, camera, mode, features):
    context, found = run('rtabmap', camera=camera, mode=mode, features=features)
    assert names(found) == ['component_container', 'rtabmap', *(['rgbd_image_node'] if features == 'true' else [])]
    parameters, topics = settings(found[1], context)
    image, second = {'rgbd': ('rgb/image', 'depth/image'), 'stereo': ('left/image_rect', 'right/image_rect')}[mode]
    subscribed = [name for name in ('subscribe_rgbd', 'subscribe_stereo', 'subscribe_depth') if parameters[name]]
    assert subscribed == ['subscribe_rgbd' if features == 'true' else
                          {'rgbd': 'subscribe_depth', 'stereo': 'subscribe_stereo'}[mode]]
    assert topics[image].startswith('/camera/camera') and topics[second] and topics['odom'] == 'superslam/odometry'
    assert parameters['frame_id'].endswith('_optical_frame') and parameters['Mem/IncrementalMemory'] == 'true'
    assert parameters['qos'] == (1 if features == 'true' else 2)
    context, found = run('rtabmap', camera=camera, mode=mode, features=features, superslam='false')
    assert names(found) == ['rtabmap', *(['rgbd_image_node'] if features == 'true' else [])]
    assert settings(found[0], context) == (parameters, topics)
    with pytest.raises(RuntimeError, match='needs depth'):
        run('rtabmap', mode='mono')
    with pytest.raises(RuntimeError, match='camera_frame'):
        run('rtabmap', mode='rgbd')


def test_robot_localization(run):
    context, (container, ekf) = run('robot_localization', camera='zed', imu='/imu', two_d='true', use_sim_time='true')
    assert settings(component(container), context)[0]['frames.publish_tf'] is False
    parameters, _ = settings(ekf, context)
    assert parameters['imu0'] == '/imu' and parameters['two_d_mode'] and parameters['use_sim_time']
    assert parameters['base_link_frame'] == 'base_link' and parameters['world_frame'] == 'odom'
    assert len(parameters['odom0_config']) == len(parameters['imu0_config']) == 15
    _, alone = run('robot_localization', superslam='false')
    assert names(alone) == ['ekf_node']


def test_robot_localization_in_a_map(run, tmp_path):
    given = {'camera': 'zed', 'map_ekf': 'true', 'map_ekf_config': str(ROOT / 'config/ekf_map.yaml')}
    context, (container, first, second) = run(
        'robot_localization', **given, map_mode='build', map_frame='site', imu='/imu')
    ours, _ = settings(component(container), context)
    assert ours['map.publish_tf'] is False and ours['frames.publish_tf'] is False and ours['map.mode'] == 'build'
    assert ours['frames.base_frame'] == 'base_link'      # so that map_pose is of the base, as the EKF takes it
    assert settings(first, context)[0]['world_frame'] == 'odom'
    parameters, topics = settings(second, context)
    assert parameters['world_frame'] == parameters['map_frame'] == 'site' and parameters['odom_frame'] == 'odom'
    assert parameters['pose0'] == 'superslam/map_pose' and len(parameters['pose0_config']) == 15
    assert parameters['imu0'] == '/imu' and topics['odometry/filtered'] == 'odometry/filtered_map'
    with pytest.raises(RuntimeError, match='map_mode:=localize'):
        run('robot_localization', **given)
    _, found = run('nav2', **given, map='other', navigation='false', map_mode='build')
    assert names(found) == ['component_container', 'ekf_node', 'ekf_node']


def test_nav2(run):
    context, found = run('nav2', camera='oakd')
    assert names(found)[:3] == ['component_container', 'ekf_node', 'static_transform_publisher']
    assert settings(found[1], context)[1]['odometry/filtered'] == 'odom'
    given = command(found[3], context)
    assert given['params_file'].endswith('nav2_params.yaml') and given['autostart'] == 'true'
    with pytest.raises(RuntimeError, match='namespace'):
        run('nav2', namespace='robot')
    _, found = run('nav2', map='other', navigation='false')
    assert names(found) == ['component_container', 'ekf_node']


BOARD = '{squares_x: 5, squares_y: 7, square_m: 0.04, marker_m: 0.03, dictionary: DICT_6X6_250}'


def test_charuco(run, tmp_path):
    file = tmp_path / 'boards.yaml'
    file.write_text(f'boards: {{dock: {BOARD}}}')
    context, (node,) = run('charuco', boards=file, image='/cam/image_rect', pose='detected_dock_pose', started='False',
                           camera_frame='cam', transport='compressed')
    parameters, topics = settings(node, context)
    assert node.node_executable == 'charuco_node' and parameters['charuco.boards'] == str(file)
    assert parameters['charuco.started'] is False and parameters['charuco.camera_frame'] == 'cam'
    assert parameters['transport'] == 'compressed'
    assert topics == {'image': '/cam/image_rect', 'image/compressed': '/cam/image_rect/compressed',
                      'camera_info': '/cam/camera_info', 'charuco/pose': 'detected_dock_pose'}
    assert names(run('charuco', boards=file, rviz='1')[1]) == ['charuco_node', 'rviz2']
    _, (load,) = run('charuco', boards='/on/the/robot.yaml', container='/box')
    assert type(load).__name__ == 'LoadComposableNodes'
    config = tmp_path / 'config.yaml'
    config.write_text(f'/**: {{ros__parameters: {{charuco: {BOARD}}}}}')
    assert len(run('charuco', config=config)[1]) == 1


@pytest.mark.parametrize('given, complaint', [
    ({}, 'give boards:=FILE.yaml'), ({'boards': '/nowhere.yaml'}, 'boards: /nowhere.yaml'),
    ({'boards': 'FILE', 'pose_of': 'door'}, 'which has dock'), ({'boards': 'WRONG'}, 'marker_m is missing'),
    ({'boards': 'FILE', 'image': 'a b'}, 'image:=a b'), ({'boards': 'FILE', 'publish_tf': '2'}, 'write true or false'),
    ({'boards': 'FILE', 'config': '/nowhere.yaml'}, 'config: /nowhere.yaml cannot be read'),
])
def test_boards_are_read_before_a_process_is_started(run, started, tmp_path, given, complaint):
    texts = {'FILE': f'boards: {{dock: {BOARD}}}', 'WRONG': 'boards: {dock: {squares_x: 5, squares_y: 7, square_m: 1}}'}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(RuntimeError, match=re.escape(complaint)):
        run('charuco', **{key: tmp_path / value if value in texts else value for key, value in given.items()})
    assert not started


@pytest.mark.parametrize('name, mode, expected', [
    ('realsense', 'rgbd', {'align_depth.enable': 'true', 'enable_sync': 'true', 'publish_tf': 'true'}),
    ('realsense', 'stereo', {'enable_infra1': 'true', 'enable_infra2': 'true'}),
    ('zed', 'stereo', {'publish_tf': 'false', 'param_overrides': 'video.publish_left_right:=true'}),
    ('oakd', 'rgbd', {'name': 'oak'}),
])
def test_cameras(run, name, mode, expected):
    context, (driver, container) = run(name, mode=mode, serial_no='17')
    given = command(driver, context)
    assert {key: given[key] for key in expected} == expected and given['serial_no'] == '17'
    parameters, _ = settings(component(container), context)
    assert parameters['frames.publish_tf'] is False and parameters['mode'] == mode
    _, found = run(name, driver='false')
    assert names(found) == ['component_container']
    _, found = run(name, mode=mode, superslam='false')      # beside a launch file that starts the nodes
    assert len(found) == 1 and set(expected) <= set(command(found[0], context))


def test_several_cameras(run):
    """The example of the documentation: nothing of one is another's."""
    lines = [line.split()[4:] for line in DOCUMENT.splitlines()
             if line.startswith('ros2 launch superslam_ros superslam.launch.py namespace:=')]
    from launch.utilities import perform_substitutions

    broadcast = []
    for line in lines:
        given = dict(word.split(':=') for word in line)
        context, (container,) = run('superslam', **given)
        node = component(container)
        assert perform_substitutions(context, node.node_namespace) == given['namespace']
        parameters, remapped = settings(node, context)
        assert remapped['camera_info'] == given['image'].replace('image_raw', 'camera_info')
        broadcast.append(parameters['frames.odom_frame'] if parameters['frames.publish_tf'] else '')
    assert broadcast == ['front_odom', '']


def test_a_guess_is_handed_on(run):
    module_ = module('superslam')
    given = module_.resolve({'guess_source': 'odometry', 'guess': '/wheels/odom', 'initial_pose': '1 2 0 0 0 1.5',
                             'imu_enabled': 'true', 'imu_topic': '/imu/data'})
    assert ('imu', '/imu/data') in module_.remappings(given) and given['imu_enabled'] == 'true'
    assert ('guess', '/wheels/odom') in module_.remappings(given) and given['initial_pose'] == '1 2 0 0 0 1.5'
