"""The ways in which a stream can fail an observation, in words."""

from __future__ import annotations

from vla_ros.spaces import StreamState
from vla_ros.sync.refusal import Refusal
from vla_ros.sync.track import Track


def refuse(
    track: Track, state: StreamState, *, what: str, expected: str, got: str, do: str
) -> Refusal:
    """A refusal with the consequence that the stream declares; the verdict is kept in the track."""
    track.state = state
    return Refusal(
        stream=track.config.name,
        what=what,
        expected=expected,
        got=got,
        do=do,
        consequence=track.config.consequence,
    )


def lost(track: Track, due_ns: int) -> Refusal:
    """No sample is close enough to its due time."""
    config, where = track.config, place(track)
    if not track.stamps:
        return refuse(
            track,
            "MISSING",
            what="no sample has arrived",
            expected=f"samples on {where}",
            got="none",
            do=f"check that {where} is published and its QoS fits",
        )
    offset_ns = min((stamp - due_ns for stamp in track.stamps), key=abs)
    allowed = f"within {seconds(config.tolerance_ns)} of its due time"
    if config.on_loss == "hold":
        allowed += f", or held for at most {seconds(config.max_age_ns)}"
    frozen = track.repeats > 0
    return refuse(
        track,
        "FROZEN" if frozen else "STALE",
        what="the same stamp is repeated" if frozen else "no sample is close enough",
        expected=f"a sample {allowed} ({config.strategy})",
        got=f"the nearest is {offset_ns * 1e-9:+.4f} s off",
        do=f"check the rate and the stamps of {where}",
    )


def frozen_picture(track: Track, frozen_ns: int) -> Refusal:
    """The same pixels for so long, although the robot moved."""
    return refuse(
        track,
        "FROZEN",
        what="the picture does not change while the robot moves",
        expected=f"new pixels after {track.config.frozen_motion} rad or m of motion",
        got=f"identical pixels for {seconds(frozen_ns)}",
        do=f"restart the camera driver behind {place(track)}",
    )


def apart(track: Track, other: str, tolerance_ns: int, got_ns: int) -> Refusal:
    """Two streams were sampled too far from each other."""
    return refuse(
        track,
        "STALE",
        what=f"its sample and that of {other} are too far apart",
        expected=f"at most {seconds(tolerance_ns)} beyond the time contract",
        got=seconds(got_ns),
        do=f"trigger {track.config.name} and {other} together, or widen the pair's tolerance",
    )


def too_old(track: Track, max_age_ns: int, age_ns: int) -> Refusal:
    """The anchor arrived too late."""
    return refuse(
        track,
        "STALE",
        what="the newest sample is too old",
        expected=f"an age of at most {seconds(max_age_ns)}",
        got=seconds(age_ns),
        do="check the load, the network and the clocks of the hosts",
    )


def never_heard(track: Track, limit_ns: int) -> Refusal:
    """The anchor has never spoken. Nothing runs on it, so there is nothing to stop."""
    track.state = "MISSING"
    where = place(track)
    return Refusal(
        stream=track.config.name,
        what="no sample has arrived",
        expected=f"samples on {where}",
        got=f"none for {seconds(limit_ns)}",
        do=f"check that {where} is published and its QoS fits",
        consequence="skip",
    )


def fell_silent(track: Track, limit_ns: int, now_ns: int) -> Refusal:
    """The anchor has ceased."""
    frozen = track.repeats > 0
    return refuse(
        track,
        "FROZEN" if frozen else "STALE",
        what="the same stamp is repeated" if frozen else "the stream has stopped",
        expected=f"a new sample within {seconds(limit_ns)}",
        got=f"the newest is {seconds(now_ns - (track.newest_ns or 0))} old",
        do=f"restart what publishes {place(track)}",
    )


def place(track: Track) -> str:
    """Where the samples come from."""
    return track.config.source or track.config.name


def seconds(ns: int) -> str:
    """A time in words."""
    return f"{ns * 1e-9:.4f} s"
