"""The simulated controller against the table of the real one's rules."""

from __future__ import annotations

import numpy as np
import pytest
from controller_cases import CASES, MEASURED, MS, NAMES, Case, message

from vla_ros.sim.controllers import TrajectoryController, TrajectoryRefused


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_golden_case(case: Case) -> None:
    controller = TrajectoryController(NAMES, np.array([0.1, -0.1]))
    sent = sorted(case.sent, key=lambda item: item[0])
    times = sorted({*case.expected, *case.velocity, *(t for t, _ in sent)})
    refused = 0
    for now in times:
        for t, content in sent:
            if t == now:
                try:
                    controller.accept(content, now * MS)
                except TrajectoryRefused:
                    refused += 1
        position, velocity = controller.sample(np.array([now * MS]), MEASURED)
        if now in case.expected:
            np.testing.assert_allclose(
                position[0], case.expected[now] * np.array([1, -1]), atol=1e-9, err_msg=f"{now} ms"
            )
        if now in case.velocity:
            np.testing.assert_allclose(
                velocity[0], case.velocity[now] * np.array([1, -1]), atol=1e-9, err_msg=f"{now} ms"
            )
    assert refused == case.refused


def test_sampling_ahead_equals_sampling_one_by_one() -> None:
    one = TrajectoryController(NAMES, np.zeros(2))
    many = TrajectoryController(NAMES, np.zeros(2))
    content = message(1005, [0, 13, 40], [0.0, 0.3, 1.0], [0.0, 2.0, 0.0])
    times = np.arange(1000, 1060, 3, dtype=np.int64) * MS
    one.accept(content, 1000 * MS)
    many.accept(content, 1000 * MS)
    together, _ = many.sample(times, MEASURED)
    single = np.concatenate([one.sample(times[i : i + 1], MEASURED)[0] for i in range(len(times))])
    np.testing.assert_array_equal(together, single)
