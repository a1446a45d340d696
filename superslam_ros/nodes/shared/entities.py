"""Publishers, subscriptions, services and timers that come and go with a node's lifecycle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rclpy.node import Node


class Entities:
    """Publishers, subscriptions, services and timers that a node makes at one time, so that they can go again."""

    def __init__(self, node: Node) -> None:
        """Begin with none."""
        self._node = node
        self._made: list[tuple[Callable[[Any], bool], Any]] = []

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Remember what the node makes inside the block."""
        before = {id(entity) for _, entity in self._all()}
        try:
            yield
        finally:
            self._made += [(destroy, entity) for destroy, entity in self._all() if id(entity) not in before]

    def destroy(self) -> None:
        """Destroy them."""
        for destroy, entity in self._made:
            destroy(entity)
        self._made = []

    def _all(self) -> list[tuple[Callable[[Any], bool], Any]]:
        node = self._node
        return [(destroy, entity) for destroy, entities in (
            (node.destroy_subscription, node.subscriptions), (node.destroy_publisher, node.publishers),
            (node.destroy_service, node.services), (node.destroy_timer, node.timers)) for entity in entities]
