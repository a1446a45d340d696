"""ROS parameters from the configuration dataclasses."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from superslam_ros import config as configuration
from superslam_ros.node_config import TopicConfig, unknown_names

Config = TypeVar('Config')


class NodeParameters:
    """The options of a node as parameters: live ones may change at any time, the others while it is unconfigured."""

    def __init__(self, node: Node, config_class: type) -> None:
        """Declare the node's own options and those that all nodes have; nested ones are named ``group.option``.

        :raises ValueError: naming the parameter, when a value is out of range or not one of its choices.
        """
        self.config_class, self.fixed = config_class, False
        self._node = node
        self._specs = {spec.name: spec for kind in (TopicConfig, config_class) for spec in configuration.options(kind)}
        try:
            given = [node.declare_parameter(name, spec.default, _describe(spec)) for name, spec in self._specs.items()]
        except InvalidParameterValueException as error:     # out of the range
            raise ValueError(str(error)) from error
        self._values = {one.name: configuration.check(self._specs[one.name], one.value) for one in given}
        node.set_parameters([one for one, was in zip(self._as_declared(given), given) if one.type_ != was.type_])
        if hasattr(node, 'add_pre_set_parameters_callback'):    # since Iron; before, ROS shows 8 where 8.0 is meant
            node.add_pre_set_parameters_callback(self._as_declared)
        node.add_on_set_parameters_callback(self._change)

    def of(self, config_class: type[Config]) -> Config:
        """Return the present values as a configuration."""
        return configuration.build(
            config_class, {spec.name: self._values[spec.name] for spec in configuration.options(config_class)})

    def _change(self, parameters: list[Parameter]) -> SetParametersResult:
        ours = [parameter for parameter in parameters if parameter.name in self._specs]
        for name in (parameter.name for parameter in ours):
            if self.fixed and not self._specs[name].live:
                return SetParametersResult(successful=False, reason=(
                    f'{name} is used when the node is configured: `ros2 lifecycle set '
                    f'{self._node.get_fully_qualified_name()} deactivate`, then cleanup, set it, configure, activate'))
        try:
            new = {one.name: configuration.check(self._specs[one.name], one.value) for one in ours}
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        for name, value in new.items():
            if value != self._values[name]:
                self._node.get_logger().info(f'{name}: {self._values[name]} -> {value}, from the '
                                             f'{"next frame" if self.fixed else "configuring"} on')
        self._values.update(new)
        if ours and self.fixed:
            self._node.tune()
        return SetParametersResult(successful=True)

    def _as_declared(self, parameters: list[Parameter]) -> list[Parameter]:
        """Return them with values of another spelling as what the options are, so that ROS shows them so."""
        found = []
        for one in parameters:
            with suppress(ValueError):      # left for ``_change`` to refuse
                if one.name in self._specs:
                    one = Parameter(one.name, value=configuration.check(self._specs[one.name], one.value))
            found.append(one)
        return found


def _describe(spec: configuration.Option) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        description=spec.description,
        dynamic_typing=True,    # of another type, a value is read or refused by ``config.check``
        additional_constraints=f'one of: {", ".join(spec.choices)}' if spec.choices else '')
    if spec.low is not None and spec.high is not None and spec.type is float:
        descriptor.floating_point_range = [FloatingPointRange(from_value=spec.low, to_value=spec.high)]
    elif spec.low is not None and spec.high is not None and spec.type is int:
        descriptor.integer_range = [IntegerRange(from_value=int(spec.low), to_value=int(spec.high), step=1)]
    return descriptor


def refuse_unknown(node: Node) -> None:
    """Refuse given parameters that no node of this package has; ROS would ignore them silently.

    Parameters of the package's other nodes are let pass, so that one file serves all.

    :raises ValueError: naming them.
    """
    given: dict[str, Any] = getattr(node, '_parameter_overrides', {})
    unknown = unknown_names(given)
    if unknown:
        raise ValueError(f'node {node.get_name()}: unknown parameter {", ".join(unknown)}')
