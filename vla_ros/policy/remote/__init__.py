"""Policies that live behind a network connection. Importing this package imports no torch."""

from vla_ros.policy.remote.errors import RemoteError
from vla_ros.policy.remote.load import connect_served, load_served
from vla_ros.policy.remote.mapping import KeyMap
from vla_ros.policy.remote.openpi import OpenpiClient
from vla_ros.policy.remote.served import ServedPolicy

__all__ = [
    "KeyMap",
    "OpenpiClient",
    "RemoteError",
    "ServedPolicy",
    "connect_served",
    "load_served",
]
