"""Tasks -> the sentences that checkpoints were trained on.

A checkpoint that was trained with advantages (pi*0.6, arXiv 2511.14759) is told which it should
show, in a line between the instruction and the actions, such as ``Advantage: positive``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from vla_ros.policy.processors.base import Floats, ProcessorError

BINS = 256
"""Steps into which pi0.5 cuts -1 .. 1 to write a state as numbers."""


class Prompt(Protocol):
    """Makes a prompt of a task and a normalised state."""

    def apply(self, task: str, state: Floats) -> str:
        """The prompt's text."""
        ...

    def with_advantage(self, advantage: str) -> Prompt:
        """The same with another line on the advantage; empty: without."""
        ...


@dataclass(frozen=True)
class LinePrompt:
    """The task and a new line (pi0, SmolVLA).

    Attributes:
        clean: Underscores and new lines in the task become spaces (openpi).
        advantage: A line behind the task; empty: none.
    """

    clean: bool = False
    advantage: str = ""

    def apply(self, task: str, state: Floats) -> str:
        """The prompt's text; the state is not part of it."""
        text = _clean(task) if self.clean else task
        _refuse_empty(text)
        line = text if text.endswith("\n") else f"{text}\n"
        return f"{line}{self.advantage}\n" if self.advantage else line

    def with_advantage(self, advantage: str) -> LinePrompt:
        """The same with another line on the advantage; empty: without."""
        return replace(self, advantage=advantage)


@dataclass(frozen=True)
class StatePrompt:
    """The task and the state in numbers (pi0.5, pi0-FAST).

    Attributes:
        state_dim: Length to which the state is padded with zeros before it is written (LeRobot
            0.4); 0: as it is (openpi, LeRobot from 0.6 on).
        ending: What follows the state.
        advantage: A line behind the state; empty: none.
    """

    state_dim: int = 0
    advantage: str = ""
    ending: str = "\nAction: "

    def apply(self, task: str, state: Floats) -> str:
        """The prompt's text; ``state`` in [-1, 1], Shape (S,)."""
        text = _clean(task)
        _refuse_empty(text)
        padded = np.pad(state, (0, max(0, self.state_dim - len(state)))).astype(np.float32)
        edges = np.linspace(-1.0, 1.0, BINS + 1)[:-1]
        numbers = " ".join(map(str, np.digitize(padded, bins=edges) - 1))
        advantage = f"\n{self.advantage}" if self.advantage else ""
        return f"Task: {text}, State: {numbers};{advantage}{self.ending}"

    def with_advantage(self, advantage: str) -> StatePrompt:
        """The same with another line on the advantage; empty: without."""
        return replace(self, advantage=advantage)


def _clean(task: str) -> str:
    return task.strip().replace("_", " ").replace("\n", " ")


def _refuse_empty(text: str) -> None:
    if not text.strip():
        raise ProcessorError("the prompt is empty; say what to do")
