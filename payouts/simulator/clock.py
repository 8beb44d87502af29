"""The stand-in's time: the machine's until it is moved. All that takes time follows it."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec


class _State(msgspec.Struct):
    ahead_s: int = 0
    frozen_at: int | None = None


class Clock:
    """Seconds since 1970. Can be moved; frozen, it stands still until then."""

    def __init__(self, machine: Callable[[], float] = time.time, *, frozen_at: int | None = None) -> None:
        self._machine = machine
        self._state = _State(frozen_at=frozen_at)

    def __call__(self) -> int:
        """What time it is."""
        state = self._state
        return int(self._machine()) + state.ahead_s if state.frozen_at is None else state.frozen_at

    def advance(self, seconds: int) -> int:
        """Put it forward (or back, as clocks of machines may go): the new time."""
        return self.set(self() + seconds)

    def set(self, now: int) -> int:
        """Put it to a time, from which it goes on as it did: the new time."""
        if self._state.frozen_at is None:
            self._state = _State(ahead_s=now - int(self._machine()))
        else:
            self._state = _State(frozen_at=now)
        return now

    def freeze(self) -> int:
        """Let it stand still: the time at which it does."""
        now = self()
        self._state = _State(frozen_at=now)
        return now

    def state(self) -> str:
        """How it was moved, as a text to keep."""
        return msgspec.json.encode(self._state).decode()

    def resume(self, state: str) -> None:
        """Be moved as it was when the text was kept."""
        self._state = msgspec.json.decode(state, type=_State)
