"""A container for Python nodes: ``ros2 component load`` and launch files put nodes into this process and out again."""

from __future__ import annotations

if __name__ == '__main__':      # before the imports that take long
    from superslam_ros.nodes.shared.start import start

    start(__spec__.name)

import itertools
import math
import threading
import time
import traceback
from typing import Any

from composition_interfaces.srv import ListNodes, LoadNode, UnloadNode
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.executors import MultiThreadedExecutor
from rclpy.logging import LoggingSeverity
from rclpy.node import Node
from rclpy.qos import QoSProfile

from superslam_ros import memory
from superslam_ros.nodes.components import (
    Component,
    PluginError,
    describe,
    destroy,
    find_class,
    make_node,
    names_asked_for,
    node_arguments,
)
from superslam_ros.nodes.shared.process import begin, spin

REQUESTS = QoSProfile(depth=100)
"""Requests that wait while a node is being loaded: a launch file may send many at once."""
ANSWER_S = 0.5
"""How long the answer that a node cannot be loaded has to be on its way, before the container ends."""


class ComponentContainer(Node):
    """Serves load_node, unload_node and list_nodes of composition_interfaces.

    Each node has a thread and a single-threaded executor of its own. So a callback, or a worker's wait, never holds up
    another node, callbacks of one node never meet, as in a process of its own, and a node can be destroyed when its
    thread has ended, with nobody waiting on its handles. One executor for all, with threads, would do the first only,
    and gives every message a hand-over between threads.
    """

    def __init__(self, **kwargs: Any) -> None:
        """Offer the services; ``kwargs`` go to rclpy's Node."""
        super().__init__('component_container', **kwargs)
        self._components: dict[int, Component] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self.failed, self._ends_at = False, math.inf
        self._end_on_failure = self.declare_parameter('end_on_failure', False, ParameterDescriptor(
            description='End, with status 1, when a node cannot be loaded or fails, and no other is left')).value
        # Loading takes seconds. It changes the set, and so goes on one at a time; the list can be asked for meanwhile.
        changes, questions = MutuallyExclusiveCallbackGroup(), MutuallyExclusiveCallbackGroup()
        for kind, name, callback, group in (
            (LoadNode, 'load_node', self._load, changes), (UnloadNode, 'unload_node', self._unload, changes),
            (ListNodes, 'list_nodes', self._list, questions)):
            self.create_service(
                kind, f'~/_container/{name}', callback, qos_profile=REQUESTS, callback_group=group)

    def destroy_node(self) -> None:
        """Unload all nodes, the latest first, then end the container."""
        while self._components:
            self._remove(max(self._components))
        super().destroy_node()

    def _load(self, request: LoadNode.Request, response: LoadNode.Response) -> LoadNode.Response:
        try:
            unique_id, component = self._add(request)
        except ValueError as error:     # PluginError, or a parameter of no known type
            response.error_message = str(error)
            self.get_logger().error(f'{request.plugin_name} is not loaded: {error}')
            self._end_if_empty()
            return response
        response.success, response.unique_id, response.full_node_name = True, unique_id, component.name
        self.get_logger().info(f'loaded {component.name} ({request.plugin_name}) as {unique_id}')
        return response

    def _add(self, request: LoadNode.Request) -> tuple[int, Component]:
        node_class = find_class(request.package_name, request.plugin_name)
        arguments = node_arguments(request, self.context)
        level = LoggingSeverity(request.log_level) if request.log_level else None
        with names_asked_for(self._refuse_taken):
            node = make_node(node_class, arguments)
        if not self.context.ok():
            destroy(node)
            raise PluginError('the container has been told to end')
        if level is not None:
            node.get_logger().set_level(level)
        unique_id = next(self._ids)
        component = Component(node, lambda error: self._end_failed(unique_id, error))
        with self._lock:
            self._components[unique_id] = component
        component.start()
        return unique_id, component

    def _refuse_taken(self, name: str) -> None:
        with self._lock:
            taken = {component.name: unique_id for unique_id, component in self._components.items()}
        if name in taken:
            raise PluginError(f'there is a node {name} in this container, with id {taken[name]}')
        if name == self.get_fully_qualified_name():
            raise PluginError(f'{name} is the name of the container')

    def _unload(self, request: UnloadNode.Request, response: UnloadNode.Response) -> UnloadNode.Response:
        response.success = self._remove(request.unique_id)
        if not response.success:
            response.error_message = f'there is no node with id {request.unique_id} in this container'
            self.get_logger().warning(response.error_message)
        return response

    def _list(self, _: ListNodes.Request, response: ListNodes.Response) -> ListNodes.Response:
        with self._lock:
            response.unique_ids = list(self._components)
            response.full_node_names = [component.name for component in self._components.values()]
        return response

    def _remove(self, unique_id: int) -> bool:
        with self._lock:
            component = self._components.pop(unique_id, None)
        if component is None:
            return False
        error = component.stop()
        if error is not None:
            self.get_logger().error(f'{component.name} did not end well: {describe(error)}')
        if self.context.ok():   # else /rosout is gone
            self.get_logger().info(f'unloaded {component.name}')
        return True

    def _end_failed(self, unique_id: int, error: BaseException) -> None:
        """Unload a node whose callback raised, on its own thread: one that only looks alive would be worse."""
        report = ''.join(traceback.format_exception(type(error), error, error.__traceback__))
        self.get_logger().fatal(f'node {unique_id} failed and is unloaded: {describe(error)}\n{report}')
        self.failed = True
        self._remove(unique_id)
        self._end_if_empty()

    def _end_if_empty(self) -> None:
        if self._end_on_failure and not self._components:
            self.failed, self._ends_at = True, time.monotonic() + ANSWER_S

    @property
    def over(self) -> bool:
        """Whether the container is to end, since it could not do what it was started for."""
        return time.monotonic() >= self._ends_at


def main() -> int:
    """Run a container until SIGINT or SIGTERM; status 1 when a node had an internal error and was unloaded."""
    memory.keep_freed()
    going = begin()
    container = ComponentContainer()
    # One thread for what changes the set of nodes, one for what asks about it.
    spin(container, lambda: going() and not container.over, MultiThreadedExecutor(2))
    return int(container.failed)
