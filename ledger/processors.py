"""Which processors a thread may use: those of one interpreter share one, its database is served from any."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

GIVEN: Final[tuple[int, ...]] = (
    tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()
)
"""Those that this process was given when it began; none where the system does not tell (it is no Linux)."""


def keep_to(processor: int) -> None:
    """Let the calling thread, and those that it starts from now on, run on this processor alone.

    One thread of an interpreter runs at a time. To wake the next one on another processor, and to move what
    it works with there, takes many times as long as to wake it here.
    """
    _use((processor,))


def roam() -> None:
    """Let the calling thread run wherever this process may: for work outside of the interpreter."""
    if GIVEN:
        _use(GIVEN)


@contextmanager
def roaming() -> Iterator[None]:
    """As `roam` while the block runs. A process that is started in it may run anywhere, too."""
    if not GIVEN:
        yield
        return
    before = os.sched_getaffinity(0)
    roam()
    try:
        yield
    finally:
        _use(before)


def _use(processors: tuple[int, ...] | set[int]) -> None:
    # Somebody may have taken a processor away since: then the system has chosen already.
    with suppress(OSError):
        os.sched_setaffinity(0, processors)
