"""Judges what a soak saw: the last third of it against the first, by part and figure. Pure."""

import statistics
from collections.abc import Sequence
from typing import Final, NamedTuple

MEMORY_MORE: Final = 1.1
MEMORY_MORE_MIB: Final = 16
"""An interpreter's own ups and downs. In thirty minutes, a leak of ten bytes a conversion is more."""
P99_MORE: Final = 1.5
P99_MORE_MS: Final = 10
STALLS_MORE: Final = 2
"""Of the slowest tenth of the slices: a stall now and then shows there, but the host's noise, too."""
LAG_S_MAX: Final = 5
FILES_MORE: Final = 8
"""Connections that a pool opens for a rush and gives back."""
POSTGRESQL: Final = "postgresql"


class Moment(NamedTuple):
    """A few seconds of load, and one look at the processes in their middle. Memory and files by part."""

    at_s: float
    answered: int
    p50_ms: float
    p99_ms: float
    lag_events: int
    lag_s: float
    connections: int
    memory_mib: dict[str, float]
    files: dict[str, int]


class Steady(NamedTuple):
    """A figure in the first third, in the last, and whether that counts as steady."""

    name: str
    first: float
    last: float
    holds: bool


def judge(moments: Sequence[Moment]) -> list[Steady]:
    """Every figure that must not grow. Of memory and p99 the medians count, of p99 also where its slowest
    tenth begins, of the rest the highest.
    """
    third = (len(moments) + 2) // 3
    first, last = moments[:third], moments[-third:]
    found = []
    for part in sorted({part for moment in moments for part in moment.memory_mib}):
        a, b = (statistics.median([_memory(moment, part) for moment in some]) for some in (first, last))
        if part == POSTGRESQL:
            found.append(Steady(f"memory of {part} by connection, MiB", a, b, b <= a * MEMORY_MORE))
            continue
        found.append(Steady(f"memory of {part}, MiB", a, b, b <= max(a * MEMORY_MORE, a + MEMORY_MORE_MIB)))
        a, b = (max(moment.files.get(part, 0) for moment in some) for some in (first, last))
        found.append(Steady(f"open files of {part}", a, b, b <= a + FILES_MORE))
    a, b = (max(moment.connections for moment in some) for some in (first, last))
    found.append(Steady("connections to the database", a, b, b <= a + FILES_MORE))
    a, b = (statistics.median([moment.p99_ms for moment in some]) for some in (first, last))
    found.append(Steady("p99, ms", a, b, b <= max(a * P99_MORE, a + P99_MORE_MS)))
    a, b = (_slowest_tenth([moment.p99_ms for moment in some]) for some in (first, last))
    found.append(Steady("p99 of the slowest tenth, ms", a, b, b <= max(a * STALLS_MORE, a + P99_MORE_MS)))
    a, b = (max(moment.lag_s for moment in some) for some in (first, last))
    found.append(Steady("lag of the slowest reader, s", a, b, b <= LAG_S_MAX))
    return found


def _slowest_tenth(values: Sequence[float]) -> float:
    return sorted(values)[len(values) * 9 // 10]


def _memory(moment: Moment, part: str) -> float:
    # PostgreSQL's by connection: each is a process, which opens a table when it first needs it.
    memory = moment.memory_mib.get(part, 0)
    return memory / max(moment.connections, 1) if part == POSTGRESQL else memory
