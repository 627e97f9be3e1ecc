"""One frozen dataclass per node -> declared, described and validated ROS parameters.

    @dataclass(frozen=True, kw_only=True)
    class Parameters(NodeParameters):
        control_rate_hz: float = parameter(100.0, "control rate", unit="Hz", minimum=10.0)

    parameters = declare(node, Parameters)

Every parameter is read-only once declared: a node is configured by its launch file. Rules between
parameters belong in ``__post_init__``, which raises ``ParameterError`` or ``ValueError``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
from rclpy.node import Node

from vla_ros.errors import VlaError

P = TypeVar("P", bound="NodeParameters")
_INT64_MAX = 2**63 - 1


class ParameterError(VlaError):
    """A parameter is missing, out of range, or contradicts another."""


def parameter(
    default: Any,
    description: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] = (),
) -> Any:
    """A dataclass field that becomes a ROS parameter.

    Args:
        default: Its type is the parameter's type: bool, int, float, str, or a tuple of one of them
            (an empty tuple is one of strings).
        description: What it does, for ``ros2 param describe``.
        unit: SI unit, shown in the description.
        minimum: Smallest value, inclusive.
        maximum: Largest value, inclusive.
        choices: The words that a string may be.
    """
    metadata = {
        "description": f"{description} [{unit}]" if unit else description,
        "minimum": minimum,
        "maximum": maximum,
        "choices": tuple(choices),
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeParameters:
    """Parameters that every node of this package has."""

    autostart: bool = parameter(
        True, "configure and activate without a lifecycle manager as soon as the node runs"
    )
    lockstep: bool = parameter(
        False, "take time and the permission to proceed from the simulator's ticks"
    )
    realtime_priority: int = parameter(
        0,
        "SCHED_FIFO priority of the node's threads (controller_manager has 50); 0: none",
        minimum=0,
        maximum=99,
    )


def declare(node: Node, cls: type[P]) -> P:
    """Declares the fields of ``cls`` as parameters of ``node`` and returns their values.

    Raises:
        ParameterError: A value of the wrong type, out of range, or refused by the dataclass.
    """
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        default = field.default
        if isinstance(default, tuple):
            default = list(default) or [""]  # an empty list has no ROS type
        try:
            value = node.declare_parameter(field.name, default, _descriptor(field)).value
        except (
            InvalidParameterTypeException,
            InvalidParameterValueException,
            ParameterUninitializedException,
        ) as error:
            raise ParameterError(
                f"parameter '{field.name}' of {node.get_name()}: {error}. It is: "
                f"{field.metadata['description']}{_allowed(field)}; mend it in the launch file or "
                "the parameter file"
            ) from error
        values[field.name] = _checked(node, field, value)
    try:
        return cls(**values)
    except ValueError as error:
        raise ParameterError(f"parameters of {node.get_name()}: {error}") from error


def _checked(node: Node, field: dataclasses.Field[Any], value: Any) -> Any:
    if isinstance(field.default, tuple):
        return tuple(item for item in value if item != "") if value is not None else ()
    choices = field.metadata["choices"]
    if (choices and value not in choices) or (isinstance(value, float) and math.isnan(value)):
        raise ParameterError(
            f"parameter '{field.name}' of {node.get_name()} is '{value}'{_allowed(field)}. It is: "
            f"{field.metadata['description']}"
        )
    return value


def _allowed(field: dataclasses.Field[Any]) -> str:
    data = field.metadata
    if data["choices"]:
        return f"; expected one of {', '.join(data['choices'])}"
    if data["minimum"] is not None or data["maximum"] is not None:
        return f"; expected {data['minimum']} .. {data['maximum']}"
    return ""


def _descriptor(field: dataclasses.Field[Any]) -> ParameterDescriptor:
    data = field.metadata
    descriptor = ParameterDescriptor(description=data["description"], read_only=True)
    if data["choices"]:
        descriptor.additional_constraints = "one of " + ", ".join(data["choices"])
    low, high = data["minimum"], data["maximum"]
    if low is None and high is None:
        return descriptor
    if isinstance(field.default, float):
        low, high = -math.inf if low is None else low, math.inf if high is None else high
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=float(low), to_value=float(high))
        ]
    else:
        low, high = -_INT64_MAX if low is None else low, _INT64_MAX if high is None else high
        descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
    return descriptor
