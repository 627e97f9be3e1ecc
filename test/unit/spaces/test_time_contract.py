from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_ros.spaces import TimeContract, TimeContractError

MS = 1_000_000

contracts = st.builds(
    TimeContract,
    image_latency_ns=st.fixed_dictionaries(
        {"front": st.integers(0, 10**9), "wrist": st.integers(0, 10**9)}
    ),
    state_at=st.sampled_from(["capture", "decision"]),
    action_offset_ns=st.integers(-(10**9), 10**9),
    dt_ns=st.integers(1, 10**9),
    interpolation=st.sampled_from(["hold", "linear"]),
)
captures = st.integers(10**18, 2 * 10**18)


def loop_recorded() -> TimeContract:
    """Row i pairs the image captured 80 ms ago with the state read and the action sent now."""
    return TimeContract(
        image_latency_ns={"front": 80 * MS, "wrist": 30 * MS},
        state_at="decision",
        action_offset_ns=0,
        dt_ns=50 * MS,
        interpolation="hold",
    )


def test_loop_recorded_data_puts_row_0_at_the_decision() -> None:
    contract = loop_recorded()
    capture = 1_000 * MS
    assert contract.decision_ns("front", capture) == 1_080 * MS
    assert contract.image_due_ns("wrist", 1_080 * MS) == 1_050 * MS
    assert contract.state_due_ns("front", capture) == 1_080 * MS
    assert contract.start_ns("front", capture) == 1_080 * MS


@given(contract=contracts, capture=captures)
def test_the_identities_hold(contract: TimeContract, capture: int) -> None:
    for anchor in ("front", "wrist"):
        decision = contract.decision_ns(anchor, capture)
        assert decision - capture == contract.image_latency_ns[anchor]
        assert contract.image_due_ns(anchor, decision) == capture
        assert contract.start_ns(anchor, capture) - decision == contract.action_offset_ns
        expected = capture if contract.state_at == "capture" else decision
        assert contract.state_due_ns(anchor, capture) == expected
    # Either camera as the anchor describes the same decision.
    decision = contract.decision_ns("front", capture)
    other = contract.image_due_ns("wrist", decision)
    assert contract.decision_ns("wrist", other) == decision
    assert contract.start_ns("wrist", other) == contract.start_ns("front", capture)


@given(contract=contracts)
def test_a_contract_survives_json_and_pickle_to_the_nanosecond(contract: TimeContract) -> None:
    assert TimeContract.from_dict(json.loads(json.dumps(contract.to_dict()))) == contract
    assert pickle.loads(pickle.dumps(contract)) == contract


def test_a_robot_without_cameras_is_anchored_by_its_state() -> None:
    assert loop_recorded().decision_ns("state", 5) == 5


def test_an_unknown_camera_is_refused_with_the_known_ones() -> None:
    with pytest.raises(TimeContractError, match=r"camera 'rear'.*front, wrist"):
        loop_recorded().start_ns("rear", 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dt_s": 0.0}, "expected more than 0"),
        ({"dt_s": float("nan")}, "expected finite seconds"),
        ({"dt_s": "fast"}, "expected seconds as a number"),
        ({"state_at": "now"}, "expected one of capture, decision"),
        ({"interpolation": "cubic"}, "expected one of hold, linear"),
        ({"image_latency_s": {"front": -0.1}}, "expected 0 or more"),
        ({"image_latency_s": 0.1}, "expected camera: seconds"),
        ({"delay_s": 1.0}, "unknown: delay_s"),
    ],
)
def test_a_malformed_contract_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(TimeContractError, match=words):
        TimeContract.from_dict({**loop_recorded().to_dict(), **change})


def test_a_missing_key_is_named() -> None:
    values = loop_recorded().to_dict()
    del values["dt_s"]
    with pytest.raises(TimeContractError, match="missing: dt_s"):
        TimeContract.from_dict(values)


def test_our_own_recordings_pair_everything_at_the_capture() -> None:
    contract = TimeContract.at_capture(["front", "wrist"])
    assert contract.image_due_ns("wrist", contract.decision_ns("front", 7)) == 7
    assert contract.state_due_ns("front", 7) == contract.start_ns("front", 7) == 7
