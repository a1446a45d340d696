"""Every executable starts, says what is wrong when it cannot, and ends with status 0 when asked to."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from superslam_ros.nodes.shared.process import LAUNCHER

from .conftest import end, wait_until

ROOT = Path(__file__).parents[2]

NODES = {'superpoint_node': 'superpoint', 'superglue_node': 'superglue', 'odometry_node': 'odometry',
         'superslam_node': 'superslam', 'charuco_node': 'charuco', 'map_node': 'map'}
ARGUMENTS = {'charuco_node': ['--ros-args', *(word for name, value in (
    ('squares_x', 5), ('squares_y', 7), ('square_m', 0.04), ('marker_m', 0.03), ('dictionary', 'DICT_6X6_250'))
    for word in ('-p', f'charuco.{name}:={value}'))]}


def test_nodes_start_and_stop(context, spin, start):
    import rclpy

    watcher = rclpy.create_node('watcher', context=context)
    spin(watcher)
    processes = {module: start(module, *ARGUMENTS.get(module, ())) for module in NODES}
    assert wait_until(lambda: set(NODES.values()) <= set(watcher.get_node_names()), 180), watcher.get_node_names()
    for (module, process), number in zip(processes.items(), 3 * [signal.SIGINT, signal.SIGTERM]):
        status, output = end(process, number)
        assert status == 0, f'{module}: {output}'
        assert 'Traceback' not in output, output


@pytest.mark.parametrize('parameter, complaint', [
    ('extractor.weights:=/nowhere/superpoint.pth', '/nowhere/superpoint.pth does not exist'),
    ('extractor.max_keypoints:=-5', 'max_keypoints'),
])
def test_a_node_that_cannot_start_says_why_in_one_line(start, parameter, complaint):
    process = start('superpoint_node', '--ros-args', '-p', parameter)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert complaint in output
    assert 'Traceback' not in output


@pytest.mark.parametrize('module, arguments, complaint', [
    ('odometry_node', ('-r', 'nonsense'), "Couldn't parse remap rule: '-r nonsense'"),
    ('component_container', ('--params-file', '/nowhere.yaml'), '/nowhere.yaml'),
])
def test_arguments_that_ros_does_not_understand_are_said_without_traceback(start, module, arguments, complaint):
    process = start(module, '--ros-args', *arguments)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1 and 'Traceback' not in output, output
    last = output.splitlines()[-1]
    assert last.startswith('error: --ros-args: ') and complaint in last and '.c:' not in last


@pytest.fixture
def importing(tmp_path):
    """Return a function that runs Python code in which a module of some name takes for ever to import, as far as that.

    The module waits in a function of Python, as PyTorch does most of the time.
    """
    processes = []

    def run(name, *command):
        (tmp_path / f'{name}.py').write_text('import time\nprint("importing", flush=True)\ntime.sleep(600)\n')
        paths = [str(tmp_path), str(ROOT), os.environ.get('PYTHONPATH')]
        process = subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, paths))})
        processes.append(process)
        assert process.stdout.readline() == 'importing\n'
        return process

    yield run
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_imports_is_quiet(importing, number):
    process = importing('slow', '-c', 'from superslam_ros.nodes.shared.start import start\nstart("slow")')
    assert end(process, number) == (0, '')
    assert end(importing('torch', '-m', 'superslam_ros.nodes.superpoint_node'), number) == (0, '')
    process = importing('torch', '-m', 'superslam_ros.cli.main', 'train', 'magicpoint', '--out', 'none')
    process.send_signal(number)
    with contextlib.suppress(subprocess.TimeoutExpired):    # Python drops an interrupt that falls into a destructor
        process.wait(10)
    assert end(process, number) == (130, 'superslam: interrupted\n')


def test_every_executable_is_quiet_from_the_start():
    cmake = (ROOT / 'CMakeLists.txt').read_text()
    modules = re.search(r'foreach\(module ([^)]*)\)', cmake)[1].split()
    assert set(NODES) < set(modules) and "start('superslam_ros.nodes.${module}')" in cmake
    for module in modules:
        text = (ROOT / 'superslam_ros/nodes' / f'{module.replace(".", "/")}.py').read_text()
        assert re.search(r"^from __future__ [^\n]*\n\nif __name__ == '__main__':[^\n]*\n    from "
                         r'superslam_ros.nodes.shared.start import start\n\n    start\(__spec__.name\)\n', text, re.M)


def test_a_node_ends_with_its_launcher(context, spin, start, monkeypatch):
    import rclpy

    watcher = rclpy.create_node('watcher', context=context)
    spin(watcher)
    launcher = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)
    monkeypatch.setenv(LAUNCHER, str(launcher.pid))
    process = start('odometry_node')
    assert wait_until(lambda: 'odometry' in watcher.get_node_names()) and process.poll() is None
    launcher.communicate(timeout=30)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0 and 'Traceback' not in output, output
    process = start('odometry_node')        # it has gone before the node came
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and 'Traceback' not in output, output
