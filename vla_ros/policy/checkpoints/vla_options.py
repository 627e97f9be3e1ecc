"""Settings under ``options`` of a declaration, by family."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vla_ros.errors import mistakes
from vla_ros.policy.checkpoints.declaration import Declaration, DeclarationError

Options = TypeVar("Options", bound=BaseModel)
Behaviour = Literal["modern", "lerobot_0_4"]
Sized = Literal["vision", "language", "expert", "words", "fold"]


class Advantage(BaseModel):
    """What a checkpoint trained with advantages is told (pi*0.6, arXiv 2511.14759).

    Attributes:
        say: The line in its prompt.
        weight: Of classifier-free guidance towards it: 1 draws as the checkpoint was trained, more
            goes further than its data, at the price of twice the computation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    say: str = Field(default="Advantage: positive", min_length=1, pattern=r"^[^\n]*$")
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class Dual(BaseModel):
    """Two paces: see `vla_ros.policy.dual_policy`.

    Attributes:
        period_s: Between two looks [s].
        limit_s: Oldest look that is acted on [s]; None: three periods.
        background: Look in a thread of its own. False: in between, which repeats bit by bit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    period_s: float = Field(gt=0, allow_inf_nan=False)
    limit_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    background: bool = True


class VlaOptions(BaseModel):
    """Of everything that reads images and words.

    Attributes:
        resize: ``pil`` or ``torch``; None: as the layout's own training code does.
        dtype: Of the weights in memory; ``int8``: of the matrices, on a CPU.
        relative: Action names that the network gives relative to the state element at the same
            place (openpi's DeltaActions).
        sizes: Sizes other than the published ones, by part.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    resize: Literal["pil", "torch"] | None = None
    dtype: Literal["float32", "bfloat16", "int8"] = "float32"
    relative: tuple[str, ...] = ()
    sizes: dict[Sized, Any] = {}


class FlowOptions(VlaOptions):
    """Of flow models.

    Attributes:
        num_steps: Euler steps; None: the checkpoint's own number.
        advantage: Of checkpoints trained with advantages; None: nothing is said about it.
        dual: Images and words are read more rarely than it acts; None: each chunk is of one
            observation.
        cuda_graphs: On a GPU, record a chunk's computation once and repeat it.
        reuse_images: Do not encode images again that have not changed since the chunk before.
    """

    cuda_graphs: bool = False
    reuse_images: bool = False
    num_steps: int | None = Field(default=None, ge=1)
    advantage: Advantage | None = None
    dual: Dual | None = None

    @model_validator(mode="after")
    def _repeats_or_decides(self) -> FlowOptions:
        if self.cuda_graphs and self.reuse_images:
            raise ValueError(
                "a recorded computation cannot leave images out: cuda_graphs or "
                "reuse_images, not both"
            )
        return self


class Pi0Options(FlowOptions):
    """Of pi0 and pi0.5.

    Attributes:
        behaviour: ``modern``: openpi and LeRobot from 0.6 on; ``lerobot_0_4``: borders of
            letterboxed images are -3, and pi0.5's prompt lists the padded state.
        asset: Which of openpi's assets holds the statistics.
    """

    behaviour: Behaviour = "modern"
    asset: str | None = None


class SmolVlaOptions(FlowOptions):
    """Of SmolVLA.

    Attributes:
        shifted_positions: Read the image positions as transformers 4.55 to 4.57 did in float32,
            for checkpoints trained so (see `shift_positions`).
    """

    shifted_positions: bool = False


class Pi0FastOptions(VlaOptions):
    """Of pi0-FAST.

    Attributes:
        behaviour: ``lerobot_0_4``: borders of letterboxed images are -3.
        temperature: 0 is the likeliest token each time; None: the checkpoint's own.
        action_tokenizer: Folder of the action tokenizer, relative to the checkpoint.
    """

    behaviour: Behaviour = "modern"
    temperature: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    action_tokenizer: str = "fast"


def options_as(kind: type[Options], declaration: Declaration) -> Options:
    """The declaration's options as those of a family.

    Raises:
        DeclarationError: A key is unknown or of another type.
    """
    try:
        return kind.model_validate(declaration.options)
    except ValidationError as error:
        raise DeclarationError(f"options: {mistakes(error, whole='together')}") from error
