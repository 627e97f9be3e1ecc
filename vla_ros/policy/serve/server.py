"""The server: who may connect, what is answered, and that one robot never harms another.

It speaks openpi's WebSocket protocol (https://github.com/Physical-Intelligence/openpi,
``websocket_policy_server.py``), so openpi's clients work against it, and the additions of
`vla_ros.policy.remote.schema`. A request that is refused is answered with one sentence, and its
connection stays open.
"""

from __future__ import annotations

import asyncio
import hmac
import http
import logging
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from vla_ros.errors import VlaError
from vla_ros.policy.protocol import Policy
from vla_ros.policy.remote.load import load_keys
from vla_ros.policy.remote.msgpack_numpy import packb, unpackb
from vla_ros.policy.remote.schema import describe
from vla_ros.policy.serve.batching import Actions, Answer, Batcher
from vla_ros.policy.serve.metrics import Metrics
from vla_ros.policy.serve.requests import BadRequest, is_ours, request_from, seed_from

MAX_REQUEST_BYTES = 64 * 2**20
ALIVE_S = 10.0
CLOSE_S = 1.0
TRY_LATER = 1013

log = logging.getLogger(__name__)


class ServeError(VlaError):
    """The server cannot be started as asked."""


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """How to serve.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        token: What clients must show as ``Authorization: Bearer`` or ``Api-Key``; None: nothing.
        certificate: PEM file of the certificate chain; None: without TLS.
        key: PEM file of its private key.
        limit_s: Longest time for one request, waiting included, in [s].
        max_wait_s: Longest time that a request waits for others to share a batch, in [s].
        max_robots: Most connections at once.
        keys: File that says what clients call things; None: what the policy calls them.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    certificate: Path | None = None
    key: Path | None = None
    limit_s: float = 30.0
    max_wait_s: float = 0.01
    max_robots: int = 16
    keys: Path | None = None

    def tls(self) -> ssl.SSLContext | None:
        """The TLS context, None without a certificate.

        Raises:
            ServeError: The files cannot be used.
        """
        if self.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise ServeError(
                f"certificate {self.certificate} with key {self.key or 'in the same file'} cannot "
                f"be used ({error}); expected PEM files that belong together"
            ) from error
        return context


class _Session:
    """One connection's state: the seeds of requests that bring none."""

    def __init__(self) -> None:
        self._seed: int | None = None
        self._count = 0

    def reset(self, seed: int | None) -> None:
        self._seed, self._count = seed, 0

    def next_seed(self) -> int | None:
        if self._seed is None:
            return None
        self._count += 1
        return (self._seed * 1_000_003 + self._count) % 2**31


