"""How each stream took part in the newest observation, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from vla_ros.spaces import StreamReport

GOOD = ("OK", "INTERPOLATED")


def observed_table(streams: Sequence[StreamReport]) -> Table:
    """One row per stream.

    Args:
        streams: Those of one observation.
    """
    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in ("", "stream", "sample"):
        table.add_column(title)
    for title in ("off", "age", "rate", "dropped"):
        table.add_column(title, justify="right")
    for stream in streams:
        table.add_row(
            "[green]✓[/]" if stream.state in GOOD else "[yellow]![/]",
            stream.name,
            stream.state,
            f"{stream.offset_ns * 1e-6:+.1f} ms",
            f"{stream.age_ns * 1e-6:.0f} ms",
            f"{stream.rate_hz:.1f} Hz",
            str(stream.drops),
        )
    return table
