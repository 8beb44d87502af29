"""Where tests write: a folder in memory where the machine has room for one, else its temporary folder."""

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")
ROOM_BYTES: Final = 4 * 2**30
"""Free in that folder and in the machine. The tests themselves take a quarter of it at most."""


def write_to_memory() -> None:
    """Let this process and those it starts make temporary files in memory; TMPDIR, when set, is left alone.

    Tests make a thousand databases and throw each away in a moment. What a disk does with that takes minutes
    and tests nothing of ours: the databases call fsync all the same, and no test takes a disk's power away.
    """
    if "TMPDIR" not in os.environ and has_room(MEMORY):
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None


def has_room(folder: Path) -> bool:
    """Whether programs may be run and much can be written there."""
    try:
        about = os.statvfs(folder)
    except OSError:
        return False
    free = min(about.f_bavail * about.f_frsize, available_memory())
    return os.access(folder, os.W_OK) and not about.f_flag & os.ST_NOEXEC and free >= ROOM_BYTES


def available_memory() -> int:
    """Bytes of memory that could be had: of the machine, and no more than the limit that confines us."""
    found = []
    with suppress(OSError):
        told = re.search(r"^MemAvailable:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
        found += [int(told[1]) * 1024] if told else []
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # "max" is no number: no limit
            found.append(int((Path("/sys/fs/cgroup") / limit).read_text()))
    return min(found, default=0)
