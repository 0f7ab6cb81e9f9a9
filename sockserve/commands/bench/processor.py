"""How much processor time the server has used, when it is a process on this machine."""

from __future__ import annotations

import sys
import time


def used_by(pid: int) -> float:
    """CPU seconds, user and system, of all threads of a process since its start. Linux.

    This is clock_getcpuclockid(3), which Python does not have: Linux makes the number of the clock from that of the
    process. /proc/PID/stat has the same in steps of 10 ms. Raises ValueError, in one line, when it cannot be told.
    """
    if sys.platform != "linux":
        raise ValueError("the processor time of another process is told on Linux only")
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except (OSError, OverflowError):
        raise ValueError(f"there is no process {pid}") from None
