from __future__ import annotations

import numpy as np
import pytest
from rig import MS, contract, feed, picture, position, shown, streams, synchroniser

from vla_ros.spaces import Observation, TimeContractError
from vla_ros.sync import Frame, Refusal, SyncError, Synchroniser


def states(observation: Observation) -> dict[str, str]:
    return {report.name: report.state for report in observation.streams}


def test_an_observation_stands_at_the_newest_anchor() -> None:
    sync = synchroniser()
    feed(sync, 200)
    seen = sync.observe(205 * MS)
    assert isinstance(seen, Observation)
    assert seen.seq == 1
    assert seen.t_obs_ns == seen.start_ns == seen.state_stamp_ns == 200 * MS
    assert {key: shown(rgb) for key, rgb in seen.images.items()} == {
        "front": 200 * MS,
        "wrist": 200 * MS,
    }
    np.testing.assert_array_equal(seen.state, position(200 * MS))
    assert states(seen) == {"front": "OK", "wrist": "OK", "state": "OK"}
    assert [report.age_ns for report in seen.streams] == [5 * MS] * 3


def test_an_anchor_is_used_once() -> None:
    sync = synchroniser()
    feed(sync, 200)
    assert isinstance(sync.observe(200 * MS), Observation)
    assert sync.observe(210 * MS) is None


def test_every_stream_is_matched_at_its_due_time_of_the_contract() -> None:
    sync = synchroniser(
        contract(
            image_latency_ns={"front": 80 * MS, "wrist": 30 * MS},
            state_at="decision",
            action_offset_ns=-5 * MS,
        )
    )
    feed(sync, 200, skip=("front",))
    sync.push("front", 115 * MS, picture(115 * MS), 200 * MS)
    seen = sync.observe(200 * MS)
    assert isinstance(seen, Observation)
    # Decision at 195, wrist due at 165 (nearest 150), state due at 195 (between 190 and 200).
    assert seen.t_obs_ns == 115 * MS
    assert seen.start_ns == 190 * MS
    assert shown(seen.images["wrist"]) == 150 * MS
    np.testing.assert_allclose(seen.state, position(195 * MS), rtol=1e-12)
    offsets = {report.name: report.offset_ns for report in seen.streams}
    assert offsets == {"front": 0, "wrist": -15 * MS, "state": 0}, "from what was asked for"
    assert states(seen)["state"] == "INTERPOLATED"


def test_it_waits_for_the_joint_state_after_the_picture() -> None:
    sync = synchroniser()
    feed(sync, 190)
    for camera in ("front", "wrist"):
        sync.push(camera, 195 * MS, picture(195 * MS), 196 * MS)
    first = sync.observe(196 * MS)
    assert isinstance(first, Observation), "an older anchor is complete"
    assert first.t_obs_ns == 150 * MS
    assert sync.observe(197 * MS) is None, "the newest still waits"
    sync.push("state", 200 * MS, position(200 * MS), 200 * MS)
    seen = sync.observe(200 * MS)
    assert isinstance(seen, Observation)
    assert seen.t_obs_ns == 195 * MS
    np.testing.assert_allclose(seen.state, position(195 * MS), rtol=1e-12)


def test_waiting_has_an_end_and_the_refusal_says_what_is_missing() -> None:
    sync = synchroniser()
    feed(sync, 200, start_ms=200, skip=("state",))
    assert sync.observe(229 * MS) is None
    refusal = sync.observe(230 * MS)
    assert isinstance(refusal, Refusal)
    assert refusal.stream == "state"
    assert refusal.consequence == "skip"
    assert "/state" in refusal.do
    assert {report.name: report.state for report in sync.reports(230 * MS)}["state"] == "MISSING"


@pytest.mark.parametrize("lost", ["wrist", "state"])
@pytest.mark.parametrize("on_loss", ["skip", "stop"])
def test_a_lost_stream_has_its_declared_consequence(lost: str, on_loss: str) -> None:
    sync = synchroniser(**{lost: {"on_loss": on_loss}})
    feed(sync, 200)
    feed(sync, 300, start_ms=210, skip=(lost,))
    refusal = sync.observe(340 * MS)
    assert isinstance(refusal, Refusal)
    assert (refusal.stream, refusal.consequence) == (lost, on_loss)
    assert "-0.1000 s" in refusal.got


