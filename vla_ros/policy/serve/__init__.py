"""The policy server: one policy, several robots. Importing this imports no torch and no ROS."""

from vla_ros.policy.serve.batching import BatchPolicy
from vla_ros.policy.serve.server import PolicyServer, ServeConfig, ServeError

__all__ = ["BatchPolicy", "PolicyServer", "ServeConfig", "ServeError"]
