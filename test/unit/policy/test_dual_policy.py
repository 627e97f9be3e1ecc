"""Two paces: the prefix when it is due, the expert always, and neither on something stale."""

from __future__ import annotations

import shutil
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from contract import MovablePolicyContract
from test_vla_checkpoints import GOLDEN, edit_json, edit_yaml, request_for

from vla_ros.errors import VlaError
from vla_ros.policy.dual_policy import AtOnce, DualPolicy, Pace, SlowEyes
from vla_ros.policy.flow_policy import FlowPolicy
from vla_ros.policy.load import load_policy
from vla_ros.policy.remote.status import status_of

MS = 1_000_000


class ByHand(Executor):
    """Does what it was given when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future, object]] = []

    def submit(self, fn, /, *args, **kwargs):
        future: Future = Future()
        self.waiting.append((future, fn))
        return future

    def work(self) -> None:
        for future, fn in self.waiting:
            future.set_result(fn())
        self.waiting.clear()


def seen(t_ms: int, prompt: str = "a"):
    """What a look at that time amounts to."""
    return t_ms * MS, prompt, lambda: (t_ms, prompt)


def test_the_first_look_is_waited_for_and_the_next_ones_come_when_they_are_done():
    executor = ByHand()
    eyes = SlowEyes(100 * MS, 300 * MS, AtOnce())
    assert eyes.newest(*seen(0)) == (0, "a")
    eyes._executor = executor
    used = [eyes.newest(*seen(t))[0] for t in (50, 100, 150)]
    assert used == [0, 0, 0]
    assert len(executor.waiting) == 1  # due at 100, and only once
    assert eyes.age_ns == 150 * MS
    executor.work()
    assert eyes.newest(*seen(190))[0] == 100
    assert executor.waiting == []
    assert eyes.newest(*seen(200))[0] == 100
    assert len(executor.waiting) == 1


def test_a_scene_past_its_limit_is_not_used_but_waited_for():
    eyes = SlowEyes(100 * MS, 300 * MS, AtOnce())
    eyes.newest(*seen(0))
    slow: Future = Future()

    class Slow(Executor):
        def submit(self, fn, /, *args, **kwargs):
            return slow

    eyes._executor = Slow()
    assert eyes.newest(*seen(120))[0] == 0
    assert eyes.newest(*seen(300))[0] == 0
    slow.set_result((120, "a"))
    assert eyes.newest(*seen(420))[0] == 120


@pytest.mark.parametrize(("t_ms", "prompt"), [(110, "b"), (90, "a")])
def test_another_prompt_or_a_clock_set_back_needs_a_new_look(t_ms, prompt):
    eyes = SlowEyes(1000 * MS, 3000 * MS, AtOnce())
    eyes.newest(*seen(100))
    assert eyes.newest(*seen(t_ms, prompt)) == (t_ms, prompt)


def test_a_look_for_the_prompt_before_is_dropped_even_if_it_comes_later():
    executor = ByHand()
    eyes = SlowEyes(100 * MS, 300 * MS, AtOnce())
    eyes.newest(*seen(0))
    eyes._executor = executor
    eyes.newest(*seen(100))
    eyes._executor = AtOnce()
    assert eyes.newest(*seen(110, "b")) == (110, "b")
    executor.work()
    assert eyes.newest(*seen(120, "b")) == (110, "b")


def test_a_look_that_fails_is_told_and_tried_again():
    def broken():
        raise VlaError("no image")

    eyes = SlowEyes(100 * MS, 300 * MS, AtOnce())
    with pytest.raises(VlaError, match="no image"):
        eyes.newest(0, "a", broken)
    assert eyes.newest(*seen(10))[0] == 10
    with pytest.raises(VlaError, match="no image"):
        eyes.newest(110 * MS, "a", broken)


def test_a_pace_is_counted_between_the_first_and_the_last_time():
    pace = Pace()
    assert pace.hz == 0.0
    for t_ms in (0, 100, 200, 300):
        pace.mark(t_ms * MS)
    assert pace.hz == pytest.approx(10.0)


@pytest.fixture(params=["pi0", "smolvla"])
def folder(request, tmp_path) -> Path:
    folder = Path(shutil.copytree(GOLDEN / request.param / "checkpoint", tmp_path / "copy"))
    edit_json(folder / "config.json", num_inference_steps=2, num_steps=2)
    return folder


def dual(folder: Path, **values: object) -> DualPolicy:
    declared = yaml.safe_load((folder / "vla.yaml").read_text())
    edit_yaml(folder, options={**declared["options"], "dual": values})
    policy = load_policy(str(folder))
    assert isinstance(policy, DualPolicy)
    return policy


def at(request, t_ms: int, **changes):
    observation = replace(request.observation, t_obs_ns=t_ms * MS, **changes)
    return replace(request, observation=observation)


class TestAtTwoPacesItKeepsThePolicyContract(MovablePolicyContract):
    @pytest.fixture
    def policy(self, folder):
        policy = dual(folder, period_s=0.5)
        yield policy
        policy.close()

    @pytest.fixture
    def request_(self, policy):
        return request_for(policy.spec)


def test_a_fresh_look_gives_the_chunk_of_one_pace(folder):
    one = load_policy(str(folder))
    two = dual(folder, period_s=0.5, background=False)
    request = request_for(one.spec)
    np.testing.assert_allclose(two.infer(request), one.infer(request), atol=1e-5)


def test_between_looks_the_images_are_old_and_the_state_is_new(folder):
    one = load_policy(str(folder))
    policy = dual(folder, period_s=0.5, background=False)
    first = request_for(policy.spec)
    policy.infer(first)
    black = {key: np.zeros_like(image) for key, image in first.observation.images.items()}
    state = first.observation.state + 0.3
    later = at(first, 400, images=black, state=state)
    unseen = at(first, 400, state=state)  # the state is new, the black images were not looked at
    np.testing.assert_allclose(policy.infer(later), one.infer(unseen), atol=1e-5)
    assert np.abs(policy.infer(later) - one.infer(first)).max() > 1e-3
    due = at(later, 500)
    np.testing.assert_allclose(policy.infer(due), one.infer(due), atol=1e-5)


def test_the_language_model_runs_once_a_period_and_both_paces_are_told(folder, monkeypatch):
    policy = dual(folder, period_s=0.5, background=False)
    looks, look = [], policy._policy._model.look
    monkeypatch.setattr(policy._policy._model, "look", lambda x: looks.append(1) or look(x))
    request = request_for(policy.spec)
    for t_ms in range(0, 1001, 100):
        policy.infer(at(request, t_ms))
    assert len(looks) == 3
    status = status_of(policy)
    assert status["prefix rate [Hz]"] == pytest.approx(2.0)
    assert status["expert rate [Hz]"] == pytest.approx(10.0)
    assert status["prefix age [s]"] == 0.0


def test_a_thread_looks_while_the_expert_acts(folder):
    policy = dual(folder, period_s=0.1, limit_s=100.0)
    request = request_for(policy.spec)
    black = {key: np.zeros_like(image) for key, image in request.observation.images.items()}
    before = policy.infer(request)
    policy.infer(at(request, 200, images=black))
    policy._eyes._coming.scene.result(timeout=60)
    after = policy.infer(at(request, 210, images=black))
    policy.close()
    assert np.abs(after - before).max() > 1e-3


def test_a_policy_with_its_state_in_the_prompt_is_refused(tmp_path):
    folder = Path(shutil.copytree(GOLDEN / "pi05" / "checkpoint", tmp_path / "pi05"))
    with pytest.raises(VlaError, match="state as words of the prompt"):
        dual(folder, period_s=0.5)


def test_a_limit_below_the_period_is_refused(folder):
    with pytest.raises(VlaError, match="limit_s"):
        dual(folder, period_s=0.5, limit_s=0.2)


def test_the_scene_is_not_changed_by_acting_on_it(folder):
    flow = load_policy(str(folder))
    assert isinstance(flow, FlowPolicy)
    request = request_for(flow.spec)
    scene = flow.look(request)
    before = [key.clone() for key, _ in scene.read]
    chunks = [flow.act(scene, request) for _ in range(2)]
    np.testing.assert_array_equal(*chunks)
    assert all(map(torch.equal, before, (key for key, _ in scene.read)))