class PolicyServer:
    """Serves one warm policy until it is cancelled.

    Args:
        policy: It must be warm; from now on only the server calls it. One with a true attribute
            ``stateful`` remembers earlier requests and serves one robot at a time.
        config: How to serve.

    Raises:
        VlaError: The file of keys cannot be used.
    """

    def __init__(self, policy: Policy, config: ServeConfig) -> None:
        self._policy = policy
        self._config = config
        self._stateful = bool(getattr(policy, "stateful", False))
        self._robots = 0
        self._metrics = Metrics()
        self._metadata = packb(describe(policy.spec))
        self._keys = None if config.keys is None else load_keys(config.keys, policy.spec)
        self._batcher = Batcher(
            policy, lambda: self._robots, max_wait_s=config.max_wait_s, metrics=self._metrics
        )

    async def run(self, ready: Callable[[int], None]) -> None:
        """Serve; ``ready`` is called with the port when clients may connect.

        Raises:
            ServeError: The port is taken, or the certificate cannot be used.
        """
        config = self._config
        try:
            server = await serve(
                self._handle,
                config.host,
                config.port,
                ssl=config.tls(),
                compression=None,
                max_size=MAX_REQUEST_BYTES,
                max_queue=1,
                ping_interval=ALIVE_S,
                ping_timeout=ALIVE_S,
                close_timeout=CLOSE_S,
                process_request=self._http,
            )
        except OSError as error:
            raise ServeError(
                f"cannot listen on {config.host}:{config.port} ({error.strerror or error}); is "
                "another server running? Choose another --port"
            ) from error
        work = asyncio.create_task(self._batcher.run())
        try:
            ready(next(iter(server.sockets)).getsockname()[1])
            await work
        finally:
            work.cancel()
            server.close()
            with suppress(asyncio.CancelledError):
                await server.wait_closed()

    # HTTP.

    def _http(self, connection: ServerConnection, request: Request) -> Response | None:
        """Health and metrics, and who may open a WebSocket."""
        if request.path == "/healthz":
            busy_s = self._batcher.busy_s()
            if busy_s > self._config.limit_s:
                text = f"the policy has worked on one request for {busy_s:.1f} s\n"
                return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, text)
            return connection.respond(http.HTTPStatus.OK, "OK\n")
        if not self._allowed(request):
            text = "expected the server's token as 'Authorization: Bearer TOKEN'\n"
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, text)
        if request.path == "/metrics":
            return connection.respond(http.HTTPStatus.OK, self._metrics.text(self._robots))
        return None

    def _allowed(self, request: Request) -> bool:
        token = self._config.token
        if token is None:
            return True
        kind, _, shown = request.headers.get("Authorization", "").partition(" ")
        right = hmac.compare_digest(shown.strip().encode(), token.encode())
        return right and kind.lower() in ("bearer", "api-key")

    # WebSocket.

    async def _handle(self, connection: ServerConnection) -> None:
        who = "{}:{}".format(*connection.remote_address[:2])
        most = 1 if self._stateful else self._config.max_robots
        if self._robots >= most:
            reason = f"{self._robots} robots are connected, expected at most {most}"
            log.warning("%s turned away: %s", who, reason)
            await connection.close(TRY_LATER, reason)
            return
        self._robots += 1
        log.info("%s connected; robots: %d", who, self._robots)
        session = _Session()
        try:
            if self._stateful:
                await self._batcher.call(self._policy.reset)
            await connection.send(self._metadata)
            async for message in connection:
                await connection.send(await self._answer(message, session, who))
        except ConnectionClosed as closed:
            log.info("%s lost: %s", who, closed)
        finally:
            self._robots -= 1
            log.info("%s disconnected; robots: %d", who, self._robots)

    async def _answer(self, message: str | bytes, session: _Session, who: str) -> str | bytes:
        received_ns = time.time_ns()
        limit_s = self._config.limit_s
        try:
            content = await asyncio.wait_for(self._content(message, session), limit_s)
        except asyncio.TimeoutError:
            self._metrics.request("late")
            text = f"no answer within {limit_s:g} s; the policy is too slow or has too many robots"
        except VlaError as error:
            self._metrics.request("refused")
            text = str(error)
        except Exception as error:
            self._metrics.request("failed")
            log.exception("%s: a bug in the policy", who)
            text = f"the policy failed: {type(error).__name__}: {error}"
        else:
            content["clock"] = {"received_ns": received_ns, "sent_ns": time.time_ns()}
            return packb(content)
        log.warning("%s: %s", who, text)
        return text

    async def _content(self, message: str | bytes, session: _Session) -> dict[str, Any]:
        values = unpackb(message) if isinstance(message, bytes) else None
        if not isinstance(values, dict):
            raise BadRequest(
                f"a message of {type(values or message).__name__}, expected a msgpack map"
            )
        if "ping" in values:
            return {"pong": True}
        if "reset" in values:
            session.reset(seed_from(values["seed"]) if values.get("seed") is not None else None)
            if self._stateful:
                await self._batcher.call(self._policy.reset)
            return {"reset": True}
        if values.get("seed") is None:
            values["seed"] = session.next_seed()
        spec, keys = self._policy.spec, self._keys
        if keys is not None and is_ours(values, spec):
            keys = None
        if keys is not None:
            values = {**keys.understand(values, spec), "seed": values["seed"]}
        values.setdefault("t_obs_ns", time.time_ns())  # of clients that say no instant
        request = await asyncio.to_thread(request_from, values, spec)
        answer = await self._batcher.infer(request)
        self._metrics.request("ok", answer.waited_s)
        actions = answer.actions if keys is None else keys.tell(answer.actions, spec)
        return _content_of(answer, actions)


def _content_of(answer: Answer, actions: Actions) -> dict[str, Any]:
    return {
        "actions": actions,
        "server_timing": {
            "infer_ms": answer.infer_s * 1e3,
            "wait_ms": answer.waited_s * 1e3,
            "batch": answer.batch,
        },
    }
