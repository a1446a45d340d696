"""The arrows between the rooms: data flows one way, and nothing later is imported by anything earlier."""

import ast
import re
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = 'superslam_ros'
ROOT = Path(__file__).parents[1] / PACKAGE
ROS = {'rclpy', 'rcl_interfaces', 'rosgraph_msgs', 'sensor_msgs', 'nav_msgs', 'geometry_msgs', 'std_msgs',
       'std_srvs', 'tf2_msgs', 'builtin_interfaces', 'composition_interfaces', 'ament_index_python', 'launch',
       'superslam_ros.msg', 'superslam_ros.srv'}

# Room: (rooms, libraries) that it may import.
MAY_IMPORT = {
    '__init__': (set(), set()),
    'config': (set(), set()),
    'version': (set(), set()),
    'camera': (set(), {'numpy'}),
    'data': ({'camera'}, {'numpy', 'torch'}),
    'memory': (set(), set()),
    'cores': (set(), set()),
    'sync': ({'data'}, set()),
    'bridge': (set(), {'numpy', 'cv_bridge'}),
    'conversions': ({'camera', 'bridge'}, {'numpy', 'cv2', 'backports'}),
    'messages': ({'data', 'geometry', 'conversions', 'boards', 'maps'}, {'numpy'}),
    'display': ({'data', 'geometry', 'messages', 'slam', 'boards', 'maps'}, {'numpy', 'cv2'}),
    'viewer': ({'data', 'geometry', 'slam', 'display'}, {'numpy', 'rerun'}),
    'models': (set(), {'torch', 'numpy', 'cv2', 'safetensors', 'onnxruntime'}),
    'geometry': ({'data'}, {'numpy', 'cv2', 'gtsam'}),
    'boards': ({'data', 'models', 'geometry'}, {'numpy', 'cv2', 'torch', 'yaml'}),
    'worlds': ({'data', 'config', 'boards'}, {'numpy', 'cv2'}),
    'slam': ({'data', 'config', 'models', 'geometry'}, {'numpy', 'torch', 'cv2'}),
    'maps': ({'data', 'config', 'geometry', 'models', 'slam'}, {'numpy', 'torch'}),
    'improve': ({'config', 'geometry', 'models', 'slam', 'evaluation'}, {'numpy', 'torch', 'cv2', 'pycolmap'}),
    'bags': ({'data', 'geometry', 'conversions', 'messages', 'sync'},
             {'numpy', 'cv2', 'rosbags', 'yaml', 'backports', 'lz4'}),
    'inputs': ({'data', 'conversions', 'sync', 'bags', 'geometry'}, {'numpy', 'cv2', 'yaml'}),
    'pictures': ({'data', 'bags', 'geometry', 'boards', 'maps', 'improve'}, {'numpy', 'cv2', 'matplotlib'}),
    'node_config': ({'config', 'sync', 'slam', 'maps'}, set()),
    'training': ({'data', 'config', 'models', 'boards', 'maps', 'worlds'}, {'numpy', 'torch', 'cv2', 'rich'}),
    # Corner detectors are measured on the shapes that training draws, and homographies on its random views.
    'evaluation': ({'data', 'models', 'geometry', 'slam', 'training', 'boards', 'worlds', 'maps'},
                   {'numpy', 'torch', 'cv2', 'rich', 'evo'}),
    'offline': ({'version', 'cores', 'data', 'config', 'sync', 'display', 'messages', 'bags', 'inputs', 'boards',
                 'pictures', 'geometry', 'models', 'slam', 'maps', 'worlds', 'improve', 'training', 'evaluation'},
                {'numpy', 'torch', 'cv2', 'rosbags', 'rich', 'onnx', 'onnxruntime', 'openvino', 'ray'}),
    'cli': ({'version', 'memory', 'config', 'node_config', 'bags', 'inputs', 'boards', 'geometry', 'pictures',
             'offline', 'models', 'slam', 'maps', 'training', 'evaluation', 'worlds', 'viewer'},
            {'numpy', 'torch', 'rich', 'yaml'}),
    'nodes': ({'data', 'memory', 'cores', 'config', 'models', 'node_config', 'conversions', 'messages', 'display',
               'sync', 'bags', 'pictures', 'geometry', 'slam', 'offline', 'boards', 'maps', 'viewer'},
              {'numpy', 'cv2', 'rosbags', 'yaml', *ROS}),
}
# A plugin may raise anything, and the others run on.
RUNS_FOREIGN_CODE = Path('nodes/components.py')
FILES = sorted(path for path in ROOT.rglob('*.py'))


