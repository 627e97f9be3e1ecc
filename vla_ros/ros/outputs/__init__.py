"""What the control bridge drives a robot with: one sender for each output of the robot file."""

from __future__ import annotations

from typing import Any

from vla_ros.robot.command.commander import Commander
from vla_ros.robot.command.commands import Commands
from vla_ros.robot.outputs.switching import wanted_of
from vla_ros.robot.spec.robot import OutputSpec, RobotSpec
from vla_ros.ros.lifecycle import VlaNode
from vla_ros.ros.outputs.actions import ActionOutput
from vla_ros.ros.outputs.controllers import ControllerSwitch
from vla_ros.ros.outputs.installed import SERVO, check_installed
from vla_ros.ros.outputs.servo import ServoStart
from vla_ros.ros.outputs.topics import TopicOutput

__all__ = ["Outputs", "check_installed"]


class Outputs:
    """Sends commands, and sees to it that somebody listens.

    Args:
        node: Owns publishers and clients.
        spec: The robot file.

    Raises:
        NotInstalledError: An output needs an interface that is not installed.
        OutputError: One output activates a controller that another deactivates.
    """

    def __init__(self, node: VlaNode[Any], spec: RobotSpec) -> None:
        def sender(output: OutputSpec) -> ActionOutput | TopicOutput:
            if output.is_action:
                return ActionOutput(node, output)
            return TopicOutput(node, output, frames.get(output.name, spec.base_frame))

        frames = {part.output: part.frame for part in spec.pose_slices if part.frame}

        self._senders = {output.name: sender(output) for output in spec.outputs}
        servos = [o for o in spec.outputs if o.controller in SERVO]
        self._starts: list[ControllerSwitch | ServoStart] = [
            *(ControllerSwitch(node, wanted) for wanted in wanted_of(spec)),
            *(ServoStart(node, output) for output in servos),
        ]
        self._given_away = False

    def prepare(self, commander: Commander, now_ns: int, steady_ns: int) -> None:
        """Tell the commander whether commands would be followed; to be called each control period.

        Controllers are switched, and Servo is started, unless somebody else has the robot or a stop
        holds it.
        """
        given_away = commander.given_away
        if given_away and not self._given_away:
            for start in self._starts:
                start.restart()
        self._given_away = given_away
        if not given_away:
            for start in self._starts:
                start.tick(commander.stop_reason == "none", steady_ns)
        why = "; ".join(start.problem for start in self._starts if start.problem)
        commander.hindered(why, now_ns)

    def problems(self) -> dict[str, str]:
        """Of each action output why its last goal is not followed, or ``ok``."""
        return {
            f"output {name}": sender.problem or "ok"
            for name, sender in self._senders.items()
            if isinstance(sender, ActionOutput)
        }

    def send(self, commands: Commands, now_ns: int) -> None:
        """Send what is due in this control period."""
        for name, payload in (*commands.windows, *commands.values, *commands.grips):
            self._senders[name].send(payload, now_ns)
        for sender in self._senders.values():
            sender.tick()

    def flush(self) -> None:
        """Wait a moment until what was sent to topics has arrived."""
        for sender in self._senders.values():
            if isinstance(sender, TopicOutput):
                sender.flush()
