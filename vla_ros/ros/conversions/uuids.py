"""unique_identifier_msgs/UUID <-> 16 bytes."""

from __future__ import annotations

import numpy as np
from unique_identifier_msgs.msg import UUID


def uuid_msg(value: bytes) -> UUID:
    """16 bytes -> UUID."""
    return UUID(uuid=np.frombuffer(value, dtype=np.uint8))


def uuid_bytes(message: UUID) -> bytes:
    """UUID -> 16 bytes."""
    return bytes(message.uuid)
