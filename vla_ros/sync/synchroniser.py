"""One observation per decision: every stream at the instant the time contract asks for.

The anchor (a camera, or the state of a robot without one) sets the instant; each other stream
is matched at its own due time. An observation waits, up to a bound, for samples that can still
arrive, and is refused in words where a part would have to be invented. The object is pure: it is
fed (stream, stamp, value, now) and never reads a clock, so a recording replayed through it gives
the observations that the live node gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError
from vla_ros.spaces import STATE_ANCHOR, Observation, StreamReport, StreamState, TimeContract
from vla_ros.sync.frozen import Frame, FrozenDetector
from vla_ros.sync.history import History, PushResult
from vla_ros.sync.matching import STRATEGIES, Match, before
from vla_ros.sync.refusal import Refusal
from vla_ros.sync.stream import StreamConfig

Value = Frame | npt.NDArray[np.float64]


class SyncError(VlaError):
    """The synchroniser is configured or fed in a way that cannot work."""


@dataclass(slots=True)
class _Stream:
    config: StreamConfig
    history: History[tuple[Value, int]]  # value and arrival time
    frozen: FrozenDetector | None
    refused: int = 0  # refused before they reached the history
    repeats: int = 0  # repeated stamps since the last new one
    state: StreamState = "MISSING"

    @property
    def drops(self) -> int:
        return self.history.drops + self.refused


@dataclass(frozen=True, slots=True)
class _Part:
    state: StreamState
    stamp_ns: int
    value: Value


class Synchroniser:
    """Matches streams to the anchor under a time contract.

    Args:
        contract: due times of the streams relative to the anchor.
        anchor: name of the stream whose stamps become observations.
        streams: every stream, cameras and ``state``.
        max_age_ns: oldest anchor that may become an observation, and the longest silence of the
            anchor before it is reported.

    Raises:
        SyncError: the anchor or the state stream is missing, or a name repeats.
        TimeContractError: the contract does not know a camera.
    """

    def __init__(
        self,
        contract: TimeContract,
        anchor: str,
        streams: Sequence[StreamConfig],
        *,
        max_age_ns: int,
    ) -> None:
        names = [config.name for config in streams]
        if len(set(names)) != len(names):
            raise SyncError(f"stream names repeat: {', '.join(names)}; each may occur once")
        for needed in (anchor, STATE_ANCHOR):
            if needed not in names:
                raise SyncError(f"no stream '{needed}'; expected it among {', '.join(names)}")
        for name in names:
            contract.latency_ns(name)
        self._contract = contract
        self._anchor = anchor
        self._max_age_ns = max_age_ns
        ordered = sorted(streams, key=lambda config: config.name != anchor)
        self._streams = {config.name: _make(config) for config in ordered}
        self._seq = 0
        self._clock_jumps = 0
        self._now_ns = 0
        self._last_used_ns = 0
        self._heard_ns: int | None = None  # last new anchor, or the last report of its silence
        self._heard_any = False

    @property
    def clock_jumps(self) -> int:
        """How often time ran backwards and the histories were cleared."""
        return self._clock_jumps

    def push(self, stream: str, stamp_ns: int, value: Value, now_ns: int) -> PushResult:
        """Take one sample in: a ``Frame`` of a camera, or the state float64 (S,).

        Returns:
            ``added``, or why the sample was refused; refused samples are counted.
        """
        self._advance(now_ns)
        target = self._stream(stream)
        result = target.history.push(stamp_ns, (value, now_ns), now_ns)
        if result == "added":
            target.repeats = 0
        elif result == "duplicate":
            target.repeats += 1
        return result

    def count_refused(self, stream: str) -> None:
        """Count a sample that was refused before it could be pushed."""
        self._stream(stream).refused += 1

    def clear(self) -> None:
        """Forget all samples: after a clock jump nothing from before may be matched."""
        for stream in self._streams.values():
            stream.history.clear()
            stream.repeats = 0
            stream.state = "MISSING"
            if stream.frozen is not None:
                stream.frozen.clear()
        self._last_used_ns = 0
        self._heard_ns = None
        self._heard_any = False

    def observe(self, now_ns: int) -> Observation | Refusal | None:
        """The newest complete observation, why there is none, or None while nothing is new."""
        self._advance(now_ns)
        anchors = self._streams[self._anchor].history
        for index in range(len(anchors.stamps) - 1, -1, -1):
            stamp_ns = anchors.stamps[index]
            if stamp_ns <= self._last_used_ns:
                break
            self._heard_any = True
            if self._complete(stamp_ns, anchors.values[index][1], now_ns):
                self._last_used_ns = stamp_ns
                self._heard_ns = now_ns
                return self._build(index, now_ns)
        return self._silence(now_ns)

    def reports(self, now_ns: int) -> tuple[StreamReport, ...]:
        """Every stream as it stands now, anchor first; offsets are 0 outside an observation."""
        reports = []
        for name, stream in self._streams.items():
            newest = stream.history.newest_ns
            state = stream.state
            if newest is None:
                state = "MISSING"
            elif now_ns - newest > self._silence_limit_ns(stream.config):
                state = "FROZEN" if stream.repeats else "STALE"
            reports.append(_report(name, state, newest or 0, 0, now_ns, stream.drops))
        return tuple(reports)

    def _stream(self, name: str) -> _Stream:
        try:
            return self._streams[name]
        except KeyError:
            raise SyncError(
                f"stream '{name}' is unknown; expected one of {', '.join(self._streams)}"
            ) from None

    def _advance(self, now_ns: int) -> None:
        if now_ns < self._now_ns - self._streams[self._anchor].config.future_ns:
            self._clock_jumps += 1
            self.clear()
            self._now_ns = now_ns
        self._now_ns = max(self._now_ns, now_ns)
        if self._heard_ns is None:
            self._heard_ns = now_ns

    def _due_ns(self, name: str, anchor_ns: int) -> int:
        if name == self._anchor:
            return anchor_ns
        if name == STATE_ANCHOR:
            return self._contract.state_due_ns(self._anchor, anchor_ns)
        decision_ns = self._contract.decision_ns(self._anchor, anchor_ns)
        return self._contract.image_due_ns(name, decision_ns)

    def _complete(self, anchor_ns: int, arrival_ns: int, now_ns: int) -> bool:
        for name, stream in self._streams.items():
            due_ns = self._due_ns(name, anchor_ns)
            newest = stream.history.newest_ns
            if newest is not None and newest >= due_ns:
                continue
            if now_ns < max(arrival_ns, due_ns) + stream.config.wait_ns:
                return False
        return True

    def _build(self, anchor_index: int, now_ns: int) -> Observation | Refusal:
        anchor_ns = self._streams[self._anchor].history.stamps[anchor_index]
        if now_ns - anchor_ns > self._max_age_ns:
            return self._refuse(
                self._anchor,
                "STALE",
                what="the newest sample is too old",
                expected=f"an age of at most {_s(self._max_age_ns)}",
                got=_s(now_ns - anchor_ns),
                do="check the load, the network and the clocks of the hosts",
            )
        parts: dict[str, _Part] = {}
        refusals: list[Refusal] = []
        for name in self._streams:
            part = self._part(name, anchor_ns)
            if isinstance(part, Refusal):
                refusals.append(part)
            else:
                parts[name] = part
        if not refusals:
            refusals = self._check_frozen(parts)
        if refusals:
            return min(refusals, key=lambda refusal: refusal.consequence != "stop")
        return self._observation(anchor_ns, parts, now_ns)

    def _part(self, name: str, anchor_ns: int) -> _Part | Refusal:
        stream = self._streams[name]
        config, stamps = stream.config, stream.history.stamps
        due_ns = self._due_ns(name, anchor_ns)
        state: StreamState = "OK"
        if name == self._anchor:
            match = before(stamps, due_ns, 0)
        else:
            match = STRATEGIES[config.strategy](stamps, due_ns, config.tolerance_ns)
        if match is None and config.on_loss == "hold":
            match = before(stamps, due_ns, config.max_age_ns)
            state = "HELD"
        if match is None:
            return self._lost(stream, due_ns)
        if match.left != match.right:
            state = "INTERPOLATED"
        stream.state = state
        return _Part(state, match.stamp_ns, _value(stream, match))

    def _check_frozen(self, parts: dict[str, _Part]) -> list[Refusal]:
        refusals = []
        position = cast(npt.NDArray[np.float64], parts[STATE_ANCHOR].value)
        for name, part in parts.items():
            stream = self._streams[name]
            detector = stream.frozen
            if detector is None or not isinstance(part.value, Frame):
                continue
            if not detector.check(part.value, part.stamp_ns, position):
                continue
            parts[name] = _Part("FROZEN", part.stamp_ns, part.value)
            stream.state = "FROZEN"
            frozen_ns = part.stamp_ns - detector.since_ns
            if stream.config.on_loss == "hold" and frozen_ns <= stream.config.max_age_ns:
                continue
            refusals.append(
                self._refuse(
                    name,
                    "FROZEN",
                    what="the picture does not change while the robot moves",
                    expected=f"new pixels after {stream.config.frozen_motion} rad or m of motion",
                    got=f"identical pixels for {_s(frozen_ns)}",
                    do=f"restart the camera driver behind {stream.config.source or name}",
                )
            )
        return refusals

    def _lost(self, stream: _Stream, due_ns: int) -> Refusal:
        config, stamps = stream.config, stream.history.stamps
        where = config.source or config.name
        if not stamps:
            return self._refuse(
                config.name,
                "MISSING",
                what="no sample has arrived",
                expected=f"samples on {where}",
                got="none",
                do=f"check that {where} is published and its QoS fits",
            )
        offset_ns = min((stamp - due_ns for stamp in stamps), key=abs)
        allowed = f"within {_s(config.tolerance_ns)} of its due time"
        if config.on_loss == "hold":
            allowed += f", or held for at most {_s(config.max_age_ns)}"
        frozen = stream.repeats > 0
        return self._refuse(
            config.name,
            "FROZEN" if frozen else "STALE",
            what="the same stamp is repeated" if frozen else "no sample is close enough",
            expected=f"a sample {allowed} ({config.strategy})",
            got=f"the nearest is {_s(offset_ns, sign=True)} off",
            do=f"check the rate and the stamps of {where}",
        )

    def _silence(self, now_ns: int) -> Refusal | None:
        stream = self._streams[self._anchor]
        limit_ns = self._silence_limit_ns(stream.config)
        newest = stream.history.newest_ns
        heard_ns = self._heard_ns if self._heard_ns is not None else now_ns
        if (newest is not None and newest > self._last_used_ns) or now_ns - heard_ns <= limit_ns:
            return None
        self._heard_ns = now_ns
        where = stream.config.source or self._anchor
        if not self._heard_any:
            # Nothing runs on a stream that has never spoken: there is nothing to stop.
            stream.state = "MISSING"
            return Refusal(
                stream=self._anchor,
                what="no sample has arrived",
                expected=f"samples on {where}",
                got=f"none for {_s(limit_ns)}",
                do=f"check that {where} is published and its QoS fits",
                consequence="skip",
            )
        frozen = stream.repeats > 0
        return self._refuse(
            self._anchor,
            "FROZEN" if frozen else "STALE",
            what="the same stamp is repeated" if frozen else "the stream has stopped",
            expected=f"a new sample within {_s(limit_ns)}",
            got=f"the newest is {_s(now_ns - (newest or 0))} old",
            do=f"restart what publishes {where}",
        )

    def _silence_limit_ns(self, config: StreamConfig) -> int:
        return max(self._max_age_ns, config.max_age_ns)

    def _refuse(
        self, name: str, state: StreamState, *, what: str, expected: str, got: str, do: str
    ) -> Refusal:
        stream = self._streams[name]
        stream.state = state
        return Refusal(
            stream=name,
            what=what,
            expected=expected,
            got=got,
            do=do,
            consequence=stream.config.consequence,
        )

    def _observation(self, anchor_ns: int, parts: dict[str, _Part], now_ns: int) -> Observation:
        self._seq += 1
        state = parts[STATE_ANCHOR]
        images = {n: p for n, p in parts.items() if isinstance(p.value, Frame)}
        return Observation(
            seq=self._seq,
            t_obs_ns=anchor_ns,
            start_ns=self._contract.start_ns(self._anchor, anchor_ns),
            images={n: cast(Frame, p.value).rgb for n, p in images.items()},
            image_stamps_ns={n: p.stamp_ns for n, p in images.items()},
            state=cast(npt.NDArray[np.float64], state.value),
            state_stamp_ns=state.stamp_ns,
            streams=tuple(
                _report(
                    name,
                    part.state,
                    part.stamp_ns,
                    part.stamp_ns - anchor_ns,
                    now_ns,
                    self._streams[name].drops,
                )
                for name, part in parts.items()
            ),
        )


def _make(config: StreamConfig) -> _Stream:
    history: History[tuple[Value, int]] = History(
        max_age_ns=config.history_age_ns + config.max_age_ns,
        max_count=config.history_count,
        future_ns=config.future_ns,
    )
    motion = config.frozen_motion
    return _Stream(config, history, None if motion is None else FrozenDetector(motion))


def _value(stream: _Stream, match: Match) -> Value:
    values: list[tuple[Any, int]] = stream.history.values
    left = values[match.left][0]
    if match.left == match.right:
        return cast(Value, left)
    between = left + match.fraction * (values[match.right][0] - left)
    between.setflags(write=False)
    return cast(Value, between)


def _report(
    name: str, state: StreamState, stamp_ns: int, offset_ns: int, now_ns: int, drops: int
) -> StreamReport:
    return StreamReport(
        name=name,
        state=state,
        stamp_ns=stamp_ns,
        offset_ns=offset_ns,
        age_ns=now_ns - stamp_ns if stamp_ns else 0,
        drops=drops,
    )


def _s(ns: int, *, sign: bool = False) -> str:
    return f"{ns * 1e-9:+.4f} s" if sign else f"{ns * 1e-9:.4f} s"
