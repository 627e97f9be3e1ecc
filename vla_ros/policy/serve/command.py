"""What `vla serve` and `python -m vla_ros.policy.serve` do once they know what to serve."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from vla_ros.policy.protocol import Policy, PolicySpec
from vla_ros.policy.remote.load import TOKEN
from vla_ros.policy.serve.server import PolicyServer, ServeConfig, ServeError

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def read_token(path: Path | None) -> str | None:
    """The token in a file, or else in the environment variable ``VLA_SERVE_TOKEN``.

    Raises:
        ServeError: The file cannot be read or is empty.
    """
    if path is None:
        return os.environ.get(TOKEN) or None
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ServeError(f"token file {path} cannot be read ({error})") from error
    if not token:
        raise ServeError(f"token file {path} is empty, expected one line of text")
    return token


def serve(load: Callable[[], Policy], config: ServeConfig, say: Callable[[str], None]) -> int:
    """Load, warm up, serve until Ctrl-C or SIGTERM.

    Args:
        load: Gives the policy. Takes seconds.
        config: How to serve.
        say: Shows one line to the person who started it.

    Returns:
        The exit status.

    Raises:
        VlaError: The policy cannot be loaded, or the server cannot be started.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("websockets").setLevel(logging.ERROR)
    config.tls()
    policy = load()
    try:
        say("loaded; warming up")
        policy.warm_up()
        asyncio.run(_until_stopped(PolicyServer(policy, config), policy.spec, config, say))
    finally:
        policy.close()
    return 0


async def _until_stopped(
    server: PolicyServer, spec: PolicySpec, config: ServeConfig, say: Callable[[str], None]
) -> None:
    def ready(port: int) -> None:
        for line in _words(spec, config, port):
            say(line)

    work = asyncio.ensure_future(server.run(ready))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work


def _words(spec: PolicySpec, config: ServeConfig, port: int) -> list[str]:
    scheme, web = ("wss", "https") if config.certificate else ("ws", "http")
    height, width = spec.image_size
    here = socket.gethostname() if config.host in ("0.0.0.0", "::") else config.host
    lines = [
        f"{spec.name} {spec.model_id}",
        f"  cameras  {', '.join(spec.camera_keys) or 'none'}, {width}x{height} (width x height)",
        f"  state    {', '.join(spec.state_names)}",
        f"  action   {', '.join(spec.action_names)}; {spec.horizon} rows, one each "
        f"{spec.contract.dt_ns / 1e6:g} ms",
        f"  robots   policy:={scheme}://{here}:{port}",
        f"  look     {web}://{here}:{port}/healthz and /metrics",
    ]
    if config.host not in LOOPBACK and config.token is None:
        lines.append(
            f"  WARNING  anybody on this network may use it: set {TOKEN} here and on the robots"
        )
    if config.token is not None and config.certificate is None and config.host not in LOOPBACK:
        lines.append("  WARNING  the token travels unencrypted: give --certificate and --key")
    return [*lines, f"listening on {scheme}://{config.host}:{port}; stop with Ctrl-C"]
