"""Nodes of any class named as a plugin, run side by side: what is wrong with one stays its own."""

from __future__ import annotations

import importlib
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any

from ament_index_python import get_resource, get_resources
from composition_interfaces.srv import LoadNode
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter

from superslam_ros.nodes.shared.process import spin_once

INDEX = 'rclpy_components'
"""Type of the ament index resource, one file per package, lines ``NAME;MODULE:CLASS``. Not ``rclcpp_components``, which
``ros2 component types`` reads: there every line names a shared library, and a C++ container would try to open ours."""

OURS = Path(__file__).with_name('plugins.txt')
"""What CMake puts into the index for this package."""

NODE_OPTIONS = ('enable_rosout', 'start_parameter_services', 'enable_logger_service')
"""Extra arguments that rclpy's Node knows under the same name; the last one since Jazzy."""
_NAMING = ('context', 'cli_args', 'namespace', 'use_global_arguments')
"""Arguments of rclpy's Node on which its name depends."""
FORWARD, IGNORED = 'forward_global_arguments', 'use_intra_process_comms'


class PluginError(ValueError):
    """A node cannot be loaded; the message says why."""


def registered() -> dict[str, dict[str, str]]:
    """Return package -> plugin name -> ``MODULE:CLASS`` of all packages in the ament index, and of this one."""
    files = {'superslam_ros': OURS.read_text()}
    with suppress(OSError):     # no AMENT_PREFIX_PATH
        files.update({package: get_resource(INDEX, package)[0] for package in get_resources(INDEX)})
    return {package: dict(line.partition(';')[::2] for line in text.split()) for package, text in files.items()}


def find_class(package: str, plugin: str) -> type[Node]:
    """Return the class of a plugin: a registered name, or ``MODULE:CLASS`` of any module on the path.

    :raises PluginError: naming the plugins there are, or what is wrong with this one.
    """
    packages = registered()
    place = packages.get(package, {}).get(plugin)
    if place is None and ':' in plugin and '::' not in plugin:
        place = plugin
    if place is None:
        known = ', '.join(name for _, names in sorted(packages.items()) for name in names)
        raise PluginError(f'package {package!r} has no plugin {plugin!r}; there are: {known}, '
                          'and package.module:Class of any rclpy node')
    module_name, _, class_name = place.partition(':')
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise PluginError(f'{module_name} cannot be imported: {describe(error)}') from error
    found = getattr(module, class_name, None)
    if found is None:
        raise PluginError(f'module {module_name} has no {class_name!r}')
    if not (inspect.isclass(found) and issubclass(found, Node)):
        raise PluginError(f'{place} is not a subclass of rclpy.node.Node')
    return found


def node_arguments(request: LoadNode.Request, context: Context) -> dict[str, Any]:
    """Return the keyword arguments of rclpy's Node for a request.

    :raises PluginError: for extra arguments that are unknown or no booleans.
    """
    rules = list(request.remap_rules)
    if request.node_name:
        rules.append(f'__node:={request.node_name}')
    if request.node_namespace:
        rules.append(f'__ns:={absolute(request.node_namespace)}')
    supported = [FORWARD, IGNORED, *(name for name in NODE_OPTIONS if name in inspect.signature(Node).parameters)]
    extra = {}
    for parameter in map(Parameter.from_parameter_msg, request.extra_arguments):
        if parameter.name not in supported:
            raise PluginError(f'unknown extra argument {parameter.name!r}; there are: {", ".join(supported)}')
        if parameter.type_ != Parameter.Type.BOOL:
            raise PluginError(f'extra argument {parameter.name!r} must be a boolean')
        extra[parameter.name] = parameter.value
    extra.pop(IGNORED, None)    # rclpy has no such path
    return {
        'context': context,
        # The arguments of the process are the container's: with them, every node would bear the container's name.
        'use_global_arguments': extra.pop(FORWARD, False),
        'cli_args': ['--ros-args', *(part for rule in rules for part in ('-r', rule))] if rules else [],
        'parameter_overrides': [Parameter.from_parameter_msg(parameter) for parameter in request.parameters],
        **extra,
    }


