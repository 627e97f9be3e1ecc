"""How people and the robot reach the control bridge: stop, resume, enable, e-stop, speed slider."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from std_msgs.msg import Bool, Empty
from std_srvs.srv import SetBool, Trigger
from vla_ros_msgs.srv import TakeOver

from vla_ros.chunks import Refusal
from vla_ros.robot.command.commander import Commander
from vla_ros.robot.spec.robot import EStopSpec, RobotSpec
from vla_ros.ros.lifecycle import VlaNode
from vla_ros.ros.speed_scaling import listen


class BridgeServices:
    """Services of the bridge, and the topics of emergency stop and speed slider.

    Args:
        node: Owner.
        commander: Gives the commander in force.
        steady_ns: Gives steady time, in [ns]; in lockstep simulated time.
        changed: Called after each service, so that the new state is published.
    """

    def __init__(
        self,
        node: VlaNode[Any],
        commander: Callable[[], Commander],
        steady_ns: Callable[[], int],
        changed: Callable[[], None],
    ) -> None:
        self._node = node
        self._commander = commander
        self._steady_ns = steady_ns
        self._changed = changed
        node.service(Trigger, "~/stop", self._on_stop)
        node.service(Trigger, "~/resume", self._on_resume)
        node.service(SetBool, "~/enable", self._on_enable)
        node.service(TakeOver, "~/take_over", self._on_take_over)

    def listen(self, spec: RobotSpec) -> None:
        """Hear emergency stop and speed slider; call it where the node activates."""
        listen(self._node, spec.speed_scaling, self._slid)
        if spec.estop is not None:
            self._hear(spec.estop)

    def _slid(self, value: float) -> None:
        now_ns, steady_ns = self._node.clock.now_ns(), self._steady_ns()
        self._commander().speed_scaling(value, now_ns, steady_ns)

    def _hear(self, estop: EStopSpec) -> None:
        if estop.kind == "bool":
            self._node.sensor(Bool, estop.topic, lambda m: self._heard(m.data), "estop")
            return

        def pressed(message: Empty) -> None:
            self._heard(True)
            self._heard(False)

        self._node.sensor(Empty, estop.topic, pressed, "estop")

    def _heard(self, pressed: bool) -> None:
        self._commander().estop(pressed, self._node.clock.now_ns(), self._steady_ns())

    def _on_stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        text = "stopped by the service ~/stop; call ~/resume to move again"
        self._commander().stop("operator", text, self._node.clock.now_ns())
        return self._answer(response, None)

    def _on_resume(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._answer(response, self._commander().resume(self._node.clock.now_ns()))

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        refusal = self._commander().enable(request.data, self._node.clock.now_ns())
        return self._answer(response, refusal)

    def _on_take_over(
        self, request: TakeOver.Request, response: TakeOver.Response
    ) -> TakeOver.Response:
        commander, now_ns = self._commander(), self._node.clock.now_ns()
        if request.lease_s > 0.0:
            lease_ns = round(request.lease_s * 1e9)
            refusal = commander.take_over(request.owner, lease_ns, now_ns, self._steady_ns())
        else:
            refusal = commander.give_back(request.owner, now_ns)
        return self._answer(response, refusal)

    def _answer(self, response: Any, refusal: Refusal | None) -> Any:
        response.success = refusal is None
        response.message = "" if refusal is None else refusal.text
        self._changed()
        return response
