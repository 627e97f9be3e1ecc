"""A policy behind `vla serve`: the server says what it needs and gives; its address is enough."""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_ros.policy.protocol import PolicyRequest, PolicySpec
from vla_ros.policy.remote import jpeg
from vla_ros.policy.remote.clock import OFFSET, ROUND_TRIP, ClockCheck, ClockSample
from vla_ros.policy.remote.errors import RemoteError
from vla_ros.policy.remote.link import Link
from vla_ros.policy.remote.openpi import actions_in
from vla_ros.policy.remote.schema import spec_from
from vla_ros.spaces.observation import Observation

CLOCK_PERIOD_S = 10.0
CLOCK_TRIPS = 4


class ServedPolicy:
    """A policy that asks our own server. Connects at once, to learn the spec.

    Args:
        uri: ``ws://host:port``, or ``wss://`` for a server with a certificate.
        token: The server's token, where it asks for one.
        authority: PEM file of the certificate to trust, for one that nobody else vouches for.
        jpeg_quality: Send images as JPEG of this quality, 1 to 100; None sends every pixel.
        connect_s: Longest time to connect, in [s].
        infer_s: Longest time for one answer, in [s].

    Raises:
        RemoteError: There is no server, or it refuses.
        SchemaError: It is no server of ours, or of another version.
    """

    def __init__(
        self,
        uri: str,
        *,
        token: str | None = None,
        authority: Path | None = None,
        jpeg_quality: int | None = None,
        connect_s: float = 5.0,
        infer_s: float = 10.0,
    ) -> None:
        self._link = Link(
            uri,
            connect_s=connect_s,
            headers={"Authorization": f"Bearer {token}"} if token else None,
            tls=_trusting(authority) if authority is not None else None,
        )
        self._jpeg_quality = jpeg_quality
        self._infer_s = infer_s
        self._clock = ClockCheck()
        self._clock_due = -math.inf
        self._link.open()
        try:
            self._spec = spec_from(self._link.metadata, uri)
        except Exception:
            self._link.close()
            raise
        self._checked = self._link.connections

    @property
    def spec(self) -> PolicySpec:
        """What the server said at first; one that says otherwise later is refused."""
        return self._spec

    def infer(self, request: PolicyRequest) -> npt.NDArray[np.float64]:
        """Ask for one chunk. Shape (T, A).

        Raises:
            RemoteError: No server, no answer in time, a refusal, or another policy than before.
        """
        answer = self._ask(self._message(request), self._infer_s)
        actions = actions_in(answer, self._link.uri)
        expected = (self._spec.horizon, len(self._spec.action_names))
        if actions.shape != expected:
            raise RemoteError(
                f"{self._link.uri} answered with shape {actions.shape}, expected {expected}"
            )
        chunk = actions.astype(np.float64)
        if time.monotonic() >= self._clock_due:
            self._check_clock(1)
        return chunk

    def reset(self) -> None:
        """Forget the run before, here and at the server."""
        self._ask({"reset": True}, self._infer_s)

    def warm_up(self) -> None:
        """The server is warm before it listens; compare clocks."""
        self._check_clock(CLOCK_TRIPS)

    def close(self) -> None:
        """Drop the connection."""
        self._link.close()

    def status(self) -> Mapping[str, str | int | float | bool]:
        """For `/diagnostics`: where, and how far its clock and the network are."""
        best = self._clock.best
        values: dict[str, str | int | float | bool] = {
            "policy server": self._link.uri,
            "policy server connections": self._link.connections,
        }
        if best is not None:
            values[OFFSET] = best.offset_ns * 1e-9
            values[ROUND_TRIP] = best.round_trip_ns * 1e-9
        return values

    def _message(self, request: PolicyRequest) -> dict[str, Any]:
        message = {**self._seen(request.observation), "prompt": request.prompt}
        message["t_obs_ns"] = request.observation.t_obs_ns
        before = request.history[-(self._spec.n_obs_steps - 1) :]
        if self._spec.n_obs_steps > 1 and before:
            message["history"] = [self._seen(observation) for observation in before]
        if request.seed is not None:
            message["seed"] = request.seed
        if request.guidance is not None:
            message["guidance"] = asdict(request.guidance)
        return message

    def _seen(self, observation: Observation) -> dict[str, Any]:
        images, quality = observation.images, self._jpeg_quality
        sent = {
            key: images[key] if quality is None else jpeg.encode(images[key], quality)
            for key in self._spec.camera_keys
        }
        return {"images": sent, "state": observation.state}

    def _ask(self, message: dict[str, Any], limit_s: float) -> dict[str, Any]:
        answer = self._link.ask(message, limit_s)
        if self._link.connections != self._checked:
            spec = spec_from(self._link.metadata, self._link.uri)
            if spec != self._spec:
                raise RemoteError(
                    f"{self._link.uri} now serves {spec.name} {spec.model_id}, expected "
                    f"{self._spec.name} {self._spec.model_id} as before; restart the policy node"
                )
            self._checked = self._link.connections
        return answer

    def _check_clock(self, trips: int) -> None:
        for _ in range(trips):
            asked_ns = time.time_ns()
            clock = self._ask({"ping": True}, self._infer_s).get("clock")
            answered_ns = time.time_ns()
            received, sent = (
                clock.get(key) if isinstance(clock, dict) else None
                for key in ("received_ns", "sent_ns")
            )
            if not isinstance(received, int) or not isinstance(sent, int):
                raise RemoteError(f"{self._link.uri} answered a ping without its clock")
            self._clock.add(
                ClockSample.from_stamps(
                    asked_ns=asked_ns,
                    received_ns=received,
                    sent_ns=sent,
                    answered_ns=answered_ns,
                )
            )
        self._clock_due = time.monotonic() + CLOCK_PERIOD_S


def _trusting(authority: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(authority))
    except (OSError, ssl.SSLError) as error:
        raise RemoteError(
            f"certificate {authority} cannot be used ({error}); expected a PEM file"
        ) from error
