"""What the server counts, in Prometheus's text format (exposition format 0.0.4)."""

from __future__ import annotations

from collections import Counter
from typing import Literal

Outcome = Literal["ok", "refused", "failed", "late"]
OUTCOMES: tuple[Outcome, ...] = ("ok", "refused", "failed", "late")
BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class _Histogram:
    def __init__(self) -> None:
        self._counts = [0] * len(BOUNDS_S)
        self._sum = 0.0
        self._count = 0

    def observe(self, value: float) -> None:
        self._sum += value
        self._count += 1
        for k, bound in enumerate(BOUNDS_S):
            self._counts[k] += value <= bound

    def lines(self, name: str) -> list[str]:
        buckets = [
            f'{name}_bucket{{le="{bound:g}"}} {count}'
            for bound, count in zip(BOUNDS_S, self._counts, strict=True)
        ]
        return [
            *buckets,
            f'{name}_bucket{{le="+Inf"}} {self._count}',
            f"{name}_sum {self._sum:.6f}",
            f"{name}_count {self._count}",
        ]


class Metrics:
    """Counts of one server; only its event loop touches them."""

    def __init__(self) -> None:
        self._requests: Counter[Outcome] = Counter()
        self._batched = 0
        self._infer = _Histogram()
        self._waited = _Histogram()

    def request(self, outcome: Outcome, waited_s: float | None = None) -> None:
        """One request is over; ``refused`` is the robot's fault, ``failed`` the policy's."""
        self._requests[outcome] += 1
        if waited_s is not None:
            self._waited.observe(waited_s)

    def batch(self, size: int, infer_s: float) -> None:
        """The policy worked once."""
        self._batched += size
        self._infer.observe(infer_s)

    def text(self, robots: int) -> str:
        """All of it."""
        outcomes = [f'{{outcome="{outcome}"}} {self._requests[outcome]}' for outcome in OUTCOMES]
        return "\n".join(
            [
                *_head("vla_requests_total", "counter", "Requests by outcome."),
                *(f"vla_requests_total{line}" for line in outcomes),
                *_head("vla_robots", "gauge", "Robots connected now."),
                f"vla_robots {robots}",
                *_head("vla_batched_requests_total", "counter", "Requests the policy worked on."),
                f"vla_batched_requests_total {self._batched}",
                *_head("vla_infer_seconds", "histogram", "One run of the policy, for one batch."),
                *self._infer.lines("vla_infer_seconds"),
                *_head("vla_wait_seconds", "histogram", "A request's time in the queue."),
                *self._waited.lines("vla_wait_seconds"),
                "",
            ]
        )


def _head(name: str, kind: str, what: str) -> list[str]:
    return [f"# HELP {name} {what}", f"# TYPE {name} {kind}"]
