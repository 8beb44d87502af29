"""Virtual time: it passes only when it is told to, and what is due on the way happens at its own moment."""

import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


class Clock:
    """Called, it says what time it is."""

    def __init__(self) -> None:
        self.now = START
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> int:
        """Since 1970, as the provider counts."""
        return int(self.now.timestamp())

    def at(self, when: datetime, happening: Callable[[], None]) -> None:
        """Let something happen later."""
        heapq.heappush(self._due, (when, next(self._order), happening))

    def advance(self, span: timedelta) -> None:
        """Let time pass."""
        end = self.now + span
        while self._due and self._due[0][0] <= end:
            when, _, happening = heapq.heappop(self._due)
            self.now = max(self.now, when)
            happening()
        self.now = end

    def reset(self) -> None:
        """Back to the start; nothing is due."""
        self.now = START
        self._due.clear()
