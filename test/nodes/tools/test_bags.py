"""The bag player and recorder, as processes of their own, and what they say when they cannot work."""

from dataclasses import replace

import pytest
from bags.mcap_file import McapFile
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rosbags.rosbag1 import Writer
from rosbags.typesys import Stores, get_typestore
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String
from superslam_ros.msg import Features
from tf2_msgs.msg import TFMessage

from superslam_ros.bags.bag import BagError, open_bag
from superslam_ros.bags.messages import typestore
from superslam_ros.bags.writer import BagWriter
from superslam_ros.nodes.tools.play_bag import BagPlayer

from ..conftest import end, wait_until

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
    recorder = start('tools.record_bag', '--out', str(tmp_path / 'copy'), f'{IMAGE}:sensor_msgs/msg/Image')
    status, output = finish('tools.play_bag', str(demo_bag.bag), '--rate', '2', '--topics', IMAGE, '--wait-for', IMAGE)
    assert status == 0, output
    assert wait_until(lambda: any((tmp_path / 'copy').glob('*')))
    status, output = end(recorder)
    assert status == 0, output
    with open_bag(tmp_path / 'copy') as copy, open_bag(demo_bag.bag) as original:
        images = [raw for _, _, raw in copy.messages()]
        assert images == [raw for connection, _, raw in original.messages() if connection.topic == IMAGE]


