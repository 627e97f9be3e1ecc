"""One observation per decision: every stream at the instant the time contract asks for.

The anchor (a camera, or the state of a robot without one) sets the instant; each other stream
is matched at its own due time. An observation waits, up to a bound, for samples that can still
arrive, and is refused in words where a part would have to be invented. The object is pure: it is
fed (stream, stamp, value, now) and never reads a clock, so a recording replayed through it gives
the observations that the live node gave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError
from vla_ros.spaces import STATE_ANCHOR, Observation, StreamReport, TimeContract
from vla_ros.sync import losses
from vla_ros.sync.frozen import Frame, Place
from vla_ros.sync.history import PushResult
from vla_ros.sync.refusal import Refusal
from vla_ros.sync.stream import StreamConfig
from vla_ros.sync.track import Part, Track, Value


class SyncError(VlaError):
    """The synchroniser is configured or fed in a way that cannot work."""


class Synchroniser:
    """Matches streams to the anchor under a time contract.

    The vectors of all streams that are no cameras, in the order declared, make up the state;
    the one called ``state`` comes first and gives the state's stamp.

    Args:
        contract: due times of the streams relative to the anchor.
        anchor: name of the stream whose stamps become observations.
        streams: every stream, cameras and ``state``.
        max_age_ns: oldest anchor that may become an observation, and the longest silence of the
            anchor before it is reported.

    Raises:
        SyncError: the anchor or the state stream is missing, a name repeats, or a pair names a
            stream that is not there.
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
        _check(anchor, streams)
        for config in streams:
            if config.is_camera:
                contract.latency_ns(config.name)
        self._contract = contract
        self._anchor = anchor
        self._max_age_ns = max_age_ns
        ordered = sorted(streams, key=lambda config: config.name != anchor)
        self._tracks = {config.name: Track(config) for config in ordered}
        vectors = [config for config in streams if not config.is_camera]
        vectors.sort(key=lambda config: config.name != STATE_ANCHOR)
        self._vectors = [config.name for config in vectors]
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

    def push(
        self,
        stream: str,
        stamp_ns: int,
        value: Value,
        now_ns: int,
        arrived_ns: int | None = None,
        rates: npt.NDArray[np.float64] | None = None,
    ) -> PushResult:
        """Take one sample in: a ``Frame`` of a camera, or a vector float64 (S,).

        Args:
            stream: its name.
            stamp_ns: its header's stamp; the stream's clock and latency are applied here.
            value: read-only from now on.
            now_ns: now, ROS time.
            arrived_ns: when it arrived, where that was earlier (it had to be decoded).
            rates: how fast a vector changes [per s], NaN where that is not known. Shape (S,).

        Returns:
            ``added``, or why the sample was refused; refused samples are counted.
        """
        self._advance(now_ns)
        return self._track(stream).push(
            stamp_ns, value, now_ns if arrived_ns is None else arrived_ns, rates
        )

    def count_refused(self, stream: str, reason: str) -> None:
        """Count a sample that was refused before it could be pushed."""
        self._track(stream).count_refused(reason)

    def counts(self) -> dict[str, Mapping[str, int]]:
        """Per stream, samples refused so far by reason, and ``late``: sorted in out of order."""
        return {
            name: {**track.refused, **({"late": track.late} if track.late else {})}
            for name, track in self._tracks.items()
        }

    def clear(self) -> None:
        """Forget all samples: after a clock jump nothing from before may be matched."""
        for track in self._tracks.values():
            track.clear()
        self._last_used_ns = 0
        self._heard_ns = None
        self._heard_any = False

    def observe(self, now_ns: int) -> Observation | Refusal | None:
        """The newest complete observation, why there is none, or None while nothing is new."""
        self._advance(now_ns)
        anchor = self._tracks[self._anchor]
        for index in range(len(anchor.stamps) - 1, -1, -1):
            stamp_ns = anchor.stamps[index]
            if stamp_ns <= self._last_used_ns:
                break
            self._heard_any = True
            arrival_ns = anchor.arrival_ns(index)
            if all(
                track.settled(self._due_ns(name, stamp_ns), arrival_ns, now_ns)
                for name, track in self._tracks.items()
            ):
                self._last_used_ns = stamp_ns
                self._heard_ns = now_ns
                return self._build(stamp_ns, now_ns)
        return self._silence(now_ns)

    def reports(self, now_ns: int) -> tuple[StreamReport, ...]:
        """Every stream as it stands now, anchor first; offsets are 0 outside an observation."""
        for track in self._tracks.values():
            newest = track.newest_ns
            if newest is None:
                track.state = "MISSING"
            elif now_ns - newest > self._silence_limit_ns(track):
                track.state = "FROZEN" if track.repeats else "STALE"
        return tuple(track.report(None, 0, now_ns) for track in self._tracks.values())

    def _track(self, name: str) -> Track:
        try:
            return self._tracks[name]
        except KeyError:
            raise SyncError(
                f"stream '{name}' is unknown; expected one of {', '.join(self._tracks)}"
            ) from None

    def _advance(self, now_ns: int) -> None:
        if now_ns < self._now_ns - self._tracks[self._anchor].config.future_ns:
            self._clock_jumps += 1
            self.clear()
            self._now_ns = now_ns
        self._now_ns = max(self._now_ns, now_ns)
        if self._heard_ns is None:
            self._heard_ns = now_ns

    def _due_ns(self, name: str, anchor_ns: int) -> int:
        if name == self._anchor:
            return anchor_ns
        if not self._tracks[name].config.is_camera:
            return self._contract.state_due_ns(self._anchor, anchor_ns)
        decision_ns = self._contract.decision_ns(self._anchor, anchor_ns)
        return self._contract.image_due_ns(name, decision_ns)

    def _build(self, anchor_ns: int, now_ns: int) -> Observation | Refusal:
        if now_ns - anchor_ns > self._max_age_ns:
            anchor = self._tracks[self._anchor]
            return losses.too_old(anchor, self._max_age_ns, now_ns - anchor_ns)
        parts: dict[str, Part] = {}
        refusals: list[Refusal] = []
        for name, track in self._tracks.items():
            due_ns = self._due_ns(name, anchor_ns)
            part = track.exactly(due_ns) if name == self._anchor else track.select(due_ns)
            if part is None:
                refusals.append(losses.lost(track, due_ns))
            else:
                parts[name] = part
                track.state = part.state
        refusals = refusals or self._check_pairs(parts, anchor_ns) or self._check_frozen(parts)
        if refusals:
            return min(refusals, key=lambda refusal: refusal.consequence != "stop")
        return self._observation(anchor_ns, parts, now_ns)

    def _check_pairs(self, parts: Mapping[str, Part], anchor_ns: int) -> list[Refusal]:
        refusals = []
        off_ns = {name: p.stamp_ns - self._due_ns(name, anchor_ns) for name, p in parts.items()}
        for name, track in self._tracks.items():
            for other, tolerance_ns in track.config.pairs.items():
                got_ns = abs(off_ns[name] - off_ns[other])
                held = "HELD" in (parts[name].state, parts[other].state)
                if got_ns > tolerance_ns and not held:
                    refusals.append(losses.apart(track, other, tolerance_ns, got_ns))
        return refusals

    def _check_frozen(self, parts: dict[str, Part]) -> list[Refusal]:
        refusals = []
        place = self._place(parts)
        for name, part in parts.items():
            track = self._tracks[name]
            detector = track.detector
            if detector is None or not isinstance(part.value, Frame):
                continue
            if not detector.check(part.value, part.stamp_ns, place):
                continue
            parts[name] = Part("FROZEN", part.stamp_ns, part.value)
            track.state = "FROZEN"
            frozen_ns = part.stamp_ns - detector.since_ns
            if track.config.on_loss != "hold" or frozen_ns > track.config.max_age_ns:
                refusals.append(losses.frozen_picture(track, frozen_ns))
        return refusals

    def _place(self, parts: Mapping[str, Part]) -> Place:
        told = ((parts[name].value, self._tracks[name].config) for name in self._vectors)
        return Place(tuple((v, c.blend, c.places) for v, c in told if not isinstance(v, Frame)))

    def _silence(self, now_ns: int) -> Refusal | None:
        track = self._tracks[self._anchor]
        limit_ns = self._silence_limit_ns(track)
        newest = track.newest_ns
        heard_ns = self._heard_ns if self._heard_ns is not None else now_ns
        if (newest is not None and newest > self._last_used_ns) or now_ns - heard_ns <= limit_ns:
            return None
        self._heard_ns = now_ns
        if not self._heard_any:
            return losses.never_heard(track, limit_ns)
        return losses.fell_silent(track, limit_ns, now_ns)

    def _silence_limit_ns(self, track: Track) -> int:
        return max(self._max_age_ns, track.config.max_age_ns)

    def _observation(self, anchor_ns: int, parts: Mapping[str, Part], now_ns: int) -> Observation:
        self._seq += 1
        frames = {n: (p.stamp_ns, p.value) for n, p in parts.items() if isinstance(p.value, Frame)}
        return Observation(
            seq=self._seq,
            t_obs_ns=anchor_ns,
            start_ns=self._contract.start_ns(self._anchor, anchor_ns),
            images={name: frame.rgb for name, (_, frame) in frames.items()},
            image_stamps_ns={name: stamp_ns for name, (stamp_ns, _) in frames.items()},
            state=_joined(parts, self._vectors),
            state_stamp_ns=parts[STATE_ANCHOR].stamp_ns,
            streams=tuple(
                self._tracks[name].report(part, self._due_ns(name, anchor_ns), now_ns)
                for name, part in parts.items()
            ),
        )


def _check(anchor: str, streams: Sequence[StreamConfig]) -> None:
    names = [config.name for config in streams]
    if len(set(names)) != len(names):
        raise SyncError(f"stream names repeat: {', '.join(names)}; each may occur once")
    for needed in (anchor, STATE_ANCHOR):
        if needed not in names:
            raise SyncError(f"no stream '{needed}'; expected it among {', '.join(names)}")
    for config in streams:
        for other in config.pairs:
            if other not in names or other == config.name:
                raise SyncError(
                    f"stream '{config.name}' has a pair tolerance with '{other}'; expected "
                    f"another stream among {', '.join(names)}"
                )


def _joined(parts: Mapping[str, Part], names: Sequence[str]) -> npt.NDArray[np.float64]:
    vectors = [parts[name].value for name in names]
    if len(vectors) == 1 and not isinstance(vectors[0], Frame):
        return vectors[0]
    joined = np.concatenate([v for v in vectors if not isinstance(v, Frame)])
    joined.setflags(write=False)
    return joined
