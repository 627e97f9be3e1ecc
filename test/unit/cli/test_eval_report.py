"""The report of `vla eval`: on disk from the first trial on, and comparable with another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vla_ros.cli.eval import Evaluation, EvaluationError, evaluate
from vla_ros.cli.eval_report import Report, ReportError, paired, read_results
from vla_ros.cli.wilson import wilson_interval


def trial(seed: int, success: bool, **more: Any) -> dict[str, Any]:
    return {
        "seed": seed,
        "task": "put the red cube in the blue bin",
        "prompt": "put the red cube in the blue bin",
        "success": success,
        "reason": "",
        "duration_s": 3.0,
        "real_time_factor": 2.0,
        **more,
    }


def test_the_file_is_whole_after_every_trial(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "result.json"
    report = Report({"planned": 3}, path)
    for count, success in enumerate((True, False, True), start=1):
        report.add(trial(count, success))
        found = json.loads(path.read_text())
        assert found["episodes"] == count
        assert found["planned"] == 3
        assert len(found["results"]) == count
        assert found["interval"] == list(wilson_interval(found["successes"], count))
    assert found["successes"] == 2
    assert [item.name for item in path.parent.iterdir()] == ["result.json"]


def test_a_file_that_cannot_be_written_is_noticed_before_the_first_trial(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="--json"):
        Report({}, tmp_path / "file" / "result.json")


def test_two_instructions_a_scene_are_counted_apart() -> None:
    report = Report({}, None)
    for seed in range(4):
        report.add(trial(seed, True, role="A", other_done=False))
        report.add(trial(seed, seed == 0, role="B", other_done=seed == 1))
    found = report.summary()
    assert (found["obeyed"]["A"]["successes"], found["obeyed"]["B"]["successes"]) == (4, 1)
    other = found["did_the_other_task"]
    assert (other["successes"], other["episodes"]) == (1, 8)


def test_the_long_task_counts_scenes_by_cubes_binned() -> None:
    report = Report({}, None)
    for seed, count in enumerate((3, 3, 1)):
        report.add(trial(seed, count == 3, binned=count))
    assert report.summary()["scenes_by_cubes_binned"] == {"1": 1, "3": 2}


def test_a_comparison_looks_only_at_what_both_runs_tried() -> None:
    now = [trial(0, True), trial(1, True), trial(2, False), trial(9, True)]
    earlier = [trial(0, True), trial(1, False), trial(2, True), trial(3, False)]
    found = paired(now, earlier)
    assert found["pairs"] == 3
    assert (found["only_now"], found["only_earlier"], found["difference"]) == (1, 1, 0.0)


def test_the_interval_of_a_comparison_holds_the_difference_and_shrinks_with_the_pairs() -> None:
    widths = []
    for count in (40, 400):
        now = [trial(k, k % 20 != 0) for k in range(count)]
        earlier = [trial(k, k % 20 > 1) for k in range(count)]
        found = paired(now, earlier)
        low, high = found["interval"]
        assert found["difference"] == pytest.approx(0.05)
        assert low < 0.05 < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_runs_without_a_common_trial_are_not_compared() -> None:
    with pytest.raises(ReportError, match="in common"):
        paired([trial(0, True)], [trial(1, True)])


@pytest.mark.parametrize("text", ["", "{}", '{"results": [{"seed": 1}]}', "[]"])
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(ReportError, match=r"old\.json"):
        read_results(path)


GOOD: dict[str, Any] = {
    "episodes": 1,
    "seed": 0,
    "policy": "expert",
    "task": "single",
    "realtime": False,
    "direct": False,
    "wordings": "canonical",
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "song"}, "single, listen, long"),
        ({"wordings": "latin"}, "held-out"),
        ({"policy": "no/such/folder"}, "no such file"),
        ({"direct": True, "realtime": True}, "real time"),
        ({"direct": True, "task": "long"}, "planner"),
        ({"wordings": "train"}, "--direct"),
        ({"wordings": "train", "direct": True}, "expert"),
    ],
)
def test_options_that_do_not_go_together_are_refused(change: dict[str, Any], words: str) -> None:
    Evaluation(**GOOD)
    with pytest.raises(EvaluationError, match=words):
        Evaluation(**{**GOOD, **change})


def test_nothing_starts_when_the_report_to_compare_with_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Evaluation, "results", lambda self: pytest.fail("it started"))
    with pytest.raises(ReportError):
        evaluate(Evaluation(**GOOD), None, tmp_path / "none.json")
