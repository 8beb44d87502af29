"""Looks at running processes from outside: memory of their own, open files, processor time, by part."""

from collections.abc import Iterator
from typing import NamedTuple

import psutil

from tests.bench.steadiness import POSTGRESQL

MIB = 2**20
PARTS = {
    "serve": "api",
    "engine": "engine",
    "project": "projections",
    "run": "audit",
    "work": "payouts",
    "simulator": "stand-in",
    "up": "supervisor",
}
"""What a process is, by the last word of its command."""


class Sample(NamedTuple):
    """One look: by part, summed over its processes. `memory` is what each process has to itself, in MiB."""

    memory: dict[str, float]
    files: dict[str, int]


class Watch:
    """The processes below one, and those of a PostgreSQL that listens on a port of this machine."""

    def __init__(self, pid: int, postgresql_port: int | None) -> None:
        self._root = psutil.Process(pid)
        self._postmaster = None if postgresql_port is None else _postmaster(postgresql_port)
        self._used: dict[tuple[str, int], float] = {}

    def look(self) -> Sample:
        """Sum up what is there now."""
        memory: dict[str, float] = {}
        files: dict[str, int] = {}
        for part, process in self._processes():
            try:
                own = _own_bytes(part, process) / MIB
                opened = process.num_fds()
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue  # a backend that ended while we looked
            memory[part] = memory.get(part, 0) + own
            files[part] = files.get(part, 0) + opened
            self._used[part, process.pid] = times.user + times.system
        return Sample(memory, files)

    def processor_s(self) -> dict[str, float]:
        """Seconds of processor time by part, of all processes that were ever seen, as of the last look."""
        found: dict[str, float] = {}
        for (part, _), seconds in self._used.items():
            found[part] = found.get(part, 0) + seconds
        return found

    def _processes(self) -> Iterator[tuple[str, psutil.Process]]:
        for process in [self._root, *self._root.children(recursive=True)]:
            try:
                word = process.cmdline()[-1]
            except (psutil.NoSuchProcess, IndexError):
                continue
            yield PARTS.get(word, "other"), process
        if self._postmaster is not None:
            for process in [self._postmaster, *self._postmaster.children(recursive=True)]:
                yield POSTGRESQL, process


def _own_bytes(part: str, process: psutil.Process) -> int:
    """What a process has to itself. A part of ours is forked and shares with its parent, so its pages are
    looked at one by one. Of PostgreSQL it is what the kernel counts anyhow: to walk through gigabytes of
    shared_buffers in each of forty backends would itself be load.
    """
    if part != POSTGRESQL:
        return int(process.memory_full_info().uss)
    counted = process.memory_info()
    return int(counted.rss - counted.shared)


def _postmaster(port: int) -> psutil.Process | None:
    """The server that was started with this port; None if it is not on this machine, or not ours to see."""
    for process in psutil.process_iter():
        try:
            if process.name().startswith("postgres") and f"port={port}" in process.cmdline():
                return process
        except psutil.Error:
            continue
    return None
