"""The pages name what exists: files, headings, commands, and in tuning.md parameters and their values."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from superslam_ros import config
from superslam_ros.cli.main import build_parser
from superslam_ros.slam import SlamConfig

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', ROOT / 'superslam_ros/models/weights/README.md',
         *sorted((ROOT / 'docs').glob('*.md'))]
README_LINES = 120
TUNING = (ROOT / 'docs/tuning.md').read_text()
FILES = ('.md', '.json', '.yaml', '.xml', '.png', '.py')


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def headings(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    titles = re.findall(r'^#+ (.+)$', page.read_text(), re.M)
    return {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles}


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_links_point_to_what_exists(page: Path) -> None:
    links = re.findall(r'\]\(([^)\s]+)\)', page.read_text())
    for link in (link for link in links if '://' not in link):
        path, _, anchor = link.partition('#')
        target = page.parent / path if path else page
        assert target.exists(), f'{page.name} links to {link}, which does not exist'
        assert not anchor or anchor in headings(target), f'{page.name} links to {link}: there is no such heading'


def test_the_readme_is_short_and_every_page_is_linked() -> None:
    readme, contributing = (ROOT / 'README.md').read_text(), (ROOT / 'CONTRIBUTING.md').read_text()
    assert len(readme.splitlines()) <= README_LINES
    linked = {link.partition('#')[0] for link in re.findall(r'\]\(([^)\s]+)\)', readme + contributing)}
    assert {f'docs/{page.name}' for page in (ROOT / 'docs').glob('*.md')} <= linked


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    version = re.search(r'<version>(.+)</version>', (ROOT / 'package.xml').read_text())[1]
    assert citation['cff-version'] == '1.2.0'
    assert (citation['version'], citation['license']) == (version, 'Apache-2.0')


def test_the_tuning_page_names_parameters_that_exist() -> None:
    """In backticks, as NAME or NAME: VALUE, and behind --set; the shipped file is tested to hold every parameter."""
    groups = yaml.safe_load((ROOT / 'config/superslam.yaml').read_text())['/**']['ros__parameters']
    known = {f'{group}.{name}' for group, values in groups.items() if isinstance(values, dict) for name in values}
    specs = {spec.name: spec for spec in config.options(SlamConfig)}
    named = re.findall(r'`([a-z]\w*\.\w+)(?:: ([^`]+))?`', TUNING) + re.findall(r'--set (\S+?)=(\S+)', TUNING)
    named = [(name, value) for name, value in named if not name.endswith(FILES)]
    assert len(named) > 20
    for name, value in named:
        assert name in known, f'docs/tuning.md names {name}, which is no parameter'
        if value and name in specs:
            config.check(specs[name], yaml.safe_load(value))


def launch_arguments(file: str) -> set[str]:
    """Return the arguments of a launch file and of those that it starts, read from their tables."""
    text = (ROOT / 'launch' / file).read_text()
    others = {path.name for path in (ROOT / 'launch').glob('*.launch.py') if path.name in text} - {file}
    return set(re.findall(r"^    \('(\w+)',", text, re.M)).union(*map(launch_arguments, others))


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_launch_files_and_their_arguments_exist(page: Path) -> None:
    text = page.read_text().replace('\\\n', '')
    for file, words in re.findall(r'^ros2 launch superslam_ros (\S+\.launch\.py)(.*)$', text, re.M):
        given = set(re.findall(r' (\w+):=', words.partition('#')[0]))
        assert given <= launch_arguments(file), f'{page.name}: {file} has no {given - launch_arguments(file)}'


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_commands_are_understood(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block in re.findall(r'^```sh\n(.*?)^```', page.read_text(), re.M | re.S):
        for line in re.findall(r'^superslam (.*)$', block.replace('\\\n', ''), re.M):
            words = shlex.split(line, comments=True)
            try:
                build_parser(words).parse_args(words)
            except SystemExit:
                pytest.fail(f'{page.name}: superslam {line}\n{capsys.readouterr().err}')


# Types that the panels draw for sure; of nav_msgs/Odometry the open fork draws nothing.
DRAWN = {'3D': {'sensor_msgs/PointCloud2', 'visualization_msgs/MarkerArray', 'nav_msgs/Path',
                'geometry_msgs/PoseWithCovarianceStamped'}, 'Image': {'sensor_msgs/Image'}}


def test_the_layout_for_foxglove_shows_what_there_is() -> None:
    """Its topics are documented with a type that the panel draws, and the fields that it plots are in the message."""
    layout = json.loads((ROOT / 'config/superslam.foxglove.json').read_text())
    types = dict(re.findall(r'^\| `(superslam/\w+)` \| (\w+/\w+) \|', (ROOT / 'docs/topics.md').read_text(), re.M))
    status = (ROOT / 'msg/TrackingStatus.msg').read_text()
    panels = layout['configById']
    drawn = [('3D', topic) for topic in panels['3D!superslam']['topics']]
    for panel, topic in [*drawn, ('Image', panels['Image!superslam']['imageMode']['imageTopic'])]:
        assert topic[0] == '/' and types[topic[1:]] in DRAWN[panel], topic
    for path in (path for panel in panels.values() for path in panel.get('paths', ())):
        topic, _, field = path['value'].partition('.')
        assert topic == '/superslam/status' and re.search(rf'^\w+ {field}\b', status, re.M), path
        for state in path.get('customStates', {}).get('states', ()):
            assert f'uint8 {state["label"].upper()} = {state["value"]} ' in status
    shown = re.findall(r'"(\w+!\w+)"', json.dumps(layout['layout']))
    assert sorted(shown) == sorted(panels)