def test_what_is_published_best_effort_or_latched_is_recorded(context, spin, tmp_path, start):
    node = Node('source', context=context)
    spin(node)
    latched = node.create_publisher(String, 'robot/description', QoSProfile(
        depth=5, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    for part in 'abc':
        latched.publish(String(data=part))
    sensor = node.create_publisher(String, 'robot/sensor', QoSProfile(
        depth=5, reliability=ReliabilityPolicy.BEST_EFFORT))
    out = tmp_path / 'out'
    recorder = start('tools.record_bag', '--out', str(out), *(
        f'/robot/{name}:std_msgs/msg/String' for name in ('description', 'sensor')))

    def heard():
        sensor.publish(String(data='x'))
        return latched.get_subscription_count() and sensor.get_subscription_count()

    assert wait_until(heard)
    for _ in range(20):
        sensor.publish(String(data='y'))
        assert not wait_until(lambda: False, 0.05)
    status, output = end(recorder)
    assert status == 0, output
    with open_bag(out) as bag:
        topics = [connection.topic for connection, _, _ in bag.messages()]
    assert topics.count('/robot/description') == 3 and topics.count('/robot/sensor') > 5


def test_player_and_recorder_can_be_renamed_and_so_can_their_topics(demo_bag, tmp_path, start, finish):
    out, empty = tmp_path / 'copy', ('--ros-args',)
    recorder = start('tools.record_bag', '--out', str(out), 'eye:sensor_msgs/msg/Image', *empty, '-r', '__ns:=/robot',
                     '-r', '/robot/eye:=/remapped', '-r', '__node:=scribe', '-p', 'use_sim_time:=true')
    status, output = finish(
        'tools.play_bag', str(demo_bag.bag), '--rate', '4', '--topics', IMAGE, '--clock', '--wait-for', IMAGE, *empty,
        '-r', f'{IMAGE}:=/remapped', '-r', '__node:=player')
    assert status == 0, output
    status, output = end(recorder)
    assert status == 0, output
    with open_bag(out) as copy, open_bag(demo_bag.bag) as original:
        played = [log_ns for connection, log_ns, _ in original.messages() if connection.topic == IMAGE]
        heard = [(connection.topic, log_ns) for connection, log_ns, _ in copy.messages()]
    assert {topic for topic, _ in heard} == {'/robot/eye'} and len(heard) == len(played)
    assert all(played[0] <= log_ns <= played[-1] for _, log_ns in heard)      # the time of the bag, not of today


def test_messages_before_the_first_clock_are_not_lost(context, spin, tmp_path, start):
    node = Node('source', context=context)
    spin(node)
    words, out = node.create_publisher(String, 'words', 10), tmp_path / 'out'
    recorder = start('tools.record_bag', '--out', str(out), '/words:std_msgs/msg/String', '--ros-args', '-p',
                     'use_sim_time:=true')
    assert wait_until(words.get_subscription_count)
    words.publish(String(data='early'))
    assert words.wait_for_all_acked()
    status, output = end(recorder)
    assert status == 0 and 'no /clock comes' in output, output
    with open_bag(out) as copy:
        (_, log_ns, _), = copy.messages()
    assert log_ns > 1_700_000_000 * 10**9


def test_messages_of_another_version_are_left_out(context, tmp_path, capfd):
    with BagWriter(tmp_path / 'bag', typestore()) as writer:
        for name in ('features', 'features_right'):
            writer.write_raw(f'/{name}', 'superslam_ros/msg/Features', 1, serialize_message(Features()))
    with open_bag(tmp_path / 'bag') as bag:
        older, same = bag.connections
        definition = older.definition.replace('float32[] stability', '# ')
        assert definition != older.definition
        bag.connections = [replace(older, definition=definition), same]
        player = BagPlayer(Node('player', context=context), bag)
        assert 'Features is left out: it was recorded with another version' in capfd.readouterr().err
        assert list(player._publishers) == ['/features_right']


def test_who_comes_late_gets_every_static_transform(context, spin, tmp_path):
    with BagWriter(tmp_path / 'bag', typestore()) as writer:
        for number in range(5):
            writer.write_raw('/tf_static', 'tf2_msgs/msg/TFMessage', number, serialize_message(TFMessage()))
    node, got = Node('player', context=context), []
    spin(node)
    with open_bag(tmp_path / 'bag') as bag:
        BagPlayer(node, bag).play(lambda log_ns: True)
    node.create_subscription(TFMessage, '/tf_static', got.append, QoSProfile(
        depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    assert wait_until(lambda: len(got) == 5, 10), len(got)


def test_messages_of_ros_1_are_played_as_those_of_ros_2(context, spin, tmp_path):
    store = get_typestore(Stores.ROS1_NOETIC)
    text = store.types['std_msgs/msg/String'](data='from long ago')
    with Writer(tmp_path / 'old.bag') as writer:
        connection = writer.add_connection('/words', 'std_msgs/msg/String', typestore=store)
        writer.write(connection, 1, store.serialize_ros1(text, text.__msgtype__))
    node, got = Node('player', context=context), []
    spin(node)
    node.create_subscription(String, '/words', got.append, 10)
    with open_bag(tmp_path / 'old.bag') as bag:
        player = BagPlayer(node, bag)
        assert wait_until(lambda: player._publishers['/words'].get_subscription_count())
        player.play(lambda log_ns: True)
    assert wait_until(lambda: got)
    assert got[0].data == 'from long ago' and not bag.damage


def test_topics_that_cannot_be_played_are_named_and_the_others_played(context, spin, tmp_path, capfd):
    made = McapFile()
    for topic, kind, encoding, form in (
        ('/words', 'std_msgs/msg/String', 'cdr', 'ros2msg'), ('/proto', 'foxglove.Log', 'protobuf', 'protobuf'),
        ('/json', 'std_msgs/msg/String', 'json', 'jsonschema'), ('/event', 'a/srv/B_Event', 'cdr', 'ros2msg'),
        ('/no schema', 'std_msgs/msg/String', 'cdr', 'ros2msg'), ('/dots', '...', 'cdr', ''), ('/none', '', 'cdr', ''),
    ):
        made.topic(topic, kind, 'string data\r\n', encoding, form)
        made.put(topic, 1, serialize_message(String(data=topic)))
    node, got = Node('player', context=context), []
    spin(node)
    node.create_subscription(String, '/words', got.append, 10)
    with open_bag(made.write(tmp_path / 'odd.mcap')) as bag:
        with pytest.raises(BagError, match=r'/proto with foxglove.Log cannot be played: .*protobuf'):
            BagPlayer(node, bag, ['/proto'])
        player = BagPlayer(node, bag)
        assert wait_until(lambda: player._publishers['/words'].get_subscription_count())
        player.play(lambda log_ns: True)
    assert wait_until(lambda: got) and got[0].data == '/words' and len(player._publishers) == 1
    said = capfd.readouterr().err
    assert all(f'{topic} with' in said for topic in ('/proto', '/json', '/event', '/no schema', '/dots', '/none'))


def test_a_recording_that_was_cut_off_is_played_as_far_as_it_goes(demo_bag, tmp_path, finish):
    file = tmp_path / 'cut.mcap'
    content = next(demo_bag.bag.glob('*.mcap')).read_bytes()
    file.write_bytes(content[:len(content) * 3 // 4])
    status, output = finish('tools.play_bag', str(file), '--rate', '100')
    assert status == 1 and 'it was cut off' in output and 'Traceback' not in output


def test_the_player_says_what_is_wrong(demo_bag, tmp_path, finish):
    status, output = finish('tools.play_bag', str(tmp_path / 'none'))
    assert status == 2 and 'Traceback' not in output
    status, output = finish('tools.play_bag', str(demo_bag.bag), '--wait-for', '/no/such/topic')
    assert status == 2 and '/no/such/topic is not played' in output
    status, output = finish('tools.play_bag', str(demo_bag.bag), '--topics', '/no/such/topic')
    assert status == 2 and 'the bag has no /no/such/topic' in output and '/camera/left/image_rect' in output


def test_the_player_leaves_out_what_it_is_told_to_and_a_clock_beside_its_own(context, tmp_path):
    with BagWriter(tmp_path / 'bag', typestore()) as writer:
        writer.write_raw('/tf', 'tf2_msgs/msg/TFMessage', 0, serialize_message(TFMessage()))
        writer.write_raw('/clock', 'rosgraph_msgs/msg/Clock', 0, serialize_message(Clock()))
        writer.write_raw('/sensor', 'std_msgs/msg/String', 0, serialize_message(String()))
    node = Node('player', context=context)
    try:
        with open_bag(tmp_path / 'bag') as bag:
            for clock, without, played in (
                (False, [], {'/tf', '/clock', '/sensor'}), (True, [], {'/tf', '/sensor'}),
                (True, ['/tf'], {'/sensor'})):
                player = BagPlayer(node, bag, clock=clock, without=without)
                with pytest.raises(BagError, match='the bag has') as refused:
                    player.wait_for_subscribers(['/none'], 0)
                assert set(str(refused.value).split('has ')[1].split(', ')) == played
    finally:
        node.destroy_node()


def test_the_recorder_says_what_is_wrong(tmp_path, finish):
    there = tmp_path / 'there'
    with BagWriter(there, typestore()) as writer:
        writer.write_raw('/sensor', 'std_msgs/msg/String', 0, serialize_message(String()))
    kept = (there / 'there.mcap').read_bytes()
    status, output = finish('tools.record_bag', '--out', str(there), '/a:std_msgs/msg/String')
    assert status == 2 and 'exists already' in output and (there / 'there.mcap').read_bytes() == kept
    status, output = finish('tools.record_bag', '--out', str(tmp_path / 'copy'), '/a b:std_msgs/msg/String')
    assert status == 2 and '/a b: no name of a topic' in output and not (tmp_path / 'copy').exists()
    for wrong in ('/image', '/image:sensor_msgs/msg/Imagination', '/image:no_msgs/msg/None'):
        status, output = finish('tools.record_bag', '--out', str(tmp_path / 'copy'), wrong)
        assert status == 2 and 'TOPIC:PACKAGE/msg/NAME' in output and 'Traceback' not in output
