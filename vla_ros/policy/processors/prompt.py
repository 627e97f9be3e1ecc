"""Tasks -> the sentences that checkpoints were trained on."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class LinePrompt:
    """The task and a new line (pi0, SmolVLA).

    Attributes:
        clean: Underscores and new lines in the task become spaces (openpi).
    """

    clean: bool = False

    def apply(self, task: str, state: Floats) -> str:
        """The prompt's text; the state is not part of it."""
        text = _clean(task) if self.clean else task
        _refuse_empty(text)
        return text if text.endswith("\n") else f"{text}\n"


@dataclass(frozen=True)
class StatePrompt:
    """The task and the state in numbers (pi0.5, pi0-FAST).

    Attributes:
        state_dim: Length to which the state is padded with zeros before it is written (LeRobot
            0.4); 0: as it is (openpi, LeRobot from 0.6 on).
        ending: What follows the state.
    """

    state_dim: int = 0
    ending: str = "\nAction: "

    def apply(self, task: str, state: Floats) -> str:
        """The prompt's text; ``state`` in [-1, 1], Shape (S,)."""
        text = _clean(task)
        _refuse_empty(text)
        padded = np.pad(state, (0, max(0, self.state_dim - len(state)))).astype(np.float32)
        edges = np.linspace(-1.0, 1.0, BINS + 1)[:-1]
        numbers = " ".join(map(str, np.digitize(padded, bins=edges) - 1))
        return f"Task: {text}, State: {numbers};{self.ending}"


def _clean(task: str) -> str:
    return task.strip().replace("_", " ").replace("\n", " ")


def _refuse_empty(text: str) -> None:
    if not text.strip():
        raise ProcessorError("the prompt is empty; say what to do")
