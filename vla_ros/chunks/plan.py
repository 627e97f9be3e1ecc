"""A plan: one chunk of actions on the stamp timeline, immutable.

Every row of a plan has a due time: row ``k`` is due at ``start + k * dt``. Nobody counts steps;
whoever wants to know
what to do at an instant asks for the row that is due then. The idea of stamping every action is
UMI's (Chi et al.,
2024, "Universal Manipulation Interface", arXiv:2402.10329).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Aggregation = Literal["sync", "blend", "rtc", "rtc_prefix"]
Interpolation = Literal["hold", "linear"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """A chunk of absolute actions with the due time of each row.

    Values are not judged here: a NaN passes, so that the fence can refuse it in words.

    Attributes:
        run_id: Goal this plan was computed for. 16 bytes (a UUID).
        epoch: The bridge's epoch when inference started.
        seq: Counts the chunks of one policy process; for order and duplicates, never for time.
        spec_hash: Hash of the robot file whose order and units the columns have.
        t_obs_ns: ROS time the observation describes, in [ns].
        start_ns: ROS time at which row 0 is due, in [ns].
        dt_ns: Time between rows after speed scaling, in [ns].
        valid_from_ns: ROS time from which this plan replaces the one before, in [ns].
        actions: Absolute, SI, in the robot file's order. Read-only. Shape (T, A).
        interpolation: ``hold``: row k acts over [t_k, t_k + dt); ``linear``: the plan passes row k
            at t_k.
        aggregation: How the policy joined this chunk to the plan before.
        late: The plan before ran out before this one could take over.
        inference_start_ns: ROS time at which inference started, in [ns].
        inference_end_ns: ROS time at which inference ended, in [ns].
        model_id: Which weights made it.
    """

    run_id: bytes
    epoch: int
    seq: int
    spec_hash: int
    t_obs_ns: int
    start_ns: int
    dt_ns: int
    valid_from_ns: int
    actions: npt.NDArray[np.float64]
    interpolation: Interpolation = "linear"
    aggregation: Aggregation = "blend"
    late: bool = False
    inference_start_ns: int = 0
    inference_end_ns: int = 0
    model_id: str = ""

    def __post_init__(self) -> None:
        actions = np.array(self.actions, dtype=np.float64, copy=True)
        if actions.ndim != 2 or actions.shape[0] < 1:
            raise ValueError(
                f"a plan needs actions of shape (T, A) with T >= 1, got {actions.shape}"
            )
        if self.dt_ns <= 0:
            raise ValueError(f"a plan needs dt_ns > 0, got {self.dt_ns}")
        if len(self.run_id) != 16:
            raise ValueError(f"a run_id is a UUID of 16 bytes, got {len(self.run_id)} bytes")
        actions.setflags(write=False)
        object.__setattr__(self, "actions", actions)

    @property
    def horizon(self) -> int:
        """Number of rows T."""
        return int(self.actions.shape[0])

    @property
    def dim(self) -> int:
        """Length A of one action."""
        return int(self.actions.shape[1])

    @property
    def end_ns(self) -> int:
        """ROS time after which the plan says nothing, in [ns]: the last row's due time, plus dt
        when rows are held.
        """
        rows = self.horizon if self.interpolation == "hold" else self.horizon - 1
        return self.start_ns + rows * self.dt_ns

    def row_at(self, t_ns: int) -> float:
        """Fractional row that is due at ``t_ns``; below 0 before the plan, above T - 1 after its
        last row.
        """
        return (t_ns - self.start_ns) / self.dt_ns

    def due_ns(self, row: int) -> int:
        """ROS time at which ``row`` is due, in [ns]."""
        return self.start_ns + row * self.dt_ns