def room(path: Path) -> str:
    """Return the sub-package a file is in, or its own name."""
    parts = path.relative_to(ROOT).parts
    return parts[0] if len(parts) > 1 else path.stem


def imports(path: Path) -> set[str]:
    """Return what a file imports: ``superslam_ros.ROOM``, or the name of a library outside the standard one."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: relative import'
            # `from superslam_ros import slam` imports a room, too.
            names = [f'{PACKAGE}.{alias.name}' for alias in node.names]
            found.update(names if node.module == PACKAGE else [node.module])
    short = {'.'.join(name.split('.')[:2]) if name.startswith(PACKAGE) else name.split('.')[0] for name in found}
    return short - set(sys.stdlib_module_names) - {'compression', '__future__'}


def module(path: Path) -> str:
    """Return the name a file is imported by."""
    parts = path.relative_to(ROOT.parent).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def modules_imported(path: Path) -> set[str]:
    """Return which modules of the package a file imports, wherever in it."""
    known = {module(other) for other in FILES}
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            below = {f'{node.module}.{alias.name}' for alias in node.names} & known
            found |= below or {node.module}
    return found & known


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    assert room(path) in MAY_IMPORT, f'{room(path)} is a new room: say here what it may import'
    rooms, libraries = MAY_IMPORT[room(path)]
    allowed = {f'{PACKAGE}.{name}' for name in {*rooms, room(path)}} | libraries
    assert imports(path) <= allowed, f'{path.name} must not import {sorted(imports(path) - allowed)}'


@pytest.mark.parametrize('name', MAY_IMPORT)
def test_what_a_room_may_import_is_what_it_does(name: str) -> None:
    found = set().union(*(imports(path) for path in FILES if room(path) == name))
    rooms = {other.split('.')[1] for other in found if other.startswith(PACKAGE)} - {name, 'msg', 'srv'}
    assert rooms == MAY_IMPORT[name][0]


def test_no_room_imports_one_that_imports_it() -> None:
    for name, (rooms, _) in MAY_IMPORT.items():
        for other in rooms:
            assert name not in MAY_IMPORT[other][0], f'{name} and {other} import each other'


def test_no_module_imports_one_that_imports_it() -> None:
    """Nor by a way round: what a module stands on does not stand on it, not even for the names of types."""
    stands_on = {module(path): modules_imported(path) for path in FILES}
    order = TopologicalSorter(stands_on)
    try:
        order.prepare()
    except CycleError as error:
        pytest.fail(f'import each other: {" -> ".join(error.args[1])}')


def test_the_drawing_for_developers_has_no_arrow_that_is_not_there() -> None:
    page = (ROOT.parent / 'docs/architecture.md').read_text()
    drawn = re.findall(r'^    (\w+)(?:\[[^]]*\])? --> (.+)$', page, re.M)
    assert len(drawn) > 5
    for name, others in drawn:
        assert set(re.findall(r'(\w+)(?:\[[^]]*\])?(?: &|$)', others)) <= MAY_IMPORT[name][0], name


def test_only_nodes_know_ros() -> None:
    assert all(not libraries & ROS for name, (_, libraries) in MAY_IMPORT.items() if name != 'nodes')


def test_there_is_no_room_for_leftovers() -> None:
    assert not [path for path in ROOT.rglob('*.py') if path.stem in ('utils', 'helpers', 'common', 'misc')]


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_errors_are_caught_by_name(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f'{path.name}:{node.lineno} catches everything'
            names = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)}
            assert 'Exception' not in names or path.relative_to(ROOT) == RUNS_FOREIGN_CODE, \
                f'{path.name}:{node.lineno} catches Exception'
