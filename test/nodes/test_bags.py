"""The bag player and recorder, as processes of their own, and what they say when they cannot work."""

import pytest

from superslam_ros.offline.bag import open_bag

from .conftest import end, wait_until

IMAGE = '/camera/left/image_rect'


@pytest.fixture
def finish(start):
    """Return a function that runs a module to its end: status and output."""
    def run(module, *arguments):
        process = start(module, *arguments)
        output, _ = process.communicate(timeout=60)
        return process.returncode, output

    return run


def test_what_is_played_is_recorded(demo_bag, tmp_path, start, finish):
    recorder = start('record_bag', '--out', str(tmp_path / 'copy'), f'{IMAGE}:sensor_msgs/msg/Image')
    status, output = finish('play_bag', str(demo_bag.bag), '--rate', '2', '--topics', IMAGE, '--wait-for', IMAGE)
    assert status == 0, output
    assert wait_until(lambda: any((tmp_path / 'copy').glob('*')))
    status, output = end(recorder)
    assert status == 0, output
    with open_bag(tmp_path / 'copy') as copy, open_bag(demo_bag.bag) as original:
        images = [raw for _, _, raw in copy.messages()]
        assert images == [raw for connection, _, raw in original.messages() if connection.topic == IMAGE]


def test_the_player_says_what_is_wrong(demo_bag, tmp_path, finish):
    status, output = finish('play_bag', str(tmp_path / 'none'))
    assert status == 2 and 'Traceback' not in output
    status, output = finish('play_bag', str(demo_bag.bag), '--wait-for', '/no/such/topic')
    assert status == 2 and '/no/such/topic is not played' in output


def test_the_recorder_says_what_is_wrong(tmp_path, finish):
    for wrong in ('/image', '/image:sensor_msgs/msg/Imagination', '/image:no_msgs/msg/None'):
        status, output = finish('record_bag', '--out', str(tmp_path / 'copy'), wrong)
        assert status == 2 and 'TOPIC:PACKAGE/msg/NAME' in output and 'Traceback' not in output
