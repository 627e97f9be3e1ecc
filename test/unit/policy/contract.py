"""What every policy must keep, whichever it is."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "serve"))

from serving import Serving

from vla_ros.policy.device import MovablePolicy
from vla_ros.policy.protocol import Guidance
from vla_ros.policy.remote import ServedPolicy
from vla_ros.policy.serve.batching import BatchPolicy


class PolicyContract:
    """Subclass it as ``class TestX(PolicyContract)`` with fixtures ``policy`` and ``request_``."""

    def test_the_spec_is_complete(self, policy):
        spec = policy.spec
        assert spec.name
        assert spec.model_id
        assert spec.horizon >= 1
        assert spec.contract.dt_ns > 0
        assert len(set(spec.action_names)) == len(spec.action_names) > 0
        assert len(set(spec.state_names)) == len(spec.state_names) > 0
        assert set(spec.contract.image_latency_ns) >= set(spec.camera_keys)

    def test_an_answer_has_the_shape_the_spec_promises(self, policy, request_):
        policy.warm_up()
        chunk = policy.infer(request_)
        assert chunk.shape == (policy.spec.horizon, len(policy.spec.action_names))
        assert chunk.dtype == np.float64
        assert np.isfinite(chunk).all()

    def test_the_observation_is_not_changed(self, policy, request_):
        state = request_.observation.state.copy()
        images = {key: image.copy() for key, image in request_.observation.images.items()}
        policy.infer(request_)
        np.testing.assert_array_equal(request_.observation.state, state)
        for key, image in images.items():
            np.testing.assert_array_equal(request_.observation.images[key], image)

    def test_equal_requests_with_a_seed_get_equal_answers(self, policy, request_):
        np.testing.assert_array_equal(policy.infer(request_), policy.infer(request_))

    def test_a_reset_leaves_it_usable(self, policy, request_):
        policy.infer(request_)
        policy.reset()
        assert policy.infer(request_).shape[0] == policy.spec.horizon

    def test_behind_a_server_it_answers_the_same(self, policy, request_):
        alone = policy.infer(request_)
        with Serving(policy) as server:
            client = ServedPolicy(server.uri)
            np.testing.assert_array_equal(client.infer(request_), alone)
            client.close()

    def test_closing_twice_is_harmless(self, policy):
        policy.close()
        policy.close()


class MovablePolicyContract(PolicyContract):
    """Of policies that compute on any device."""

    def test_everything_is_computed_on_the_device_it_is_moved_to(
        self, policy, request_, monkeypatch
    ):
        """Torch's `meta` device holds no numbers, but refuses to mix with the CPU as a GPU does."""
        assert isinstance(policy, MovablePolicy)
        policy.to(torch.device("meta"))
        came_back = []

        def back(tensor):
            came_back.append(tensor.device.type)
            return torch.zeros(tensor.shape)

        monkeypatch.setattr(torch.Tensor, "cpu", back)
        policy.infer(request_)
        assert came_back == ["meta"]


class BatchPolicyContract(PolicyContract):
    """Of policies that answer several requests at once."""

    def test_a_batch_answers_each_request_as_if_it_were_alone(self, policy, request_):
        assert isinstance(policy, BatchPolicy)
        other = replace(request_, prompt=request_.prompt.rsplit(" ", 1)[0], seed=5)
        guidance = Guidance(
            actions=policy.infer(request_), weights=np.linspace(1.0, 0.0, policy.spec.horizon)
        )
        requests = [request_, other, replace(other, guidance=guidance)]
        for alone, together in zip(
            map(policy.infer, requests), policy.infer_batch(requests), strict=True
        ):
            np.testing.assert_allclose(together, alone, atol=1e-5)
