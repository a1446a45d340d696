"""``superslam bag info``: the topics of a bag, and the camera found among them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from superslam_ros.bags import bag, topics
from superslam_ros.bags.bag import BagError, BagReader, Topic


def lines(reader: BagReader) -> Iterator[str]:
    """Yield the description of a bag, line by line."""
    found = bag.list_topics(reader)
    count = sum(topic.count for topic in found)
    seconds = max(0, reader.duration) * 1e-9 if count else 0.0
    yield f'{reader.path}: {count} messages on {len(found)} topics, {seconds:.2f} s'
    for damage in reader.damage:
        yield f'  damaged: {damage}'
    width = max((len(topic.name) for topic in found), default=0)
    for topic in found:
        rate = f'{(topic.count - 1) / seconds:7.2f} Hz' if seconds > 0 and topic.count > 1 else ' ' * 10
        yield f'  {topic.name:{width}}  {topic.count:6d} {rate}  {topic.type}{_details(topic)}'
    try:
        chosen = topics.select(found)
    except BagError as error:
        yield f'superslam run: {error}'
        return
    rectified = 'rectified' if topics.is_rectified(chosen.image) else 'not known to be rectified'
    yield f'superslam run would take this as {chosen.mode}, {rectified}:'
    for role, name in vars(chosen).items():
        if name:
            yield f'  {role.replace("_", " "):17} {name}'


def camera(reader: BagReader) -> dict[str, Any]:
    """Return what ``superslam run`` would use: mode, rectified, and role -> name and type of the topics.

    :raises BagError: when the bag has no camera.
    """
    found = bag.list_topics(reader)
    chosen = topics.select(found)
    types = {topic.name: topic.type for topic in found}
    return {
        'mode': chosen.mode, 'rectified': topics.is_rectified(chosen.image),
        'topics': {role: {'name': name, 'type': types[name]} for role, name in vars(chosen).items() if name}}


def _details(topic: Topic) -> str:
    size = f'{topic.size[0]}x{topic.size[1]}' if topic.size else ''
    problem = topic.problem and f'left alone: {topic.problem}'
    parts = [part for part in (topic.encoding, size, topic.frame_id and f'frame {topic.frame_id}', problem) if part]
    return f'  ({", ".join(parts)})' if parts else ''
