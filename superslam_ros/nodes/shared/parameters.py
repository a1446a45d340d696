"""ROS parameters from the configuration dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from superslam_ros import config as configuration
from superslam_ros.config import group, option
from superslam_ros.slam import SlamConfig
from superslam_ros.sync import tolerance_s

Config = TypeVar('Config')

_OF_ROS = ('use_sim_time', 'start_type_description_service', 'qos_overrides')


@dataclass(frozen=True)
class TopicConfig:
    """How a node starts and listens."""

    autostart: bool = option(True, 'Configure and activate at the start; false: wait for `ros2 lifecycle set`')
    mode: str = option('mono', 'Which inputs to use: mono (image), stereo (image, right/image) or rgbd (image, depth)',
                       choices=('mono', 'stereo', 'rgbd'))
    transport: str = option('raw', 'Type of the image topics: raw (Image) or compressed (CompressedImage, on '
                            'image/compressed and right/image/compressed)', choices=('raw', 'compressed'))
    depth_transport: str = option('raw', 'Type of the depth topic: raw (Image) or compressed (CompressedImage, on '
                                  'depth/compressedDepth)', choices=('raw', 'compressed'))
    reliability: str = option('best_effort', 'Reliability of the subscriptions; best_effort hears every publisher, '
                              'reliable loses nothing but hears only reliable ones',
                              choices=('best_effort', 'reliable'))
    sync_tolerance: float = option(0.0, 'Largest difference of the stamps of what belongs to one frame (s); 0: 0.005 '
                                   'for stereo pairs, 0.02 for depth images', low=0.0, high=1.0)

    @property
    def tolerance_ns(self) -> int:
        """``sync_tolerance`` in this mode, in nanoseconds."""
        return round(tolerance_s(self.sync_tolerance, self.mode) * 1e9)


@dataclass(frozen=True)
class FrameConfig:
    """Names of coordinate frames, and what is published about them."""

    odom_frame: str = option('odom', 'Frame in which odometry is reported')
    camera_frame: str = option('', 'Optical frame of the camera; empty: the frame_id of the images')
    base_frame: str = option('', 'Frame of the robot whose odometry is reported, such as base_link; the camera must be '
                             'fixed to it, and no frame is used until TF says where. Empty: the camera')
    publish_tf: bool = option(True, 'Broadcast the pose as the transform from odom_frame to base_frame or camera_frame')
    invert_tf: bool = option(False, 'Broadcast the inverse, with odom_frame as the child: for robots whose base has '
                             'another parent')
    path_length: int = option(1000, 'Poses kept in the published path', low=1, high=100000)


@dataclass(frozen=True)
class NodeConfig(SlamConfig):
    """Options of all stages, and of what is published."""

    frames: FrameConfig = group(FrameConfig)


class NodeParameters:
    """The options of a node as parameters: live ones may change at any time, the others while it is unconfigured."""

    def __init__(self, node: Node, config_class: type) -> None:
        """Declare the node's own options and those that all nodes have; nested ones are named ``group.option``.

        :raises ValueError: naming the parameter, when a value is out of range or not one of its choices.
        """
        self.config_class, self.fixed = config_class, False
        self._node = node
        self._specs = {spec.name: spec for kind in (TopicConfig, config_class) for spec in configuration.options(kind)}
        self._values = {
            name: configuration.check(spec, node.declare_parameter(name, spec.default, _describe(spec)).value)
            for name, spec in self._specs.items()}
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
            self._values.update(
                {one.name: configuration.check(self._specs[one.name], one.value) for one in ours})
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if ours and self.fixed:
            self._node.tune()
        return SetParametersResult(successful=True)


def _describe(spec: configuration.Option) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        description=spec.description,
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
    known = {spec.name for group_class in (TopicConfig, NodeConfig) for spec in configuration.options(group_class)}
    unknown = [name for name in given if name not in known and not name.startswith(_OF_ROS)]
    if unknown:
        raise ValueError(f'node {node.get_name()}: unknown parameter {", ".join(sorted(unknown))}')
