"""Controllers of ros2_control are switched when the bridge is activated, and watched after.

Services: controller_manager_msgs (https://github.com/ros-controls/ros2_control).
"""

from __future__ import annotations

from typing import Any

from builtin_interfaces.msg import Duration

from vla_ros.robot.outputs.switching import Wanted
from vla_ros.ros.lifecycle import VlaNode
from vla_ros.ros.outputs.calls import Call
from vla_ros.ros.outputs.installed import LIST, SWITCH, interface

WATCH_NS = 500_000_000
SWITCH_S = 3


class ControllerSwitch:
    """One controller manager, brought to what the outputs need.

    It lists, switches what differs in one strict (all or nothing) request, and lists again; only
    the list counts. From then on it watches: a controller that is switched away is a problem, and
    is switched back only after it was `allowed` to, anew.

    Args:
        node: Owns the clients.
        wanted: What has to run.
    """

    def __init__(self, node: VlaNode[Any], wanted: Wanted) -> None:
        self._wanted = wanted
        who = f"the controllers of {wanted.manager}"
        self._switch = interface(SWITCH, who)
        self._list = interface(LIST, who)
        self._listing = Call(node, self._list, f"{wanted.manager}/list_controllers")
        self._switching = Call(node, self._switch, f"{wanted.manager}/switch_controller")
        self._due_ns: int | None = None
        self._was_right = False
        self._refusal = ""
        self.restart()

    def restart(self) -> None:
        """Somebody else may have switched: look before anything is sent again."""
        self._listing.drop()
        self._was_right = False
        self._due_ns = None
        self.problem = f"{self._wanted.manager}: its controllers are being looked at"

    def tick(self, allowed: bool, steady_ns: int) -> None:
        """Go on; `problem` says what hinders the outputs, or is empty.

        Args:
            allowed: Whether controllers may be switched now.
            steady_ns: Steady time, in [ns].
        """
        answer = self._switching.answer(steady_ns)
        if answer is not None:
            self._refusal = (
                "" if answer.ok else f"; switching failed: {answer.message or 'no word'}"
            )
            self._due_ns = steady_ns if answer.ok else self._due_ns
        listed = self._listing.answer(steady_ns)
        if listed is not None:
            self._listed({c.name: c.state for c in listed.controller}, allowed, steady_ns)
        busy = self._switching.under_way or self._listing.under_way
        if busy or (self._due_ns is not None and steady_ns < self._due_ns):
            return
        self._due_ns = steady_ns + WATCH_NS
        if self._listing.ready and self._switching.ready:
            self._listing.start(self._list.Request(), steady_ns)
        else:
            self._was_right = False
            self.problem = f"nobody serves {self._listing.name} and {self._switching.name}"

    def _listed(self, states: dict[str, str], allowed: bool, steady_ns: int) -> None:
        problem = self._wanted.problem(states)
        self.problem = problem and problem + self._refusal
        if not problem:
            self._was_right, self._refusal = True, ""
            return
        lost, self._was_right = self._was_right, False  # then the bridge stops first
        activate, deactivate = self._wanted.switch(states)
        if allowed and not lost and all(name in states for name in activate):
            self._switching.start(
                self._switch.Request(
                    activate_controllers=activate,
                    deactivate_controllers=deactivate,
                    strictness=self._switch.Request.STRICT,
                    activate_asap=True,
                    timeout=Duration(sec=SWITCH_S),
                ),
                steady_ns,
            )
