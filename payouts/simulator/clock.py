"""The stand-in's time: the machine's until it is moved. All that takes time follows it."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Seconds since 1970. Can be put forward; frozen, it stands still until then."""

    def __init__(self, machine: Callable[[], float] = time.time, *, frozen_at: int | None = None) -> None:
        self._machine = machine
        self._ahead_s = 0
        self._frozen_at = frozen_at

    def __call__(self) -> int:
        """What time it is."""
        if self._frozen_at is not None:
            return self._frozen_at
        return int(self._machine()) + self._ahead_s

    def advance(self, seconds: int) -> int:
        """Put it forward (or back, as clocks of machines may go): the new time."""
        return self.set(self() + seconds)

    def set(self, now: int) -> int:
        """Put it to a time, from which it goes on as it did: the new time."""
        if self._frozen_at is not None:
            self._frozen_at = now
        else:
            self._ahead_s = now - int(self._machine())
        return now

    def freeze(self) -> int:
        """Let it stand still: the time at which it does."""
        self._frozen_at = self()
        return self._frozen_at
