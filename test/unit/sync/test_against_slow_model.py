"""The synchroniser against a model that keeps everything and looks at everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from rig import MS, contract, picture, position, shown, streams, synchroniser

from vla_ros.spaces import Observation, TimeContract
from vla_ros.sync import Refusal, StreamConfig

PERIODS_MS = {"front": 50, "wrist": 33, "state": 8}


@dataclass
class SlowModel:
    """Samples in plain lists; matching by trying all of them."""

    contract: TimeContract
    configs: dict[str, StreamConfig]
    anchor: str
    samples: dict[str, dict[int, int]] = field(
        default_factory=lambda: {name: {} for name in PERIODS_MS}
    )
    used_ns: int = 0

    def push(self, stream: str, stamp_ns: int, now_ns: int) -> None:
        config = self.configs[stream]
        if config.clock == "receive":
            stamp_ns = now_ns - config.latency_ns
        elif stamp_ns > 0:
            stamp_ns -= config.latency_ns
        if 0 < stamp_ns <= now_ns + config.future_ns:
            self.samples[stream].setdefault(stamp_ns, now_ns)

    @property
    def others(self) -> list[str]:
        return [stream for stream in PERIODS_MS if stream != self.anchor]

    def due(self, stream: str, anchor_ns: int) -> int:
        latency = self.contract.image_latency_ns
        decision = anchor_ns + latency.get(self.anchor, 0)
        if stream == self.anchor:
            return anchor_ns
        if stream == "state":
            return anchor_ns if self.contract.state_at == "capture" else decision
        return decision - latency[stream]

    def observe(self, now_ns: int) -> tuple[int, dict[str, int] | str] | None:
        """Anchor and the stamps matched, or the stream that fails; None: wait."""
        for anchor_ns in sorted(self.samples[self.anchor], reverse=True):
            if anchor_ns <= self.used_ns:
                return None
            if all(self.ready(stream, anchor_ns, now_ns) for stream in self.others):
                self.used_ns = anchor_ns
                if now_ns - anchor_ns > 300 * MS:
                    return anchor_ns, self.anchor
                return anchor_ns, self.match(anchor_ns)
        return None

    def ready(self, stream: str, anchor_ns: int, now_ns: int) -> bool:
        due, arrival = self.due(stream, anchor_ns), self.samples[self.anchor][anchor_ns]
        waited = now_ns >= max(due, arrival) + self.configs[stream].wait_ns
        return waited or any(stamp >= due for stamp in self.samples[stream])

    def match(self, anchor_ns: int) -> dict[str, int] | str:
        matched, held, lost = {self.anchor: anchor_ns}, set[str](), list[str]()
        for stream in self.others:
            due, config = self.due(stream, anchor_ns), self.configs[stream]
            near = [s for s in self.samples[stream] if abs(s - due) <= config.tolerance_ns]
            at_or_before = [s for s in self.samples[stream] if s <= due]
            found = None
            if config.strategy == "nearest":
                found = min(near, key=lambda s: (abs(s - due), s), default=None)
            elif config.strategy == "before":
                found = max((s for s in near if s <= due), default=None)
            elif any(s <= due for s in near) and any(s >= due for s in near):
                found = due
            if found is None and config.on_loss == "hold":
                found = max((s for s in at_or_before if due - s <= config.max_age_ns), default=None)
                held.add(stream)
            if found is None:
                lost.append(stream)
            else:
                matched[stream] = found
        if lost:  # what stops the robot is said first
            return min(lost, key=lambda stream: self.configs[stream].on_loss != "hold")
        off = {name: stamp - self.due(name, anchor_ns) for name, stamp in matched.items()}
        for other, pair_ns in self.configs["wrist"].pairs.items():
            if not {"wrist", other} & held and abs(off["wrist"] - off[other]) > pair_ns:
                return "wrist"
        return matched


@st.composite
def arrivals(draw: st.DrawFn) -> list[tuple[int, str, int]]:
    """(arrival, stream, stamp) with jitter, drops, duplicates, reordering and lying stamps."""
    events = []
    for stream, period_ms in PERIODS_MS.items():
        phase_ms = draw(st.integers(0, period_ms))
        loss = draw(st.sampled_from([0, 1, 5]))
        for k in range(1, 400 // period_ms):
            stamp = (k * period_ms + phase_ms + draw(st.integers(0, 2))) * MS
            if draw(st.integers(1, 10)) <= loss:
                continue
            for _ in range(draw(st.sampled_from([1, 1, 1, 1, 2]))):
                events.append((stamp + draw(st.integers(0, 60)) * MS, stream, stamp))
    for _ in range(draw(st.integers(0, 3))):
        lie = draw(st.sampled_from([0, -1, 10**13]))
        events.append(
            (draw(st.integers(1, 600)) * MS, draw(st.sampled_from(["front", "state"])), lie)
        )
    return sorted(events)


@settings(max_examples=60, deadline=None)
@given(
    events=arrivals(),
    latency_ms=st.tuples(st.integers(0, 90), st.integers(0, 90)),
    state_at=st.sampled_from(["capture", "decision"]),
    wrist=st.sampled_from(["nearest", "before"]),
    state=st.sampled_from(["interpolate", "nearest", "before"]),
    anchor=st.sampled_from(list(PERIODS_MS)),
    holds=st.sets(st.sampled_from(["wrist", "state"])),
    clock=st.sampled_from(["header", "receive"]),
    late_ms=st.sampled_from([0, 5, 40]),
    pairs_ms=st.dictionaries(
        st.sampled_from(["front", "state"]), st.sampled_from([3, 10]), max_size=2
    ),
    tick_ms=st.sampled_from([7, 10, 50]),
)
def test_any_interleaving_gives_the_best_matched_set(
    events: list[tuple[int, str, int]],
    latency_ms: tuple[int, int],
    state_at: str,
    wrist: str,
    state: str,
    anchor: str,
    holds: set[str],
    clock: str,
    late_ms: int,
    pairs_ms: dict[str, int],
    tick_ms: int,
) -> None:
    held = {"on_loss": "hold", "max_age_ns": 60 * MS}
    pairs = {other: within * MS for other, within in pairs_ms.items()}
    timing = {"clock": clock, "latency_ns": late_ms * MS}
    changes: dict[str, dict[str, Any]] = {
        "wrist": {"strategy": wrist, "pairs": pairs, **timing},
        "state": {"strategy": state},
    }
    for stream in holds:
        changes[stream] |= held
    time_contract = contract(
        image_latency_ns={"front": latency_ms[0] * MS, "wrist": latency_ms[1] * MS},
        state_at=state_at,
    )
    sync = synchroniser(time_contract, anchor, **changes)
    configs = {config.name: config for config in streams(**changes)}
    model = SlowModel(time_contract, configs, anchor)
    pending = list(events)
    for now_ns in range(tick_ms * MS, 900 * MS, tick_ms * MS):
        while pending and pending[0][0] <= now_ns:
            arrival, stream, stamp = pending.pop(0)
            taken = arrival if stream == "wrist" and clock == "receive" else stamp
            taken -= late_ms * MS if stream == "wrist" and taken > 0 else 0
            value = position(stamp) if stream == "state" else picture(taken)
            sync.push(stream, stamp, value, arrival)
            model.push(stream, stamp, arrival)
        seen, expected = sync.observe(now_ns), model.observe(now_ns)
        if expected is None:
            # The anchor's silence is the only thing said while nothing is new.
            assert seen is None or (isinstance(seen, Refusal) and seen.stream == anchor)
        elif isinstance(expected[1], str):
            assert isinstance(seen, Refusal)
            assert seen.stream == expected[1]
        else:
            assert isinstance(seen, Observation)
            assert seen.t_obs_ns == expected[0]
            assert {**seen.image_stamps_ns, "state": seen.state_stamp_ns} == expected[1]
            assert {k: shown(rgb) for k, rgb in seen.images.items()} == seen.image_stamps_ns
            np.testing.assert_allclose(
                seen.state, position(seen.state_stamp_ns), rtol=1e-9, atol=1e-9
            )


def test_an_hour_of_samples_needs_no_more_memory_than_a_minute() -> None:
    sync = synchroniser(state={"history_count": 64, "history_age_ns": 100 * MS})
    for t in range(1, 20_001, 2):
        sync.push("state", t * MS, position(t), t * MS)
    history = sync._tracks["state"]._history
    assert len(history.stamps) == len(history.values) <= 51
