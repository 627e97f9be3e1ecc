"""vla_ros_msgs/Commanded <-> ``robot.CommandedSample``."""

from __future__ import annotations

from typing import get_args

import numpy as np
from vla_ros_msgs.msg import Commanded

from vla_ros.robot.command.commands import CommandedSample, Mode
from vla_ros.ros.conversions.arrays import doubles, packed
from vla_ros.ros.conversions.plan import run_id_from, uuid_msg
from vla_ros.ros.conversions.times import header, ns_from

MODES: dict[Mode, int] = {mode: getattr(Commanded, mode) for mode in get_args(Mode)}
"""Word -> constant of Commanded.msg and BridgeStatus.msg."""

WORDS: dict[int, Mode] = {value: key for key, value in MODES.items()}
"""The other way round."""


def commanded_msg(sample: CommandedSample, base_frame: str) -> Commanded:
    """Value -> message."""
    return Commanded(
        header=header(sample.stamp_ns, base_frame),
        run_id=uuid_msg(sample.run_id),
        epoch=sample.epoch,
        chunk_seq=sample.chunk_seq,
        chunk_row=sample.chunk_row,
        spec_hash=sample.spec_hash,
        mode=MODES[sample.mode],
        action=packed(sample.action, "d"),
        reference=packed(sample.reference, "d"),
        velocity=packed(sample.velocity, "d"),
        acceleration=packed(sample.acceleration, "d"),
        limited=packed(sample.limited, "B"),
        time_scale=sample.time_scale,
        deviation=sample.deviation,
    )


def commanded_from(message: Commanded) -> CommandedSample:
    """Message -> value."""
    limited = np.array(message.limited, dtype=np.uint8)
    limited.setflags(write=False)
    return CommandedSample(
        stamp_ns=ns_from(message.header.stamp),
        run_id=run_id_from(message.run_id),
        epoch=message.epoch,
        chunk_seq=message.chunk_seq,
        chunk_row=message.chunk_row,
        spec_hash=message.spec_hash,
        mode=WORDS[message.mode],
        action=doubles(message.action),
        reference=doubles(message.reference),
        velocity=doubles(message.velocity),
        acceleration=doubles(message.acceleration),
        limited=limited,
        time_scale=message.time_scale,
        deviation=message.deviation,
    )
