"""What the parts without ROS log is said by the node; it needs no DDS."""

from __future__ import annotations

import logging

from rclpy.logging import get_logger

from vla_ros.ros.logs import said_by

PART = logging.getLogger("vla_ros.policy.checkpoints.weights")


class Heard:
    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def info(self, text: str) -> None:
        self.said.append(("info", text))

    def warning(self, text: str) -> None:
        self.said.append(("warning", text))

    def error(self, text: str) -> None:
        self.said.append(("error", text))


def test_a_part_s_words_are_said_with_their_severity_and_only_while_the_node_lives() -> None:
    heard = Heard()
    with said_by(heard):
        PART.debug("a detail")
        PART.info("%.2f GB of weights", 1.5)
        PART.warning("far out")
        PART.error("broken")
        logging.getLogger("another.package").error("not ours")
    PART.error("nobody is there")
    assert heard.said == [
        ("info", "1.50 GB of weights"),
        ("warning", "far out"),
        ("error", "broken"),
    ]


def test_rclpys_own_logger_takes_every_severity_in_turn(capfd) -> None:
    with said_by(get_logger("policy")):
        for _ in range(2):
            PART.info("how much memory")
            PART.warning("far out")
            PART.error("broken")
    out = "".join(capfd.readouterr())
    for text in ("how much memory", "far out", "broken"):
        assert out.count(text) == 2
