"""What every policy must keep, whichever it is. Subclass and provide `policy` and `request`."""

from __future__ import annotations

import numpy as np
import pytest

from vla_ros.policy.protocol import Policy, PolicyRequest


class PolicyContract:
    """Subclass it as ``class TestX(PolicyContract)`` with fixtures ``policy`` and ``request_``."""

    @pytest.fixture
    def policy(self) -> Policy:
        raise NotImplementedError

    @pytest.fixture
    def request_(self, policy: Policy) -> PolicyRequest:
        raise NotImplementedError

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

    def test_closing_twice_is_harmless(self, policy):
        policy.close()
        policy.close()
