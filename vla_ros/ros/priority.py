"""Real-time priority for a process that must keep its periods, as ros2_control takes one."""

from __future__ import annotations

import os


def claim(priority: int) -> str:
    """Put every thread of this process, and those that they start, under SCHED_FIFO.

    Args:
        priority: 1 to 99 (ros2_control's controller_manager has 50); 0 changes nothing.

    Returns:
        What prevented it and what to do; empty where nothing did.
    """
    if priority == 0:
        return ""
    try:
        for thread in os.listdir("/proc/self/task"):
            os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(priority))
    except (OSError, AttributeError) as error:
        return (
            f"no real-time priority {priority}: {error}; allow it in /etc/security/limits.conf "
            "('@realtime - rtprio 99', and be in that group), or set realtime_priority to 0"
        )
    return ""
