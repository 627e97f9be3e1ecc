"""What a policy of several observations is given."""

from __future__ import annotations

import numpy as np
import pytest

from vla_ros.policy.history import ObservationHistory
from vla_ros.spaces.observation import Observation

DT = 100


def seen(t_obs_ns: int) -> Observation:
    return Observation(
        seq=t_obs_ns,
        t_obs_ns=t_obs_ns,
        start_ns=t_obs_ns,
        images={},
        image_stamps_ns={},
        state=np.zeros(1),
        state_stamp_ns=t_obs_ns,
        streams=(),
    )


def filled(count: int, *times: int) -> ObservationHistory:
    history = ObservationHistory(count, DT)
    for t_obs_ns in times:
        history.push(seen(t_obs_ns))
    return history


def stamps(history: ObservationHistory, newest: int) -> list[int]:
    return [observation.t_obs_ns for observation in history.before(seen(newest))]


def test_a_policy_of_one_observation_gets_no_history() -> None:
    assert stamps(filled(1, 0, 50, 100), 100) == []


def test_the_observations_nearest_to_whole_rows_before_are_given_oldest_first() -> None:
    assert stamps(filled(3, 0, 40, 110, 160, 200, 290), 290) == [110, 200]


def test_at_the_beginning_of_a_run_the_oldest_stands_in() -> None:
    assert stamps(filled(3, 500, 520), 520) == [500, 500]


def test_nothing_is_kept_that_nobody_asks_for() -> None:
    history = filled(2, *range(0, 10_000, 30))
    assert len(history._kept) <= 6


def test_nothing_from_before_a_clear_is_given() -> None:
    history = filled(2, 0, 100)
    history.clear()
    history.push(seen(150))
    assert stamps(history, 150) == [150]


@pytest.mark.parametrize("newest", [0, 1_000])
def test_without_any_the_newest_stands_in(newest: int) -> None:
    assert stamps(ObservationHistory(2, DT), newest) == [newest]