@pytest.mark.parametrize("lost", ["wrist", "state"])
def test_a_hold_uses_the_last_sample_until_it_is_too_old(lost: str) -> None:
    sync = synchroniser(**{lost: {"on_loss": "hold", "max_age_ns": 100 * MS}})
    feed(sync, 200)
    feed(sync, 300, start_ms=210, skip=(lost,))
    seen = sync.observe(340 * MS)
    assert isinstance(seen, Observation)
    report = {r.name: r for r in seen.streams}[lost]
    assert (report.state, report.stamp_ns, report.offset_ns) == ("HELD", 200 * MS, -100 * MS)
    feed(sync, 350, start_ms=350, skip=(lost,))
    refusal = sync.observe(390 * MS)
    assert isinstance(refusal, Refusal)
    assert (refusal.stream, refusal.consequence) == (lost, "stop")
    assert "held for at most 0.1000 s" in refusal.expected


def test_stop_outranks_skip() -> None:
    sync = synchroniser(wrist={"on_loss": "skip"}, state={"on_loss": "stop"})
    feed(sync, 200, skip=("wrist", "state"))
    refusal = sync.observe(240 * MS)
    assert isinstance(refusal, Refusal)
    assert (refusal.stream, refusal.consequence) == ("state", "stop")


def test_an_anchor_that_falls_silent_is_reported_once_per_limit() -> None:
    sync = synchroniser(front={"on_loss": "stop"})
    feed(sync, 200)
    assert isinstance(sync.observe(200 * MS), Observation)
    feed(sync, 500, start_ms=210, skip=("front",))
    assert sync.observe(500 * MS) is None
    refusal = sync.observe(501 * MS)
    assert isinstance(refusal, Refusal)
    assert (refusal.stream, refusal.consequence) == ("front", "stop")
    assert sync.observe(502 * MS) is None
    assert isinstance(sync.observe(802 * MS), Refusal)


def test_a_stream_that_never_spoke_stops_nothing() -> None:
    sync = synchroniser(front={"on_loss": "stop"})
    assert sync.observe(10_000 * MS) is None
    refusal = sync.observe(10_301 * MS)
    assert isinstance(refusal, Refusal)
    assert refusal.consequence == "skip"
    assert refusal.what == "no sample has arrived"


def test_an_anchor_that_arrives_too_late_is_refused() -> None:
    sync = synchroniser()
    feed(sync, 200, skip=("front",))
    sync.push("front", 200 * MS, picture(200 * MS), 501 * MS)
    refusal = sync.observe(501 * MS)
    assert isinstance(refusal, Refusal)
    assert refusal.what == "the newest sample is too old"


def test_repeated_stamps_are_counted_and_called_frozen() -> None:
    sync = synchroniser()
    feed(sync, 200)
    feed(sync, 300, start_ms=210, skip=("wrist",))
    for _ in range(3):
        assert sync.push("wrist", 200 * MS, picture(7), 300 * MS) == "duplicate"
    refusal = sync.observe(340 * MS)
    assert isinstance(refusal, Refusal)
    assert (refusal.stream, refusal.what) == ("wrist", "the same stamp is repeated")
    report = {r.name: r for r in sync.reports(340 * MS)}["wrist"]
    assert (report.state, report.drops) == ("FROZEN", 3)


def test_a_report_says_how_often_each_stream_came_lately_and_sinks_when_it_ceases() -> None:
    sync = synchroniser()
    feed(sync, 1000)
    seen = sync.observe(1000 * MS)
    assert isinstance(seen, Observation)
    rates = {report.name: report.rate_hz for report in seen.streams}
    assert rates == pytest.approx({"front": 20.0, "wrist": 20.0, "state": 100.0})
    later = {report.name: report.rate_hz for report in sync.reports(2000 * MS)}
    assert 0 < later["state"] < 60
    assert {report.rate_hz for report in synchroniser().reports(MS)} == {0.0}


