"""Policies: what decides the next second of motion. Importing this package imports no torch."""

from vla_ros.policy.protocol import Policy, PolicyRequest, PolicySpec

__all__ = ["Policy", "PolicyRequest", "PolicySpec"]
