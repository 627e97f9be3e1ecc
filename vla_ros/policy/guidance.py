"""From a plan to agree with to the sampler's guidance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vla_ros.errors import VlaError
from vla_ros.policy.models.flow import FlowGuidance, GivenRows
from vla_ros.policy.protocol import Guidance, PolicySpec


class GuidanceError(VlaError):
    """Guidance that does not fit the policy's chunks."""


def flow_guidance(
    guidance: Guidance | None,
    spec: PolicySpec,
    to_network: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.floating[Any]]],
) -> FlowGuidance | None:
    """Bring a plan into the network's space.

    Args:
        guidance: The plan and its weights; None: no guidance.
        spec: The policy's.
        to_network: Absolute actions, Shape (T, A), to what the flow ends in.

    Raises:
        GuidanceError: It has another shape than the policy's chunks.
    """
    if guidance is None:
        return None
    target, weights = _checked(guidance, spec, to_network)
    return FlowGuidance(
        target=target,
        weights=weights,
        max_weight=guidance.max_weight,
        jacobian=guidance.jacobian,
    )


def given_rows(
    guidance: Guidance | None,
    spec: PolicySpec,
    to_network: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.floating[Any]]],
) -> GivenRows | None:
    """The rows of weight 1, for a policy trained to be given them; arguments of `flow_guidance`.

    Raises:
        GuidanceError: As there, or more rows than it was trained to be given.
    """
    if guidance is None:
        return None
    target, weights = _checked(guidance, spec, to_network)
    given = weights == 1.0
    most = spec.horizon if spec.rtc_max_delay is None else spec.rtc_max_delay
    if int(given.sum()) > most:
        raise GuidanceError(
            f"guidance gives {int(given.sum())} rows, expected at most {most}: the policy was not "
            "trained with more"
        )
    return GivenRows(actions=target, given=given[None])


def _checked(
    guidance: Guidance,
    spec: PolicySpec,
    to_network: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.floating[Any]]],
) -> tuple[Tensor, Tensor]:
    """The plan in the network's space, Shape (1, T, A), and the weights, (T,)."""
    expected = (spec.horizon, len(spec.action_names))
    if guidance.actions.shape != expected or guidance.weights.shape != expected[:1]:
        raise GuidanceError(
            f"guidance: expected actions of shape {expected} and a weight for each row, got "
            f"{guidance.actions.shape} and {guidance.weights.shape}"
        )
    target = to_network(guidance.actions).astype(np.float32)
    return torch.from_numpy(target)[None], torch.from_numpy(guidance.weights.astype(np.float32))


def joint_guidance(guidances: Sequence[FlowGuidance | None]) -> FlowGuidance | None:
    """The guidance of a batch; members without one get weights of zero, which do nothing.

    Raises:
        GuidanceError: They differ in strength or Jacobian, which a batch has one of.
    """
    given = [guidance for guidance in guidances if guidance is not None]
    if not given:
        return None
    first = given[0]
    if any((g.max_weight, g.jacobian) != (first.max_weight, first.jacobian) for g in given):
        raise GuidanceError("a batch has one max_weight and one jacobian; ask one at a time")
    free = torch.zeros_like(first.target), torch.zeros_like(first.weights)
    pairs = [free if g is None else (g.target, g.weights) for g in guidances]
    return replace(
        first,
        target=torch.cat([target for target, _ in pairs]),
        weights=torch.stack([weights for _, weights in pairs]),
    )


def joint_rows(rows: Sequence[GivenRows | None]) -> GivenRows | None:
    """The given rows of a batch; members without any have none given."""
    known = [one for one in rows if one is not None]
    if not known:
        return None
    none = replace(known[0], given=torch.zeros_like(known[0].given))
    filled = [none if one is None else one for one in rows]
    return GivenRows(
        actions=torch.cat([one.actions for one in filled]),
        given=torch.cat([one.given for one in filled]),
    )
