"""How a chunk joins the plan before: what is asked of the policy, and what is made of its answer.

``sync`` and ``blend`` work with any policy. ``rtc`` asks the policy to continue the plan before
(`vla_ros.chunks.rtc`); where that cannot be trusted, the chunk is blended instead, and the reason
is kept for diagnostics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_ros.chunks import Aggregation, BlendWeights, Joining, Plan, blend, resample, standing
from vla_ros.chunks.rtc import Jacobian, furthest_delay, soft_mask
from vla_ros.chunks.surprise import Surprise, disagreement
from vla_ros.errors import VlaError
from vla_ros.policy.protocol import Guidance, PolicySpec
from vla_ros.spaces.turns import continued, wrapped
from vla_ros.spaces.vectors import VectorSpace

FloatArray = npt.NDArray[np.float64]


class CannotGuide(VlaError):
    """Real-time chunking was asked of a policy that cannot continue a plan."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Executed:
    """The plan before, as it is really executed.

    Attributes:
        plan: As it was published.
        standing: What each of its rows counts against a new chunk's. Shape (T,).
        delay_ns: How much later than its stamps it is executed, in [ns].
    """

    plan: Plan
    standing: FloatArray
    delay_ns: int = 0

    @property
    def end_ns(self) -> int:
        """When it really ends, in [ns]."""
        return self.plan.end_ns + self.delay_ns


@dataclass(frozen=True, kw_only=True, eq=False)
class Ask:
    """What to ask of the policy beside the observation.

    Attributes:
        guidance: None: nothing.
        aggregation: How the answer will be joined.
        fallback: Why it is not the way that was set; "" where it is.
    """

    guidance: Guidance | None
    aggregation: Aggregation
    fallback: str = ""


class Joiner:
    """Joins the chunks of one policy.

    Args:
        spec: What the policy gives.
        space: Meaning of the columns.
        joining: What was set.
        weights: How ``blend`` weighs, also where ``rtc`` falls back to it.
        guidance_weight: Bound of the pull (beta).
        jacobian: How ``rtc`` pulls (`Guidance.jacobian`).
        turning: Which elements are angles of joints that turn without end. Shape (A,).

    Raises:
        CannotGuide: ``rtc`` with a policy that cannot.
    """

    def __init__(
        self,
        spec: PolicySpec,
        space: VectorSpace,
        joining: Joining,
        *,
        weights: BlendWeights | None = None,
        guidance_weight: float = 5.0,
        jacobian: Jacobian = "estimated",
        turning: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        if joining == "rtc" and spec.rtc == "none":
            raise CannotGuide(
                f"policy '{spec.name}' cannot continue a plan (its rtc is 'none'), expected a flow "
                "policy; set aggregation to 'blend'"
            )
        self._spec = spec
        self._space = space
        self._joining = joining
        self._weights = weights or BlendWeights(
            kind="ensemble" if joining == "ensemble" else "linear", m=spec.ensemble_m
        )
        self._max_weight = guidance_weight
        self._jacobian = jacobian
        self._turning = np.zeros(space.dim, dtype=bool) if turning is None else turning
        self._surprise = Surprise()

    def ask(
        self, before: Executed | None, start_ns: int, dt_ns: int, takeover_ns: int | None
    ) -> Ask:
        """What to ask of an inference that starts now.

        Args:
            before: The plan in force, if any.
            start_ns: Due time of the new chunk's row 0, in [ns].
            dt_ns: Its step, in [ns].
            takeover_ns: When it is expected to take over, in [ns]; None: nobody knows yet.
        """
        if self._joining == "sync":
            return Ask(guidance=None, aggregation="sync")
        if self._joining != "rtc" or before is None or before.end_ns <= start_ns:
            return Ask(guidance=None, aggregation="blend")
        if takeover_ns is None:
            return self._fall_back("no response time was measured yet")
        horizon, bound = (
            self._spec.horizon,
            furthest_delay(self._spec.horizon, self._spec.rtc_max_delay),
        )
        delay = max(0, -(-(takeover_ns - start_ns) // dt_ns))
        if delay > bound:
            return self._fall_back(
                f"the answer is expected {delay} rows after its start, real-time chunking is good "
                f"for {bound} of {horizon}; infer faster or use longer chunks"
            )
        overlap = (before.end_ns - start_ns) // dt_ns + 1
        prefix = self._spec.rtc == "prefix"
        old = resample(before.plan, self._space, start_ns, dt_ns, horizon, before.delay_ns)
        guidance = Guidance(
            actions=wrapped(old, self._turning),
            weights=soft_mask(horizon, delay, overlap, "hard" if prefix else "exponential"),
            max_weight=self._max_weight,
            jacobian=self._jacobian,
        )
        return Ask(guidance=guidance, aggregation="rtc_prefix" if prefix else "rtc")

    def join(
        self,
        chunk: FloatArray,
        ask: Ask,
        before: Executed | None,
        start_ns: int,
        dt_ns: int,
        valid_from_ns: int,
    ) -> tuple[FloatArray, FloatArray]:
        """The rows to publish, shape (T, A), and what each of them counts from now on, (T,).

        Averages (``ensemble``, ``average``) begin anew with a chunk that is far further from the
        plan before than is usual: it knows something that the others do not.
        """
        here = chunk[0]
        if before is not None:
            here = resample(before.plan, self._space, start_ns, dt_ns, 1, before.delay_ns)[0]
        chunk = continued(chunk, self._turning, here)
        alone = before is None or ask.aggregation != "blend"
        if before is not None and not alone and self._weights.kind != "linear":
            apart = disagreement(
                chunk, start_ns, dt_ns, before.plan, self._space, valid_from_ns, before.delay_ns
            )
            alone = apart is not None and self._surprise.by(apart)
        if before is None or alone:
            held = self._spec.contract.interpolation
            return chunk, standing(self._weights, len(chunk), dt_ns, held)
        return blend(
            chunk,
            start_ns,
            dt_ns,
            before.plan,
            before.standing,
            space=self._space,
            weights=self._weights,
            from_ns=valid_from_ns,
            delay_ns=before.delay_ns,
        )

    def _fall_back(self, reason: str) -> Ask:
        return Ask(guidance=None, aggregation="blend", fallback=f"blend instead of rtc: {reason}")
