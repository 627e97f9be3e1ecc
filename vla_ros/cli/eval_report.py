"""What `vla eval` says: rates with their intervals, kept in a file from the first trial on."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vla_ros.cli.wilson import Z95, wilson_interval
from vla_ros.errors import VlaError

Results = Sequence[Mapping[str, Any]]


class ReportError(VlaError):
    """A report that cannot be written, read or compared."""


class Report:
    """Grows trial by trial; what is on disk is whole at any moment.

    Args:
        about: What was tried; written first.
        path: Of the JSON file; None: none.

    Raises:
        ReportError: The file's folder cannot be made.
    """

    def __init__(self, about: Mapping[str, Any], path: Path | None) -> None:
        self._about = dict(about)
        self._path = path
        self.results: list[dict[str, Any]] = []
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ReportError(f"{path}: {error.strerror}; give another --json") from error

    def add(self, result: dict[str, Any]) -> None:
        """One more trial."""
        self.results.append(result)
        if self._path is None:
            return
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        draft.write_text(json.dumps(self.summary(), indent=2) + "\n", encoding="utf-8")
        draft.replace(self._path)

    def summary(self) -> dict[str, Any]:
        """The report as the file has it."""
        done = self.results
        found = {**_rate(done), **self._about}
        # Every trial lasts about as long, so the mean of the factors will do.
        found["real_time_factor"] = sum(r["real_time_factor"] for r in done) / max(1, len(done))
        if any("role" in r for r in done):
            found["obeyed"] = {
                role: _rate([r for r in done if r["role"] == role]) for role in ("A", "B")
            }
            found["did_the_other_task"] = _rate(done, lambda r: bool(r["other_done"]))
        if any("binned" in r for r in done):
            counts = Counter(r["binned"] for r in done)
            found["scenes_by_cubes_binned"] = {str(k): counts[k] for k in sorted(counts)}
        return {**found, "results": done}

    def lines(self) -> list[str]:
        """The report for people: the rates, then every trial that failed."""
        found = self.summary()
        lines = [f"[bold]{_words(found)}[/], {found['real_time_factor']:.2f} simulated s per s"]
        for role, rate in found.get("obeyed", {}).items():
            lines.append(f"  told {role}: {_words(rate)}")
        if "did_the_other_task" in found:
            lines.append(f"  did the other task: {_words(found['did_the_other_task'])}")
        if "scenes_by_cubes_binned" in found:
            counts = found["scenes_by_cubes_binned"].items()
            lines.append("  cubes binned: " + ", ".join(f"{k} in {n} scenes" for k, n in counts))
        for result in self.results:
            if not result["success"]:
                lines.append(f'  seed {result["seed"]}, "{result["prompt"]}": {result["reason"]}')
        return lines


def read_results(path: Path) -> list[dict[str, Any]]:
    """The trials of an earlier report.

    Raises:
        ReportError: It is none.
    """
    try:
        results = json.loads(path.read_text(encoding="utf-8"))["results"]
        _by_trial(results)
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ReportError(
            f"{path}: expected a report of `vla eval --json` with seed, task and success of each "
            f"trial; {type(error).__name__}: {error}"
        ) from error
    return list(results)


def paired(results: Results, earlier: Results) -> dict[str, Any]:
    """How two runs differ in the trials that both have.

    Returns:
        `pairs`, `successes` and `earlier_successes` in them, `only_now` and `only_earlier` (where
        they differ), `difference` of the rates, and its 95 % `interval`, after Agresti and Min,
        "Simple improved confidence intervals for comparing matched proportions" (2005).

    Raises:
        ReportError: They have no trial in common.
    """
    now, before = _by_trial(results), _by_trial(earlier)
    common = now.keys() & before.keys()
    if not common:
        raise ReportError("the two reports have no trial (seed and task) in common")
    n = len(common)
    only_now = sum(now[k] and not before[k] for k in common)
    only_earlier = sum(before[k] and not now[k] for k in common)
    b, c, m = only_now + 0.5, only_earlier + 0.5, n + 2.0
    spread = Z95 * math.sqrt(b + c - (b - c) ** 2 / m) / m
    return {
        "pairs": n,
        "successes": sum(now[k] for k in common),
        "earlier_successes": sum(before[k] for k in common),
        "only_now": only_now,
        "only_earlier": only_earlier,
        "difference": (only_now - only_earlier) / n,
        "interval": [(b - c) / m - spread, (b - c) / m + spread],
    }


def paired_words(found: Mapping[str, Any]) -> str:
    """`paired` in one sentence."""
    low, high = found["interval"]
    return (
        f"{found['pairs']} trials in both: {found['successes']} succeeded now, "
        f"{found['earlier_successes']} earlier ({found['only_now']} only now, "
        f"{found['only_earlier']} only earlier): {100 * found['difference']:+.1f} points, "
        f"95 % interval {100 * low:+.1f} to {100 * high:+.1f}"
    )


def _by_trial(results: Results) -> dict[tuple[int, str], bool]:
    return {(int(r["seed"]), str(r["task"])): bool(r["success"]) for r in results}


def _succeeded(result: Mapping[str, Any]) -> bool:
    return bool(result["success"])


def _rate(
    results: Results, good: Callable[[Mapping[str, Any]], bool] = _succeeded
) -> dict[str, Any]:
    count = sum(map(good, results))
    interval = list(wilson_interval(count, len(results))) if results else None
    return {"episodes": len(results), "successes": count, "interval": interval}


def _words(rate: Mapping[str, Any]) -> str:
    if not rate["episodes"]:
        return "no trial"
    low, high = rate["interval"]
    count = f"{rate['successes']} of {rate['episodes']}"
    return f"{count}, 95 % interval {low:.3f} to {high:.3f}"
