"""Does this checkpoint fit this robot? Every mismatch at once, before anything moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vla_ros.errors import VlaError
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.spaces import STATE_ANCHOR, Observation, TimeContract


class PolicyMismatchError(VlaError):
    """A policy and a robot do not fit; the text lists every reason with what to do."""


class PolicyNeeds(Protocol):
    """What is checked of a policy's spec."""

    @property
    def name(self) -> str:
        """Kind of policy."""
        ...

    @property
    def camera_keys(self) -> tuple[str, ...]:
        """Images it reads."""
        ...

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of those images [px]."""
        ...

    @property
    def state_names(self) -> tuple[str, ...]:
        """State elements in order."""
        ...

    @property
    def action_names(self) -> tuple[str, ...]:
        """Action elements in order."""
        ...

    @property
    def horizon(self) -> int:
        """Rows of one chunk."""
        ...

    @property
    def contract(self) -> TimeContract:
        """Time contract of its training data."""
        ...


def check_policy(spec: RobotSpec, policy: PolicyNeeds) -> None:
    """Refuse a policy that cannot drive this robot.

    Raises:
        PolicyMismatchError: lists every mismatch of cameras, image size, names, order and time.
    """
    problems = [
        *_cameras(spec, policy),
        *_names("state", spec.state_space().names, policy.state_names, "state.joints"),
        *_names("action", spec.action_space().names, policy.action_names, "action"),
        *_time(spec, policy),
    ]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise PolicyMismatchError(
            f"policy '{policy.name}' does not fit robot '{spec.name}':\n{listed}"
        )


def _cameras(spec: RobotSpec, policy: PolicyNeeds) -> list[str]:
    problems = []
    for key in policy.camera_keys:
        if key not in spec.camera_keys:
            problems.append(
                f"camera '{key}': the policy needs it; the robot has "
                f"{', '.join(spec.camera_keys) or 'none'}; rename a camera's key in the robot file"
            )
            continue
        camera = spec.camera(key)
        if (camera.height, camera.width) != tuple(policy.image_size):
            height, width = policy.image_size
            problems.append(
                f"camera '{key}': the policy was trained on {width}x{height} (width x height), "
                f"the robot file makes {camera.width}x{camera.height}; set width and height "
                "(and the crop) as in the training data"
            )
    return problems


def _names(what: str, have: Sequence[str], need: Sequence[str], where: str) -> list[str]:
    if tuple(have) == tuple(need):
        return []
    text = f"{what}: the policy has {len(need)} elements {list(need)}, the robot {len(have)} "
    text += f"{list(have)}"
    missing = [name for name in need if name not in have]
    extra = [name for name in have if name not in need]
    if missing:
        text += f"; the robot lacks {', '.join(missing)}"
    if extra:
        text += f"; the policy does not know {', '.join(extra)}"
    if not missing and not extra:
        text += "; the order differs"
    return [f"{text}; mend {where} in the robot file, or use a checkpoint for this robot"]


def _time(spec: RobotSpec, policy: PolicyNeeds) -> list[str]:
    contract = policy.contract
    problems = [
        f"time contract: it has no image latency for camera '{key}', which the "
        f"{'policy reads' if key in policy.camera_keys else 'robot synchronises'}; add it under "
        "image_latency_s"
        for key in dict.fromkeys((*policy.camera_keys, spec.anchor, *spec.camera_keys))
        if key not in contract.image_latency_ns and key != STATE_ANCHOR
    ]
    if contract.dt_ns < spec.rates.control_period_ns:
        problems.append(
            f"time contract: rows are {contract.dt_ns * 1e-9:.4f} s apart, closer than the control "
            f"period of {spec.rates.control_period_ns * 1e-9:.4f} s; raise rates.control_hz"
        )
    if policy.horizon < 1:
        problems.append(f"horizon: {policy.horizon} rows; expected at least 1")
    return problems


class OriginMismatch(VlaError):
    """An observation of another robot file, or under another time contract."""


def check_origin(
    observation: Observation, made_with: int, robot: int, anchor: str, contract: TimeContract
) -> None:
    """Refuse an observation of another robot, or not timed as the policy was trained.

    Args:
        observation: What is checked.
        made_with: ``spec_hash`` of the robot file it was made with.
        robot: ``spec_hash`` of ours.
        anchor: Anchor stream of ours.
        contract: Of the policy.

    Raises:
        OriginMismatch: the node that made it was started with other parameters.
    """
    if made_with != robot:
        raise OriginMismatch(
            f"observation made with robot file {made_with:#018x}, expected {robot:#018x}: "
            "ignored; start every node with the same robot file"
        )
    captured_ns = observation.t_obs_ns
    got_ns, due_ns = observation.start_ns, contract.start_ns(anchor, captured_ns)
    if got_ns != due_ns:
        raise OriginMismatch(
            f"observation whose first action is due {(got_ns - captured_ns) * 1e-9:.3f} s after "
            f"its capture, expected {(due_ns - captured_ns) * 1e-9:.3f} s by the policy's time "
            "contract: ignored; start observation_sync with the same 'policy' parameter"
        )
