"""The last words of a bridge that is deactivated in mid-motion, to robots that do not brake alone.

A rolling window ends in a brake; a position, velocity or effort that is streamed does not.
"""

from __future__ import annotations

import time

from vla_ros.robot.command.commander import Commander
from vla_ros.ros.clock import NodeClock
from vla_ros.ros.outputs import Outputs

LONGEST_S = 2.0


def brake(commander: Commander, outputs: Outputs, clock: NodeClock, period_ns: int) -> None:
    """Go on sending, in this thread, until the robot rests; then whatever is left is zero.

    Does nothing where the robot brakes by itself, or is not ours.

    Args:
        commander: Was told to stop.
        outputs: Sends its commands.
        clock: Of the node.
        period_ns: Control period, in [ns].
    """
    start_ns, steady_ns, begin_s = clock.now_ns(), clock.awake_ns(), time.monotonic()
    elapsed_ns = 0
    if not commander.must_say_goodbye(start_ns):
        return
    while not commander.at_rest and elapsed_ns < LONGEST_S * 1e9:
        time.sleep(period_ns * 1e-9)
        elapsed_ns = round((time.monotonic() - begin_s) * 1e9)
        now_ns = start_ns + elapsed_ns
        outputs.send(commander.tick(now_ns, steady_ns + elapsed_ns), now_ns)
    outputs.send(commander.last_words(start_ns + elapsed_ns), start_ns + elapsed_ns)
    outputs.flush()
