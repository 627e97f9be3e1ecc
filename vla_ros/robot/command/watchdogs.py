"""Is everybody alive? Ages are on steady time.

ROS timers stop with /clock, so silence is measured on the steady clock, without this process's own
pauses (`vla_ros.ros.awake`): only `TickWatch` notices those, whichever watchdog is asked first. A
lockstep simulation has no such thing as silence: there the caller passes simulated time.
"""

from __future__ import annotations

from vla_ros.robot.command.commands import StopReason

Alarm = tuple[StopReason, str]


class PlanWatch:
    """Do a run's plans keep coming? Armed by its first plan.

    Args:
        max_age_ns: How long after the end of the last plan the next may come, steady time, in [ns].
    """

    def __init__(self, max_age_ns: int) -> None:
        self._max_age_ns = max_age_ns
        self._due_steady_ns: int | None = None
        self._refused = ""

    def fed(self, left_ns: int, steady_ns: int) -> None:
        """A plan that lasts ``left_ns`` more was accepted."""
        self._due_steady_ns = steady_ns + max(0, left_ns) + self._max_age_ns
        self._refused = ""

    def refused(self, text: str) -> None:
        """A plan was refused, in words; the stop that may come of it repeats them."""
        self._refused = text

    def off(self) -> None:
        """No run, no expectation."""
        self._due_steady_ns = None
        self._refused = ""

    def alarm(self, steady_ns: int) -> Alarm | None:
        """Why to stop, if there is a reason."""
        if self._due_steady_ns is None or steady_ns <= self._due_steady_ns:
            return None
        late_s = (steady_ns - self._due_steady_ns + self._max_age_ns) / 1e9
        return (
            "plan_stale",
            f"the run's plan ended {late_s:.3f} s ago and no other came, expected one within "
            f"{self._max_age_ns / 1e9:.3f} s"
            f"{'; the last one was refused: ' + self._refused if self._refused else ''}; "
            "check the policy and the cameras, then resume",
        )


class TickWatch:
    """Does the bridge itself run as often as it should?

    Args:
        period_ns: One control period, in [ns].
        covered_ns: How long the robot goes on by what it last heard, in [ns].

    Attributes:
        misses: Ticks that came more than half a period late.
    """

    def __init__(self, period_ns: int, covered_ns: int) -> None:
        self._period_ns = period_ns
        self._covered_ns = covered_ns
        self._last_ns: int | None = None
        self.misses = 0

    @property
    def last_ns(self) -> int:
        """ROS time of the last tick, in [ns]; 0 before the first."""
        return self._last_ns or 0

    def forget(self) -> None:
        """Time jumped: the next tick is the first."""
        self._last_ns = None

    def went_back(self, now_ns: int) -> bool:
        """Whether time went back since the last tick."""
        return self._last_ns is not None and now_ns < self._last_ns

    def tick(self, now_ns: int) -> Alarm | None:
        """Take note of a tick.

        Returns:
            Why to stop, where the tick comes so late that the robot has braked by itself.
        """
        last_ns, self._last_ns = self._last_ns, now_ns
        gap_ns = 0 if last_ns is None else now_ns - last_ns
        if gap_ns > 1.5 * self._period_ns:
            self.misses += 1
        if gap_ns <= self._covered_ns:
            return None
        return (
            "deadline",
            f"the bridge did not run for {gap_ns / 1e9:.3f} s, expected every "
            f"{self._period_ns / 1e9:.3f} s: the robot has braked by itself; free the computer, "
            "then resume",
        )


class RestWatch:
    """Since when does the robot rest?

    Args:
        linger_ns: How long after coming to rest the last trajectory has been played, in [ns].
    """

    def __init__(self, linger_ns: int) -> None:
        self._linger_ns = linger_ns
        self._since_ns: int | None = None

    def restart(self) -> None:
        """It is about to move."""
        self._since_ns = None

    def note(self, at_rest: bool, now_ns: int) -> None:
        """Take note of a tick."""
        if not at_rest:
            self._since_ns = None
        elif self._since_ns is None:
            self._since_ns = now_ns

    def over(self, now_ns: int) -> bool:
        """Whether it has rested for so long that nothing more need be sent."""
        return self._since_ns is not None and now_ns - self._since_ns > self._linger_ns


class ClockWatch:
    """Does ROS time go on? Timers on ROS time stand still with it, so it is asked on steady time.

    Args:
        max_silence_ns: Longest steady time without a tick, in [ns].
    """

    def __init__(self, max_silence_ns: int) -> None:
        self._max_silence_ns = max_silence_ns
        self._last_ns: int | None = None

    def tick(self, steady_ns: int) -> None:
        """ROS time went on."""
        self._last_ns = steady_ns

    def since_ns(self, steady_ns: int) -> int:
        """Steady time since the last tick, in [ns]; 0 before the first."""
        return 0 if self._last_ns is None else max(0, steady_ns - self._last_ns)

    def alarm(self, steady_ns: int) -> Alarm | None:
        """Why to stop, if there is a reason."""
        silence_ns = self.since_ns(steady_ns)
        if silence_ns <= self._max_silence_ns:
            return None
        return (
            "clock",
            f"ROS time stood still for {silence_ns / 1e9:.3f} s, expected at most "
            f"{self._max_silence_ns / 1e9:.3f} s; check who publishes /clock, then resume",
        )
