"""Whether a session still lives: it was heard of lately, and its process is there where we can look.

A process that was killed is gone at once; one on another machine, or behind another kernel's wall, is believed for a while.
"""

from __future__ import annotations

import functools
import os
import platform
import sys
from pathlib import Path

BEAT_S = 45.0  # a session that says nothing for longer is taken for dead
BEAT_AGAIN_S = 5.0  # younger beats are not renewed: each would be a write
BATCH_S = 48 * 3600.0  # a day is promised by every provider; after two a batch is surely over


@functools.cache
def host() -> str:
    """Where process numbers mean the same: the machine's name, its boot, its namespace of processes."""
    return " ".join([platform.node() or "localhost", *filter(None, (_boot(), _namespace()))])


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def alive_until(beat_s: float, host_of: str, pid: int, now_s: float) -> float | None:
    """The moment until which a session is believed that was heard of at `beat_s`; None where it is dead."""
    until = beat_s + BEAT_S
    return until if now_s < until and (host_of != host() or exists(pid)) else None


def exists(pid: int) -> bool:
    """Whether this machine has such a process. Windows cannot be asked without ending the process: there it has."""
    if sys.platform == "win32" or pid == os.getpid():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is there, and somebody else's
        pass
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """A process that ended and that nobody waited for still answers to its number."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2]
    except OSError:
        return False
    return after_name.split()[:1] in ([b"Z"], [b"X"])
