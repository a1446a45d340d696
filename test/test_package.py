"""The three descriptions of the package, for rosdep, CMake and pip, agree with each other and with the code."""

import ast
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

from superslam_ros.version import VERSION

ROOT = Path(__file__).parents[1]
XML = ElementTree.parse(ROOT / 'package.xml').getroot()
CMAKE = (ROOT / 'CMakeLists.txt').read_text()
SETUP = (ROOT / 'setup.py').read_text()


def keys(*tags: str) -> set[str]:
    """Return the rosdep keys of package.xml under some tags."""
    return {element.text for tag in tags for element in XML.iter(tag)}


def setup_argument(name: str):
    """Return a literal argument of setup()."""
    call = next(node for node in ast.walk(ast.parse(SETUP))
                if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'setup')
    return ast.literal_eval(next(keyword.value for keyword in call.keywords if keyword.arg == name))


def test_name_version_and_licence_agree() -> None:
    assert XML.get('format') == '3'
    for tag, argument in (('name', 'name'), ('version', 'version'), ('license', 'license')):
        assert XML.find(tag).text == setup_argument(argument), tag
    assert VERSION == XML.find('version').text == str(yaml.safe_load((ROOT / 'CITATION.cff').read_text())['version'])
    assert f'project({XML.find("name").text})' in CMAKE
    assert 'Apache License' in (ROOT / 'LICENSE').read_text()
    assert f'package {XML.find("name").text}' in (ROOT / 'CHANGELOG.rst').read_text()


def test_it_is_an_interface_package_built_by_cmake() -> None:
    assert XML.find('export/build_type').text == 'ament_cmake'
    assert XML.find('member_of_group').text == 'rosidl_interface_packages'
    assert {'rosidl_default_generators', 'ament_cmake'} <= keys('buildtool_depend')
    assert 'rosidl_default_runtime' in keys('exec_depend')


def test_cmake_finds_only_what_package_xml_declares() -> None:
    found = set(re.findall(r'find_package\((\w+)', CMAKE))
    assert found <= keys('depend', 'build_depend', 'buildtool_depend', 'test_depend')


def test_every_message_is_built() -> None:
    for kind in ('msg', 'srv'):
        files = {f'{kind}/{path.name}' for path in (ROOT / kind).glob('*')}
        assert set(re.findall(rf'{kind}/\w+\.{kind}', CMAKE)) == files


def test_message_fields_are_documented() -> None:
    for path in [*(ROOT / 'msg').glob('*'), *(ROOT / 'srv').glob('*')]:
        lines = [line for line in path.read_text().splitlines() if line and not line.startswith('#') and line != '---']
        # A line that ends a group (height0 after width0) is explained by the group's first.
        bare = [line for line in lines if '#' not in line and not re.match(r'\w+ (width|height)\d$', line)]
        assert not bare, f'{path.name}: {bare}'


def test_every_executable_has_its_main() -> None:
    modules = {module.rpartition('.')[2]: f'superslam_ros.nodes.{module}'
               for module in re.search(r'foreach\(module ([^)]*)\)', CMAKE)[1].split()}
    modules |= dict(re.findall(r'install_executable\((\w+) "[^"]*from (\S+) import main', CMAKE))
    assert {'superpoint_node', 'superglue_node', 'odometry_node', 'superslam_node', 'superslam'} <= set(modules)
    for module in modules.values():
        path = ROOT / f'{module.replace(".", "/")}.py'
        functions = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
        assert 'main' in functions, path


def test_ros_packages_that_nodes_import_are_declared() -> None:
    declared = keys('depend', 'exec_depend')
    for path in [*(ROOT / 'superslam_ros/nodes').rglob('*.py'), *(ROOT / 'launch').glob('*.py')]:
        modules = {node.module.split('.')[0] for node in ast.walk(ast.parse(path.read_text()))
                   if isinstance(node, ast.ImportFrom)}
        ros = {name for name in modules if re.search(r'_(msgs|interfaces)$|^rclpy$|^launch(_ros)?$', name)}
        assert ros <= declared, path.name


@pytest.mark.parametrize(
    'path', [*ROOT.glob('.github/workflows/*.yml'), *ROOT.glob('config/*.rviz'), *ROOT.glob('config/**/*.yaml')],
    ids=lambda path: path.name)
def test_yaml_files_are_yaml(path: Path) -> None:
    assert yaml.safe_load(path.read_text())


def test_the_wheel_holds_weights_and_messages() -> None:
    assert any('weights' in pattern for pattern in setup_argument('package_data')['superslam_ros.models'])
    assert "'share/superslam_ros/msg'" in SETUP
    assert setup_argument('entry_points') == {'console_scripts': ['superslam = superslam_ros.cli.main:main']}
