"""The nodes: wiring only, one process each."""

from __future__ import annotations

from vla_ros.ros.messages import require_messages

require_messages()
