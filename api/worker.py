"""gunicorn's threaded worker, but one that leaves a new connection to a sibling that has fewer."""

import mmap
import time
from collections.abc import Iterable
from typing import Any, Final

from gunicorn.workers.gthread import ThreadWorker

PLACES: Final = 64
"""As many workers as the settings allow. More, made by a signal, go by gunicorn's own way: who is first."""
LEFT_S: Final = 0.0005
LEFT_TIMES_MAX: Final = 10
"""So long, and so often in a row, a connection is left to the others; then whoever sees it takes it."""
_NOBODY: Final = -1

connections: Final = memoryview(mmap.mmap(-1, PLACES * 4)).cast("i")
"""How many connections the worker of each place has. The workers are forked, so they share it."""
for _place in range(PLACES):
    connections[_place] = _NOBODY


class Worker(ThreadWorker):  # type: ignore[misc]  # which has no types
    """A worker answers from one processor: connections that all came to one of two would leave half of the
    machine idle, and of a burst of them whoever wakes first would take most."""

    place: int | None = None
    """Where its connections are counted."""
    processor: int | None = None
    """Which one it answers from; None: from any. `pre_fork` tells it both."""
    _left = 0

    def accept(self, listener: Any) -> None:
        """Take a new connection, unless a sibling has fewer, and the time to take it."""
        if self._left < LEFT_TIMES_MAX and self._is_ahead():
            self._left += 1
            time.sleep(LEFT_S)
            return
        self._left = 0
        super().accept(listener)
        self._tell()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """As gunicorn's; before it, the siblings are told how many connections are left."""
        self._tell()
        before = self._left
        super().wait_for_and_dispatch_events(timeout)
        if self._left == before:  # nobody waits any more: the next one is another connection
            self._left = 0

    def _is_ahead(self) -> bool:
        return self.place is not None and any(0 <= count < self.nr_conns for count in connections)

    def _tell(self) -> None:
        if self.place is not None:
            connections[self.place] = self.nr_conns


def seat(worker: Any, siblings: Iterable[Any]) -> None:
    """Give a worker that is about to be forked a place that no sibling has."""
    taken = {sibling.place for sibling in siblings}
    worker.place = next((place for place in range(PLACES) if place not in taken), None)


def leave(worker: Any) -> None:
    """A worker that ended has no connections: else the others would leave all new ones to it."""
    if worker.place is not None:
        connections[worker.place] = _NOBODY
