"""What /diagnostics says about the bridge."""

from __future__ import annotations

from dataclasses import replace

import pytest
from robots import arm

from vla_ros.robot.command.commander import Commander
from vla_ros.robot.command.commands import BridgeReport
from vla_ros.robot.command.health import health_of, values_of


@pytest.fixture
def report() -> BridgeReport:
    return Commander(arm(), start_enabled=True).report(0)


def test_a_bridge_that_does_what_it_should_is_ok_and_names_the_owner(report):
    health = health_of(replace(report, state="TRACKING", owner="run 12345678"), 0)
    assert health.level == "ok"
    assert health.words == "tracking, run 12345678"


def test_a_stop_is_an_error_in_its_own_words(report):
    stopped = replace(report, stop_reason="tracking_error", stop_text="joint1 is 0.4 away")
    health = health_of(stopped, 0)
    assert health.level == "error"
    assert health.words == "tracking_error: joint1 is 0.4 away"


def test_a_closed_gate_is_a_warning_that_says_what_to_call(report):
    health = health_of(replace(report, enabled=False), 0)
    assert health.level == "warn"
    assert "call enable" in health.words


def test_only_new_late_periods_are_a_warning(report):
    late = replace(report, deadline_misses=7)
    assert health_of(late, 7).level == "ok"
    assert health_of(late, 5).level == "warn"
    assert "2 control periods" in health_of(late, 5).words


def test_the_values_have_the_age_of_the_plan_and_the_counts(report):
    values = values_of(replace(report, buffer_left_s=0.4, chunks_refused=3))
    assert values["plan left [s]"] == 0.4
    assert values["chunks refused"] == 3


def test_a_bridge_that_waits_for_controllers_says_which(report):
    health = health_of(replace(report, hindrance="'arm' is inactive, expected active"), 0)
    assert health.level == "warn"
    assert "'arm' is inactive" in health.words