def run_frozen(sync: Synchroniser, step_rad: float) -> list[Observation | Refusal | None]:
    """Five anchors with new front pictures, one and the same wrist picture, joints moving."""
    seen = []
    for k in range(1, 6):
        t = 50 * k * MS
        sync.push("state", t, np.array([k * step_rad, 0.0]), t)
        sync.push("front", t, picture(t), t)
        sync.push("wrist", t, Frame(picture(1).rgb.copy()), t)
        seen.append(sync.observe(t))
    return seen


def test_identical_pixels_while_the_joints_move_are_frozen() -> None:
    seen = run_frozen(synchroniser(), 0.02)
    assert [isinstance(one, Observation) for one in seen] == [True, True, True, False, False]
    refusal = seen[3]
    assert isinstance(refusal, Refusal)
    assert refusal.stream == "wrist"
    assert "does not change while the robot moves" in refusal.what


def test_identical_pixels_of_a_robot_at_rest_are_fine() -> None:
    assert all(isinstance(one, Observation) for one in run_frozen(synchroniser(), 0.001))


def test_a_frozen_camera_stays_frozen_when_the_robot_comes_back_to_where_it_was() -> None:
    sync = synchroniser()
    seen = []
    for k, joint in enumerate((0.0, 0.2, 0.0, 0.0), 1):
        now = 50 * k * MS
        sync.push("state", now, np.array([joint]), now)
        sync.push("front", now, picture(now), now)
        sync.push("wrist", now, picture(1), now)
        seen.append(sync.observe(now))
    assert isinstance(seen[0], Observation)
    assert all(isinstance(one, Refusal) and one.stream == "wrist" for one in seen[1:])


def test_frozen_pixels_under_hold_pass_until_they_are_too_old() -> None:
    seen = run_frozen(synchroniser(wrist={"on_loss": "hold", "max_age_ns": 150 * MS}), 0.02)
    assert isinstance(seen[3], Observation)
    assert states(seen[3])["wrist"] == "FROZEN"
    assert isinstance(seen[4], Refusal)
    assert seen[4].consequence == "stop"


def test_a_camera_that_thaws_is_used_again() -> None:
    sync = synchroniser()
    assert isinstance(run_frozen(sync, 0.02)[-1], Refusal)
    t = 300 * MS
    sync.push("state", t, np.array([0.12, 0.0]), t)
    sync.push("front", t, picture(t), t)
    sync.push("wrist", t, picture(t), t)
    seen = sync.observe(t)
    assert isinstance(seen, Observation)
    assert states(seen)["wrist"] == "OK"


def test_a_clock_that_jumps_back_clears_everything() -> None:
    sync = synchroniser()
    feed(sync, 1000)
    feed(sync, 100)
    assert sync.clock_jumps == 1
    seen = sync.observe(100 * MS)
    assert isinstance(seen, Observation)
    assert seen.t_obs_ns == 100 * MS
    assert shown(seen.images["wrist"]) == 100 * MS


def test_nothing_from_before_a_clear_is_matched() -> None:
    sync = synchroniser()
    feed(sync, 200)
    sync.clear()
    assert sync.observe(210 * MS) is None
    sync.push("front", 200 * MS, picture(200 * MS), 210 * MS)
    assert isinstance(sync.observe(250 * MS), Refusal)


def test_a_robot_without_cameras_is_anchored_by_its_state() -> None:
    sync = Synchroniser(contract(), "state", streams()[2:], max_age_ns=300 * MS)
    sync.push("state", 10 * MS, position(10 * MS), 12 * MS)
    seen = sync.observe(12 * MS)
    assert isinstance(seen, Observation)
    assert (seen.t_obs_ns, dict(seen.images)) == (10 * MS, {})


def test_a_configuration_that_cannot_work_is_refused() -> None:
    with pytest.raises(TimeContractError, match="no image latency for camera 'wrist'"):
        synchroniser(contract(image_latency_ns={"front": 0}))
    with pytest.raises(SyncError, match="no stream 'rear'"):
        synchroniser(anchor="rear")
    with pytest.raises(SyncError, match="stream 'rear' is unknown; expected one of front"):
        synchroniser().push("rear", 1, picture(1), 1)
    with pytest.raises(SyncError, match="pair tolerance with 'rear'"):
        synchroniser(wrist={"pairs": {"rear": 5 * MS}})
    with pytest.raises(ValueError, match="no picture between two pictures"):
        synchroniser(wrist={"strategy": "interpolate"})


