"""Policies: what decides the next second of motion. Importing this package imports no torch."""

from vla_ros.policy.protocol import Guidance, Policy, PolicyRequest, PolicySpec

__all__ = ["Guidance", "Policy", "PolicyRequest", "PolicySpec"]
