"""How the bridge is, in a word and a sentence: what /diagnostics says about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vla_ros.robot.command.commands import BridgeReport


@dataclass(frozen=True, kw_only=True)
class Health:
    """One line for an operator.

    Attributes:
        level: ``ok``: it does what it was asked to. ``warn``: it works, but not as it should, or
            it waits for somebody. ``error``: a stop holds the robot.
        words: Why.
    """

    level: Literal["ok", "warn", "error"]
    words: str


def health_of(report: BridgeReport, misses_before: int) -> Health:
    """Judge the bridge's report.

    Args:
        report: As of now.
        misses_before: `deadline_misses` of the report before this one.
    """
    state = report.state.lower().replace("_", " ")
    if report.stop_reason != "none":
        return Health(level="error", words=f"{report.stop_reason}: {report.stop_text}")
    if not report.enabled:
        return Health(level="warn", words="not enabled; call enable to let the robot move")
    if report.hindrance:
        return Health(level="warn", words=f"the robot's side is not ready: {report.hindrance}")
    misses = report.deadline_misses - misses_before
    if misses > 0:
        return Health(
            level="warn",
            words=f"{state}; {misses} control periods began late since the last report: free the "
            "computer",
        )
    return Health(level="ok", words=state + (f", {report.owner}" if report.owner else ""))


def values_of(report: BridgeReport) -> dict[str, str | int | float | bool]:
    """What stands under the sentence, as key and value."""
    return {
        "state": report.state,
        "owner": report.owner,
        "stop reason": report.stop_reason,
        "plan left [s]": report.buffer_left_s,
        "control periods late": report.deadline_misses,
        "chunks accepted": report.chunks_accepted,
        "chunks refused": report.chunks_refused,
        **{f"limits of {o.name}": "none" for o in report.outputs if not o.limited},
    }
