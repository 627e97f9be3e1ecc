"""`vla serve`: a policy for robots on the network, in a process and environment of its own."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console


def serve(
    policy: str,
    host: str,
    port: int,
    token_file: Path | None,
    certificate: Path | None,
    key: Path | None,
    limit_s: float,
    max_wait_s: float,
    max_robots: int,
    threads: int | None,
) -> int:
    """Load the policy and serve it until Ctrl-C."""
    from vla_ros.policy.load import load_policy
    from vla_ros.policy.serve.command import read_token
    from vla_ros.policy.serve.command import serve as run
    from vla_ros.policy.serve.server import ServeConfig

    config = ServeConfig(
        host=host,
        port=port,
        token=read_token(token_file),
        certificate=certificate,
        key=key,
        limit_s=limit_s,
        max_wait_s=max_wait_s,
        max_robots=max_robots,
    )
    console = Console(soft_wrap=True)

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False)

    say(f"loading {policy}")
    return run(lambda: load_policy(policy, threads=threads), config, say)
