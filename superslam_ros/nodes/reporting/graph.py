"""What the graph tells a node about its inputs: who publishes them, and why nothing comes of it."""

from __future__ import annotations

import difflib
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo

QUIET_S = 2.0
"""A topic that has not been heard for so long has fallen silent."""
_COLOUR, _DEPTH = '/compressed', '/compressedDepth'
_NAMELESS = {'_NODE_NAME_UNKNOWN_': 'a node whose name is not known', '_CREATED_BY_BARE_DDS_APP_': 'a DDS application'}


@dataclass
class Channel:
    """A topic that a node listens to, and what has come of it.

    :ivar name: as the node calls it, which is what is remapped.
    :ivar topic: what it is called in the graph.
    :ivar kind: class of the messages.
    :ivar reliable: whether only reliable publishers are heard.
    :ivar lasting: whether the last message counts until the next one comes, as of a calibration.
    :ivar last: when the last one came, or listening began (s, monotonic).
    """

    name: str
    topic: str
    kind: type
    reliable: bool = False
    lasting: bool = False
    count: int = 0
    stamp_ns: int = 0
    last: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, node: Node, name: str, kind: type, qos: QoSProfile, lasting: bool = False) -> Channel:
        """Return the channel of a subscription that is to be made."""
        return cls(name, node.resolve_topic_name(name), kind, qos.reliability == ReliabilityPolicy.RELIABLE, lasting)

    def hear(self, stamp_ns: int) -> None:
        """Count a message."""
        self.count, self.stamp_ns, self.last = self.count + 1, stamp_ns, time.monotonic()

    @property
    def quiet(self) -> bool:
        """Whether nothing has come for a while."""
        return time.monotonic() - self.last > QUIET_S

    @property
    def type_name(self) -> str:
        """The type of the messages as the graph has it."""
        return f'{self.kind.__module__.split(".")[0]}/msg/{self.kind.__name__}'


def why_silent(node: Node, channels: Mapping[str, Channel]) -> str:
    """Return why no frame comes."""
    return '; '.join(reasons(node, channels)) or 'the topics are published, but no complete frame comes'


def reasons(node: Node, channels: Mapping[str, Channel]) -> list[str]:
    """Return what is missing, and why."""
    found = [reason for channel in list(channels.values()) if (reason := why_missing(node, channel))]
    if node.get_parameter('use_sim_time').value and not node.count_publishers('/clock'):
        found.append('use_sim_time is true, but nobody publishes /clock')
    return found


def why_missing(node: Node, channel: Channel) -> str:
    """Return why nothing comes on a channel, or nothing where something does."""
    publishers = node.get_publishers_info_by_topic(channel.topic)
    fitting = [one for one in publishers if one.topic_type == channel.type_name]
    if not publishers:
        return f'nobody publishes {channel.topic}{_instead(node, channel)}'
    if not fitting:
        kinds = ', '.join(sorted({one.topic_type for one in publishers}))
        return f'{channel.topic} is published by {names(publishers)} as {kinds}, not as {channel.type_name}'
    if channel.reliable and all(one.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT for one in fitting):
        return (f'{channel.topic} is published as best_effort by {names(fitting)}, which reliability: reliable does '
                'not hear')
    if not channel.quiet or (channel.count and channel.lasting):
        return ''
    return (f'nothing has come on {channel.topic} for {time.monotonic() - channel.last:.0f} s, though it is announced '
            f'by {names(fitting)}')


def is_latched(node: Node, channel: Channel) -> bool:
    """Say whether someone publishes a channel in a way that those who come later hear the last message."""
    return any(one.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
               and one.qos_profile.reliability == ReliabilityPolicy.RELIABLE
               for one in node.get_publishers_info_by_topic(channel.topic))


def mixtures(node: Node, channels: Iterable[Channel]) -> list[str]:
    """Return which channels are published by more than one, and by whom: their messages mix."""
    topics: dict[str, list[str]] = {}
    for channel in list(channels):
        publishers = node.get_publishers_info_by_topic(channel.topic)
        if len(publishers) > 1:
            topics.setdefault(names(publishers), []).append(channel.topic)
    return [f'several publishers on {", ".join(mixed)}: {who}; let one have another name'
            for who, mixed in topics.items()]


def names(publishers: Sequence[TopicEndpointInfo]) -> str:
    """Return the names of the nodes that publish."""
    counts = Counter(_NAMELESS.get(one.node_name) or f'{one.node_namespace.rstrip("/")}/{one.node_name}'
                     for one in publishers)
    return ' and '.join(name + (f' ({count} times)' if count > 1 else '') for name, count in sorted(counts.items()))


def _instead(node: Node, channel: Channel) -> str:
    """Return what may be meant by a topic that nobody publishes, and how to listen to it."""
    own = {publisher.topic_name for publisher in node.publishers}
    there = {topic: kinds for topic, kinds in node.get_topic_names_and_types()
             if topic not in own and node.count_publishers(topic)}
    depth = channel.name == 'depth' or channel.topic.endswith(_DEPTH)
    end, parameter = (_DEPTH, 'depth_transport') if depth else (_COLOUR, 'transport')
    if channel.topic.endswith(end) and channel.topic[:-len(end)] in there:
        return f', but {channel.topic[:-len(end)]} is there: {parameter}: raw'
    if f'{channel.topic}{end}' in there:
        return f', but {channel.topic}{end} is there: {parameter}: compressed'
    fitting = [topic for topic, kinds in there.items() if channel.type_name in kinds]
    if not fitting:
        return (f', nor any other {channel.type_name} where this node looks '
                f'(ROS_DOMAIN_ID {os.environ.get("ROS_DOMAIN_ID") or 0})')
    near = difflib.get_close_matches(channel.topic, fitting, 1)
    if near:
        return f' (did you mean {near[0]}? remap: -r {channel.name}:={near[0]})'
    return f', but of its type there is {", ".join(sorted(fitting)[:3])} (to take it: -r {channel.name}:=TOPIC)'
