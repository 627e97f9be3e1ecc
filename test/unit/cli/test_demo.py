"""The demo asks again where the robot was stopped, and only there."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from vla_ros.cli import demo
from vla_ros.cli.do import SUCCEEDED


class Client:
    resumed = 0

    def resume(self, timeout_s: float) -> None:
        self.resumed += 1


@pytest.mark.parametrize(
    ("outcomes", "tries"),
    [
        (["SUCCEEDED"], 1),
        (["FAILED"], 1),
        (["STOPPED", "SUCCEEDED"], 2),
        (["STOPPED", "STOPPED", "FAILED"], 3),
        (["STOPPED", "STOPPED", "STOPPED"], 3),
    ],
)
def test_a_stopped_goal_is_given_again_after_resume(
    outcomes: list[str], tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, client = list(outcomes), Client()

    def give(*_: Any) -> dict[str, Any]:
        assert client.resumed == len(outcomes) - len(left)
        return {"outcome": left.pop(0)}

    monkeypatch.setattr(demo, "_give", give)
    given = demo._give_again(client, Console(quiet=True), demo.Captions(), "do it", SUCCEEDED)
    assert given == {"outcome": outcomes[-1], "tries": tries}
    assert not left
