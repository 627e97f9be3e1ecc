"""What a foreign checkpoint does not say about itself, declared once beside it.

LeRobot and openpi write sizes and statistics, but no names of the state's and action's elements,
no units and no timing. ``vla.yaml`` in the checkpoint's folder (or a YAML file of one's own that
names the folder under ``checkpoint``) adds them:

    checkpoint: /data/pi0_towel          # only where this file lies elsewhere
    state_names: [joint1, joint2, ...]   # the robot file's names, in the checkpoint's order
    action_names: [joint1, joint2, ...]
    cameras: {front: base_0_rgb}         # robot file's key -> the checkpoint's key
    rate_hz: 50                          # rows per second of the training data
    tokenizer: tokenizer/                # file or folder; relative to the checkpoint
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vla_ros.errors import VlaError, mistakes
from vla_ros.spaces.time_contract import TimeContract

FILE_NAME = "vla.yaml"

LOOP_IMAGE_LATENCY_S = 0.06
"""Between capture and use of an image in a loop recording; 0.03 to 0.11 s are usual."""

Name = Annotated[str, Field(min_length=1)]


class DeclarationError(VlaError):
    """A declaration that cannot be read, or lacks what the checkpoint needs."""


class Declaration(BaseModel):
    """Names, timing and settings of a checkpoint.

    Attributes:
        checkpoint: The folder, where the declaration lies elsewhere.
        state_names: State vector in the checkpoint's order.
        action_names: Action vector in the checkpoint's order.
        cameras: Robot file's camera key -> the checkpoint's. Empty: the same names.
        image_size: Height and width of the images in the training data [px].
        rate_hz: Rows per second of the training data.
        time_contract: As ``TimeContract.to_dict()``; None: a recording loop's at ``rate_hz``.
        tokenizer: File or folder of the tokenizer, or its name on the Hugging Face hub.
        options: Settings of the family.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    checkpoint: str | None = None
    state_names: tuple[Name, ...] = ()
    action_names: tuple[Name, ...] = ()
    cameras: dict[Name, Name] = {}
    image_size: tuple[int, int] | None = None
    rate_hz: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    time_contract: dict[str, Any] | None = None
    tokenizer: str | None = None
    options: dict[str, Any] = {}

    def contract(self, cameras: Iterable[str]) -> TimeContract:
        """The declared time contract, or that of a recording loop.

        In such a loop (LeRobot, ALOHA, DROID) row i pairs the newest image, the state read now and
        the action sent now, which holds until the next.

        Raises:
            DeclarationError: Neither a contract nor a rate is declared.
        """
        if self.time_contract is not None:
            return TimeContract.from_dict(self.time_contract)
        if self.rate_hz is None:
            raise DeclarationError(
                f"the training data's rate is unknown; put 'rate_hz: 30' (or whatever it was), or "
                f"a whole 'time_contract', into {FILE_NAME}"
            )
        return TimeContract(
            image_latency_ns=dict.fromkeys(cameras, round(LOOP_IMAGE_LATENCY_S * 1e9)),
            state_at="decision",
            action_offset_ns=0,
            dt_ns=round(1e9 / self.rate_hz),
            interpolation="hold",
        )

    def names(self, what: str, names: tuple[str, ...], dim: int) -> tuple[str, ...]:
        """Declared names, counted.

        Raises:
            DeclarationError: There are not ``dim`` different names.
        """
        if len(names) != dim or len(set(names)) != dim:
            raise DeclarationError(
                f"{what}: expected {dim} different names, got {list(names)}; the checkpoint does "
                f"not say them, so list the robot file's names in its order in {FILE_NAME}"
            )
        return names


def read_declaration(path: Path) -> Declaration:
    """Read a declaration's file.

    Raises:
        DeclarationError: It cannot be read, or a key is unknown or of another type.
    """
    try:
        return Declaration.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except OSError as error:
        raise DeclarationError(f"'{path}' cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise DeclarationError(f"'{path}': {error}") from error
    except ValidationError as error:
        raise DeclarationError(f"'{path}': {mistakes(error)}") from error


def declaration_of(folder: Path) -> Declaration:
    """The declaration in a checkpoint's folder; an empty one where there is none."""
    path = folder / FILE_NAME
    return read_declaration(path) if path.is_file() else Declaration()


def declares_checkpoint(path: Path) -> bool:
    """Whether a YAML file declares a checkpoint; otherwise it is a policy server's."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return False  # the reader of server files says what is wrong
    return isinstance(values, dict) and "checkpoint" in values
