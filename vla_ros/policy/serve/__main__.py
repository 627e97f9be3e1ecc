"""`python -m vla_ros.policy.serve`: the server where ROS and the `vla` command are not installed.

It needs numpy, msgpack, websockets, OpenCV, pydantic, PyYAML, and what the policy needs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from vla_ros.errors import VlaError
from vla_ros.policy.protocol import Policy
from vla_ros.policy.remote.load import TOKEN
from vla_ros.policy.serve.command import read_token, serve
from vla_ros.policy.serve.fleet import Fleet, FleetConfig
from vla_ros.policy.serve.server import ServeConfig, ServeError


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    peer, rest = _peer_parser().parse_known_args(arguments)
    options = _parser().parse_args(rest)
    try:
        if peer.peer_python is not None:
            _serve_in(peer.peer_python, rest)
        config = ServeConfig(
            host=options.host,
            port=options.port,
            token=read_token(options.token_file),
            certificate=options.certificate,
            key=options.key,
            limit_s=options.limit_s,
            max_wait_s=options.max_wait_s,
            max_robots=options.max_robots,
            keys=options.keys,
        )
        return serve(lambda: _load(options), config, _say)
    except VlaError as error:
        sys.stderr.write(f"vla serve: {error}\n")
        return 1


def _serve_in(python: Path, arguments: Sequence[str]) -> NoReturn:
    """The same in another environment, whose process takes this one's place.

    Raises:
        ServeError: There is no such interpreter.
    """
    if not os.access(python, os.X_OK):
        raise ServeError(f"--peer-python {python}: no such program, expected .../bin/python")
    package = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONPATH": str(package)}
    os.execve(python, [str(python), "-m", "vla_ros.policy.serve", *arguments], environment)


def _load(options: argparse.Namespace) -> Policy:
    if options.policy is not None and options.ray_replicas is not None:
        return Fleet(
            options.policy,
            FleetConfig(
                replicas=options.ray_replicas,
                max_wait_s=options.max_wait_s,
                device=options.device,
                threads=options.threads,
            ),
        )
    if options.policy is not None:
        from vla_ros.policy.load import load_policy

        return load_policy(options.policy, threads=options.threads, device=options.device)
    from vla_ros.policy.serve.lerobot_policy import load_lerobot

    return load_lerobot(
        options.lerobot, options.about, device=options.device, threads=options.threads
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _peer_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--peer-python",
        type=Path,
        help="serve in the environment of this Python, for example LeRobot's",
    )
    return parser


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "vla serve",
        parents=[_peer_parser()],
        description="Serve a policy to robots on the network; openpi's clients work against it "
        "too. Where ROS is not installed: python -m vla_ros.policy.serve.",
    )
    policy = parser.add_argument_group("the policy")
    what = policy.add_mutually_exclusive_group(required=True)
    what.add_argument("--policy", help="checkpoint folder, or the file that declares it")
    what.add_argument("--lerobot", help="any policy of the LeRobot installed here: folder or name")
    policy.add_argument("--about", type=Path, help="with --lerobot: file with names and timing")
    policy.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:0, ...")
    policy.add_argument("--threads", type=int, help="CPU threads of the model")
    policy.add_argument(
        "--ray-replicas",
        type=int,
        help="with --policy: so many copies of it on Ray Serve, here or in the cluster that "
        "RAY_ADDRESS names",
    )
    network = parser.add_argument_group("the network")
    network.add_argument(
        "--host",
        default=ServeConfig.host,
        help="address to listen on; 0.0.0.0: every network (default: %(default)s)",
    )
    network.add_argument(
        "--port", type=int, default=ServeConfig.port, help="0: a free one (default: %(default)s)"
    )
    network.add_argument(
        "--token-file", type=Path, help=f"file with the token to ask for; or set {TOKEN}"
    )
    network.add_argument("--certificate", type=Path, help="PEM certificate: wss:// for ws://")
    network.add_argument("--key", type=Path, help="PEM private key of the certificate")
    robots = parser.add_argument_group("the robots")
    robots.add_argument(
        "--keys", type=Path, help="file that says what openpi clients call cameras, state, actions"
    )
    robots.add_argument(
        "--max-robots",
        type=int,
        default=ServeConfig.max_robots,
        help="most connections at once (default: %(default)s)",
    )
    robots.add_argument(
        "--limit-s",
        type=float,
        default=ServeConfig.limit_s,
        help="longest time for one request, in seconds (default: %(default)s)",
    )
    robots.add_argument(
        "--max-wait-s",
        type=float,
        default=ServeConfig.max_wait_s,
        help="longest wait for other robots to share a batch, in seconds (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
