"""What one topic looked like to somebody who listened for a while, and what to mend."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.markup import escape
from rich.table import Table

FOREIGN_S = 1.0  # no driver is that late
SLOW = 0.8  # a stream below this share of its nominal rate is not healthy


@dataclass(kw_only=True)
class Listened:
    """What arrived on one topic while the doctor listened.

    Attributes:
        topic: its full name.
        rate_hz: nominal rate; 0 when the topic speaks only on change.
        mend: what to do when nothing arrives.
        ages_s: age of each message at arrival, by its header stamp [s].
        publishers: how many there are.
        problem: what is wrong with them or with what they say, in words.
    """

    topic: str
    rate_hz: float
    mend: str
    ages_s: list[float] = field(default_factory=list)
    publishers: int = 0
    problem: str | None = None

    def verdict(self, seconds: float) -> tuple[bool, str]:
        """(healthy, words)."""
        measured = len(self.ages_s) / seconds
        if self.publishers == 0:
            return False, f"nobody publishes it: {self.mend}"
        if self.problem is not None:
            return False, self.problem
        if not self.ages_s:
            return False, "published but nothing arrives: compare QoS, network and load"
        if self.rate_hz and measured < SLOW * self.rate_hz:
            return False, f"slow: expected {self.rate_hz:g} Hz; is the host loaded?"
        if min(self.ages_s) > FOREIGN_S:
            return False, (
                f"stamps are {min(self.ages_s):.1f} s old and more: another clock (chrony, "
                "use_sim_time), no clock (clock: receive in the robot file), or a long queue"
            )
        if max(self.ages_s) < -0.001:
            return False, "stamps lie in the future: the clocks differ (chrony, use_sim_time)"
        return True, "ok"


def table_of(streams: list[Listened], seconds: float) -> Table:
    """One row per stream."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for title, side in (
        ("", "left"),
        ("topic", "left"),
        ("rate", "right"),
        ("age", "right"),
        ("", "left"),
    ):
        table.add_column(title, justify=side)  # type: ignore[arg-type]
    for stream in streams:
        good, words = stream.verdict(seconds)
        age = (
            f"{sorted(stream.ages_s)[len(stream.ages_s) // 2] * 1e3:.0f} ms"
            if stream.ages_s
            else ""
        )
        rate = f"{len(stream.ages_s) / seconds:.1f} Hz" if stream.ages_s else ""
        table.add_row(
            "[green]✓[/]" if good else "[red]✗[/]",
            stream.topic,
            rate,
            age,
            "" if good else escape(words),
        )
    return table