def make_node(node_class: type[Node], arguments: dict[str, Any]) -> Node:
    """Construct a node; one that fails leaves nothing behind.

    :raises PluginError: with the reason, when the constructor raises anything.
    """
    try:
        inspect.signature(node_class).bind(**arguments)
    except TypeError as error:
        raise PluginError(f'{node_class.__name__} cannot be composed, its constructor must take **kwargs and hand '
                          f'them to rclpy.node.Node: {error}') from error
    # In two steps: a constructor that raises half-way leaves a node in the graph and perhaps a thread.
    node = node_class.__new__(node_class, **arguments)
    try:
        node.__init__(**arguments)
    except PluginError:
        destroy(node)
        raise
    except (Exception, SystemExit) as error:
        destroy(node)
        raise PluginError(f'{node_class.__name__} cannot be constructed: {describe(error)}') from error
    return node


@contextmanager
def names_asked_for(refuse: Callable[[str], None]) -> Iterator[None]:
    """Have ``refuse`` called with the full name of each node that this thread makes in the block, before it is made.

    rcl lets nodes of one name share their log publisher, and the first to go takes it along: one that is refused when
    it is made would silence the other. What the name will be, the class knows, and the rules for it are rcl's.
    """
    make, thread = Node.__init__, threading.get_ident()

    @wraps(make)
    def ask_and_make(node: Node, node_name: str, **options: Any) -> None:
        if threading.get_ident() == thread:
            probe = Node.__new__(Node)
            make(probe, node_name, enable_rosout=False, start_parameter_services=False, **{
                name: options[name] for name in _NAMING if name in options})
            full_name = probe.get_fully_qualified_name()
            probe.destroy_node()
            refuse(full_name)
        make(node, node_name, **options)

    Node.__init__ = ask_and_make
    try:
        yield
    finally:
        Node.__init__ = make


def destroy(node: Node) -> Exception | None:
    """Destroy a node; where the class's own way to do so fails, as in one that is half made, the rclpy part of it.

    :returns: why the own way failed.
    """
    try:
        node.destroy_node()
        return None
    except Exception as error:
        with suppress(Exception):   # not even Node's constructor was done
            Node.destroy_node(node)
        return error


class Component:
    """A loaded node, and the thread that runs its callbacks."""

    def __init__(self, node: Node, on_failure: Callable[[BaseException], None]) -> None:
        """Start the thread; ``on_failure`` is called on it when a callback raises."""
        self.node, self.name = node, node.get_fully_qualified_name()
        self._on_failure = on_failure
        self._stopping = threading.Event()
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, name=self.name, daemon=True)

    def start(self) -> None:
        """Begin to run callbacks."""
        self._thread.start()

    def stop(self) -> Exception | None:
        """Let the callback at work finish, then destroy the node; return what its ``destroy_node`` raised."""
        if threading.current_thread() is not self._thread:
            # A task ends the wait; Executor.shutdown beside a spinning thread takes away what it waits on.
            self._executor.create_task(self._stopping.set)
            self._thread.join()
        self._executor.shutdown()
        return destroy(self.node)

    def _spin(self) -> None:
        try:
            while self.node.context.ok() and not self._stopping.is_set():
                spin_once(self._executor)
        except ExternalShutdownException:
            pass
        except (Exception, SystemExit) as error:
            if self.node.context.ok():
                self._on_failure(error)


def absolute(namespace: str) -> str:
    """Return a namespace with a leading slash, which ROS asks for."""
    return namespace if namespace.startswith('/') else f'/{namespace}'


def describe(error: BaseException) -> str:
    """Return the type and the message of an error."""
    return f'{type(error).__name__}: {error}'