def test_a_pair_of_cameras_that_are_too_far_apart_is_refused_with_both_names() -> None:
    sync = synchroniser(wrist={"pairs": {"front": 4 * MS}, "on_loss": "stop"})
    feed(sync, 90)
    sync.push("state", 110 * MS, position(110 * MS), 110 * MS)
    sync.push("front", 100 * MS, picture(1), 110 * MS)
    sync.push("wrist", 105 * MS, picture(2), 110 * MS)
    refusal = sync.observe(110 * MS)
    assert isinstance(refusal, Refusal)
    assert (refusal.stream, refusal.consequence) == ("wrist", "stop")
    assert "front" in refusal.what
    assert (refusal.expected[:19], refusal.got) == ("at most 0.0040 s be", "0.0050 s")


def test_what_the_time_contract_puts_between_two_cameras_is_no_distance() -> None:
    times = contract(image_latency_ns={"front": 0, "wrist": 30 * MS})
    sync = synchroniser(times, wrist={"pairs": {"front": 4 * MS, "state": 4 * MS}})
    feed(sync, 110, skip=("front", "wrist"))
    sync.push("wrist", 72 * MS, picture(2), 100 * MS)
    sync.push("front", 100 * MS, picture(1), 100 * MS)
    assert isinstance(sync.observe(130 * MS), Observation)


def test_a_camera_stamped_at_arrival_is_corrected_by_its_calibrated_latency() -> None:
    sync = synchroniser(wrist={"clock": "receive", "latency_ns": 40 * MS})
    feed(sync, 100, skip=("wrist",))
    sync.push("wrist", 0, picture(2), 138 * MS)  # its driver stamps nothing
    seen = sync.observe(140 * MS)
    assert isinstance(seen, Observation)
    assert seen.image_stamps_ns["wrist"] == 98 * MS


def test_cameras_at_different_rates_each_give_their_nearest_picture() -> None:
    sync = synchroniser(wrist={"tolerance_ns": 60 * MS, "wait_ns": 50 * MS})
    seen = []
    for t in range(1, 901):
        if t % 10 == 0:
            sync.push("state", t * MS, position(t * MS), t * MS)
        if t % 33 == 0:
            sync.push("front", t * MS, picture(t), t * MS)
        if t % 100 == 0:
            sync.push("wrist", t * MS, picture(t), t * MS)
        one = sync.observe(t * MS)
        if isinstance(one, Observation):
            seen.append(one)
    assert len(seen) >= 15
    for one in seen[3:]:
        off = abs(one.image_stamps_ns["wrist"] - one.t_obs_ns)
        assert off <= 50 * MS, "the slow camera's nearest picture is at most half a period away"


def test_what_was_refused_is_counted_by_reason() -> None:
    sync = synchroniser()
    feed(sync, 100)
    sync.push("front", 0, picture(1), 100 * MS)
    sync.push("front", 100 * MS, picture(1), 100 * MS)
    sync.push("front", 900 * MS, picture(1), 100 * MS)
    sync.push("front", 70 * MS, picture(1), 100 * MS)
    sync.count_refused("front", "form")
    assert sync.counts()["front"] == {
        "zero": 1, "duplicate": 1, "future": 1, "form": 1, "late": 1
    }  # fmt: skip
    assert {r.name: r.drops for r in sync.reports(100 * MS)}["front"] == 4


def test_a_picture_that_took_long_to_decode_is_no_clock_that_jumped() -> None:
    sync = synchroniser(wrist={"clock": "receive"})
    feed(sync, 400, skip=("wrist",))
    sync.push("wrist", 0, picture(2), 480 * MS, 402 * MS)
    sync.push("front", 100 * MS, picture(2), 480 * MS, 102 * MS)
    assert sync.clock_jumps == 0
    seen = sync.observe(480 * MS)
    assert isinstance(seen, Observation)
    assert (seen.t_obs_ns, seen.image_stamps_ns["wrist"]) == (400 * MS, 402 * MS)
