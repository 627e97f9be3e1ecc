"""Which controllers of ros2_control must run for the outputs of a robot, and what to switch.

https://control.ros.org/master/doc/ros2_control/controller_manager/doc/userdoc.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vla_ros.robot.outputs.layout import OutputError
from vla_ros.robot.spec.robot import RobotSpec


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What one controller manager has to run.

    Attributes:
        manager: Its name, for instance ``/controller_manager``.
        active: Controllers that must be active.
        inactive: Controllers that must not be.
    """

    manager: str
    active: tuple[str, ...]
    inactive: tuple[str, ...]

    def switch(self, states: Mapping[str, str]) -> tuple[list[str], list[str]]:
        """What to activate and what to deactivate, given the state of each loaded controller."""
        return (
            [name for name in self.active if states.get(name) != "active"],
            [name for name in self.inactive if states.get(name) == "active"],
        )

    def problem(self, states: Mapping[str, str]) -> str:
        """What is not as it must be, else empty."""
        off, on = self.switch(states)
        words = [f"'{name}' is {states.get(name, 'not loaded')}, expected active" for name in off]
        words += [f"'{name}' is active, expected inactive" for name in on]
        return f"{self.manager}: controller {'; '.join(words)}" if words else ""


def wanted_of(spec: RobotSpec) -> tuple[Wanted, ...]:
    """What each controller manager that the robot file names has to run.

    Raises:
        OutputError: One output activates what another deactivates.
    """
    active: dict[str, dict[str, str]] = {}
    inactive: dict[str, dict[str, str]] = {}
    for output in spec.outputs:
        if output.controllers is not None:
            manager = output.controllers.manager
            active.setdefault(manager, {}).update(
                dict.fromkeys(output.controllers.activate, output.name)
            )
            inactive.setdefault(manager, {}).update(
                dict.fromkeys(output.controllers.deactivate, output.name)
            )
    for manager, names in active.items():
        for name in names.keys() & inactive[manager].keys():
            raise OutputError(
                f"output '{names[name]}' activates controller '{name}', output "
                f"'{inactive[manager][name]}' deactivates it; they cannot be used together"
            )
    return tuple(
        Wanted(manager=manager, active=tuple(names), inactive=tuple(inactive[manager]))
        for manager, names in active.items()
    )
