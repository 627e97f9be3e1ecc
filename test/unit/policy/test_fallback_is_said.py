"""Where a chunk is not joined as set, or the run is slowed down, diagnostics say so and why."""

from __future__ import annotations

import pytest

from vla_ros.policy.job import RunStats

policy_setup = pytest.importorskip("vla_ros.nodes.policy_setup", reason="needs rclpy")


class Said:
    """What was told to diagnostics."""

    def __init__(self) -> None:
        self.values: dict = {}
        self.level = self.words = ""

    def set(self, level: str, words: str) -> None:
        self.level, self.words = level, words


def told(**stats) -> Said:
    said = Said()
    policy_setup.tell(said, RunStats(chunks=9, **stats), "weights 12ab")
    return said


def test_a_chunk_joined_as_set_is_fine():
    said = told(aggregation="rtc", delay_steps=4)
    assert (said.level, said.words) == ("ok", "weights 12ab")
    assert said.values["aggregation"] == "rtc"
    assert said.values["delay [rows]"] == 4


def test_a_fallback_is_a_warning_with_its_reason_and_is_counted():
    why = "blend instead of rtc: the answer is expected 30 rows after its start"
    said = told(aggregation="blend", fallback=why, fallbacks=3)
    assert (said.level, said.words) == ("warn", why)
    assert said.values["aggregation"] == "blend"
    assert said.values["chunks not joined as set"] == 3


def test_a_run_slowed_down_by_inference_is_a_warning():
    said = told(stretch=1.4)
    assert said.level == "warn"
    assert "1.40 times slower" in said.words
    assert said.values["slowed by inference"] == 1.4
