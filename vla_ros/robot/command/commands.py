"""What the commander hands out: commands for the outputs, and reports about itself.

The fields are those of Commanded.msg and BridgeStatus.msg, with the same meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vla_ros.motion import TrajectoryWindow

Mode = Literal[
    "IDLE",
    "HOLDING",
    "RAMPING",
    "TRACKING",
    "BRAKING",
    "STOPPED",
    "EXTERNAL",
    "DRY_RUN",
]
"""IDLE: nothing is commanded (no joint state yet, or not enabled). HOLDING: at rest, in command.
RAMPING: on the way to a named pose or a far plan. TRACKING: executing a plan. BRAKING: decelerating
to rest. STOPPED: at rest until resume. EXTERNAL: somebody else commands. DRY_RUN: everything is
computed, nothing sent."""

StopReason = Literal[
    "none",
    "operator",
    "joint_state",
    "plan_stale",
    "tracking_error",
    "motion",
    "deadline",
    "stream",
    "estop",
    "clock",
    "clock_jump",
    "workspace",
    "deactivated",
]
"""operator: asked for. joint_state: joint states ceased. plan_stale: a run's chunks ceased.
tracking_error: the robot is not where it was sent. motion: a plan could not be executed within the
limits. deadline: the bridge itself did not run. stream: an input declared ``on_loss: stop``.
estop: pressed, or its heartbeat ceased. clock: ROS time stood still. clock_jump: it jumped.
workspace: the motion would leave the workspace. deactivated: the bridge goes down."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CommandedSample:
    """What was really commanded at one instant.

    Attributes:
        stamp_ns: Due time of the setpoint, ROS time, in [ns].
        run_id: Run of the plan being executed; 16 zero bytes when none is.
        epoch: Of the bridge.
        chunk_seq: Number of the plan being executed; 0 when none is.
        chunk_row: Fractional row of it; NaN when none is.
        spec_hash: Hash of the robot file.
        mode: What the bridge is doing.
        action: In the action vector's order: what a dataset stores. Shape (A,).
        reference: What the plan asked for, before smoothing and limits. Shape (A,).
        velocity: Of the position elements, in order, in [rad/s] or [m/s]. Shape (N,).
        acceleration: Of the position elements, in [rad/s^2] or [m/s^2]. Shape (N,).
        limited: Bits of what changed the plan: position 1, velocity 2, acceleration 4, jerk 8.
            Shape (A,), uint8.
        time_scale: Speed of the plan's time against the clock, in [0, 1]: 1 is as planned, 0.5
            takes twice as long; 0 only where the robot's speed slider says so.
        deviation: Largest |action - reference|, mixed units.
    """

    stamp_ns: int
    run_id: bytes
    epoch: int
    chunk_seq: int
    chunk_row: float
    spec_hash: int
    mode: Mode
    action: npt.NDArray[np.float64]
    reference: npt.NDArray[np.float64]
    velocity: npt.NDArray[np.float64]
    acceleration: npt.NDArray[np.float64]
    limited: npt.NDArray[np.uint8]
    time_scale: float
    deviation: float


@dataclass(frozen=True, kw_only=True)
class OutputReport:
    """One output, as in OutputStatus.msg.

    Attributes:
        name: From the robot file.
        controller: Kind of controller behind it.
        active: Whether commands are being sent to it.
        last_sent_ns: ROS time of the last command, in [ns]; 0 before the first.
        on_host_loss: What the robot side does when this computer dies.
        limited: Whether it obeys the limits of the robot file.
    """

    name: str
    controller: str
    active: bool
    last_sent_ns: int
    on_host_loss: str
    limited: bool


@dataclass(frozen=True, kw_only=True)
class BridgeReport:
    """State of the bridge, as in BridgeStatus.msg.

    Attributes:
        state: What it is doing.
        epoch: Raised at every stop, takeover, clock jump and activation.
        enabled: Whether it may move the robot.
        dry_run: Whether it computes without sending.
        owner: Who moves the robot: ``run <id>``, ``go_to <pose>``, another owner, or empty.
        stop_reason: Kind of the stop that holds the robot.
        stop_text: What, expected, got, what to do; empty without a stop.
        reset_required: Whether only a resume lets it move again.
        hindrance: Why commands would not be followed, else empty.
        buffer_left_s: How long the plans at hand last, in [s].
        deadline_misses: Ticks that came more than half a period late.
        chunks_accepted: Since the start.
        chunks_refused: Since the start.
        outputs: One for each output, in the robot file's order.
    """

    state: Mode
    epoch: int
    enabled: bool
    dry_run: bool
    owner: str
    stop_reason: StopReason
    stop_text: str
    reset_required: bool
    hindrance: str
    buffer_left_s: float
    deadline_misses: int
    chunks_accepted: int
    chunks_refused: int
    outputs: tuple[OutputReport, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Commands:
    """What to send after one tick.

    Attributes:
        windows: Output name and trajectory for each joint trajectory controller that is due; a
            gripper's has a single point.
        values: Output name and positions, velocities or efforts for each controller that is
            streamed to and due, in the order of its joints or axes.
        grips: Output name and joint position for each gripper action that is due.
        commanded: What is commanded now; None while nothing is.
        status_changed: Whether the bridge's report differs from that of the tick before in more
            than its counters.
    """

    windows: tuple[tuple[str, TrajectoryWindow], ...]
    values: tuple[tuple[str, npt.NDArray[np.float64]], ...]
    grips: tuple[tuple[str, float], ...]
    commanded: CommandedSample | None
    status_changed: bool
