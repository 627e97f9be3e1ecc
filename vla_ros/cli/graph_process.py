"""The demo graph as a child process, for verbs that need one of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vla_ros.cli.processes import dies_with_us
from vla_ros.ros.domain import isolated_domain
from vla_ros.ros.task_client import GraphNotUpError

STOP_S = 30.0


@contextmanager
def demo_graph(log: Path, **arguments: object) -> Iterator[int]:
    """Run `demo.launch.yaml` in a ROS domain of its own, which this process joins.

    Args:
        log: where its output goes.
        arguments: launch arguments.

    Yields:
        The number of the domain.

    Raises:
        GraphNotUpError: The block raised it; the text then names the log.
    """
    words = [f"{name}:={value}" for name, value in arguments.items()]
    with isolated_domain() as variables, log.open("w") as output:
        os.environ.update(variables)
        graph = subprocess.Popen(
            [sys.executable, "-m", "vla_ros.cli.main", "launch", "demo.launch.yaml", *words],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=dies_with_us(),
        )
        try:
            yield int(variables["ROS_DOMAIN_ID"])
        except GraphNotUpError as error:
            raise GraphNotUpError(f"{error} The graph's own words are in {log}") from error
        finally:
            graph.send_signal(signal.SIGINT)
            try:
                graph.wait(STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(graph.pid, signal.SIGKILL)
                graph.wait()
