"""MoveIt Servo is told what kind of commands comes, and to listen, when the bridge is activated.

https://moveit.picknik.ai/main/doc/examples/realtime_servo/realtime_servo_tutorial.html
"""

from __future__ import annotations

from typing import Any

from std_srvs.srv import SetBool

from vla_ros.robot.spec.robot import OutputSpec
from vla_ros.ros.lifecycle import VlaNode
from vla_ros.ros.outputs.calls import Call
from vla_ros.ros.outputs.installed import SERVO_TYPE, interface


class ServoStart:
    """One Servo node: its command type, then its pause lifted.

    Its services are looked for beside the output's topic: of ``/servo_node/delta_twist_cmds`` these
    are ``/servo_node/switch_command_type`` and ``/servo_node/pause_servo``.

    Args:
        node: Owns the clients.
        output: A servo_twist, servo_joint_jog or servo_pose.
    """

    def __init__(self, node: VlaNode[Any], output: OutputSpec) -> None:
        servo = output.topic.rpartition("/")[0]
        kind = interface(SERVO_TYPE, f"output '{output.name}'")
        wanted = {
            "servo_twist": kind.Request.TWIST,
            "servo_joint_jog": kind.Request.JOINT_JOG,
            "servo_pose": kind.Request.POSE,
        }[output.controller]
        self._steps = (
            (Call(node, kind, f"{servo}/switch_command_type"), kind.Request(command_type=wanted)),
            (Call(node, SetBool, f"{servo}/pause_servo"), SetBool.Request(data=False)),
        )
        self.restart()

    def restart(self) -> None:
        """Somebody else may have used it: begin anew."""
        for call, _ in self._steps:
            call.drop()
        self._step = 0
        self.problem = f"{self._steps[0][0].name} was not called yet"

    def tick(self, allowed: bool, steady_ns: int) -> None:
        """Go on; `problem` says what hinders the output, or is empty.

        Args:
            allowed: Whether Servo may be told anything now.
            steady_ns: Steady time, in [ns].
        """
        if self._step == len(self._steps):
            return
        call, request = self._steps[self._step]
        answer = call.answer(steady_ns)
        if answer is not None:
            self._step += bool(answer.success)
            done = self._step == len(self._steps)
            self.problem = "" if done else f"{call.name} answered {answer.success}"
        elif not call.under_way and allowed:
            if call.ready:
                call.start(request, steady_ns)
            else:
                self.problem = f"nobody serves {call.name}"
