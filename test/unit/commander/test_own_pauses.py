"""A bridge that did not run for a while: one reason, whichever watchdog is asked first."""

from __future__ import annotations

import itertools

import pytest
from bench import MS, TICK, Bench

from vla_ros.ros.awake import AwakeTime

PAUSE = 3_000 * MS


class Pausable(Bench):
    """The bench with the node's clock: silence is measured while the bridge runs."""

    def __init__(self) -> None:
        self.awake = AwakeTime()
        self.real = 0
        super().__init__()

    def tick(self, joints: bool = True):
        self.look(TICK)
        self.steady -= TICK  # the base class adds it
        return super().tick(joints)

    def look(self, later: int) -> None:
        """Steady time goes on and is looked at."""
        self.real += later
        self.steady = self.awake.at(self.real)

    def pause(self) -> None:
        """What SIGSTOP and SIGCONT do, a debugger, or a computer that is too busy."""
        self.now += PAUSE
        self.look(PAUSE)


def watch_clock(bench: Pausable) -> None:
    bench.commander.watch_clock(bench.steady)


def tick(bench: Pausable) -> None:
    bench.commander.tick(bench.now, bench.steady)


def hear_joints(bench: Pausable) -> None:
    bench.joints()


ORDERS = pytest.mark.parametrize(
    "order",
    list(itertools.permutations([watch_clock, tick, hear_joints])),
    ids=lambda order: ", ".join(work.__name__ for work in order),
)


@ORDERS
def test_in_motion_its_own_pause_is_the_reason(order) -> None:
    bench = Pausable()
    bench.start()
    bench.send()
    bench.ticks(25)
    bench.pause()
    for work in order:
        work(bench)
    assert bench.commander.stop_reason == "deadline"
    assert "did not run for 3.0" in bench.commander.stop_text


@ORDERS
def test_at_rest_its_own_pause_is_no_reason_to_stop(order) -> None:
    bench = Pausable()
    bench.pause()
    for work in order:
        work(bench)
    bench.ticks(5)
    assert bench.commander.stop_reason == "none"


def test_a_clock_that_is_lost_in_the_pause_is_noticed_after_it() -> None:
    bench = Pausable()
    bench.start()
    bench.send()
    bench.ticks(25)
    bench.look(PAUSE)
    watch_clock(bench)
    assert bench.commander.stop_reason == "none"
    for _ in range(5):
        bench.look(100 * MS)
        watch_clock(bench)
    assert bench.commander.stop_reason == "clock"


def test_joint_states_that_cease_in_the_pause_are_missed_after_it() -> None:
    bench = Pausable()
    bench.pause()
    bench.ticks(3, joints=False)
    assert bench.commander.report(bench.now).hindrance == ""
    bench.ticks(25, joints=False)
    assert "no joint state for" in bench.commander.report(bench.now).hindrance
