"""gunicorn's threaded worker, but one that leaves new connections to a sibling that has fewer."""

import mmap
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from gunicorn.workers.gthread import ThreadWorker

from api.settings import WORKERS_MAX

SLOTS: Final = 2 * WORKERS_MAX
"""At a reload the new workers come before the old ones go."""
PASS_S: Final = 0.0005
PASSES_MAX: Final = 10
"""So long, and so often while no sibling comes, a worker leaves them; then it takes what waits."""
_NOBODY: Final = -1

connections: Final = memoryview(mmap.mmap(-1, SLOTS * 4)).cast("i")
"""How many connections the worker of each slot has, where it takes new ones. All workers share it."""
for _slot in range(SLOTS):
    connections[_slot] = _NOBODY


class Worker(ThreadWorker):  # type: ignore[misc]  # which has no types
    """A worker answers from one processor: connections that all came to one of two would leave half of the
    machine idle, and of a burst of them whoever wakes first would take most."""

    slot: int | None = None
    """Where its connections are counted. Without one it leaves nothing to anybody."""
    processor: int | None = None
    """Which one it answers from; None: from any."""
    _passes = 0
    _came = False

    def accept(self, listener: Any) -> None:
        """Take a new connection, unless a sibling has fewer, and was not waited for in vain just now."""
        self._came = True
        if not self._is_ahead():
            self._passes = 0
        elif self._passes < PASSES_MAX:
            self._passes += 1
            time.sleep(PASS_S)
            return
        super().accept(listener)
        self._tell()

    def set_accept_enabled(self, enabled: bool) -> None:
        """As gunicorn's. Nobody waits for a worker that stops, or is full."""
        super().set_accept_enabled(enabled)
        self._tell()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """As gunicorn's; before it, the siblings are told how many connections are left."""
        self._tell()
        self._came = False
        super().wait_for_and_dispatch_events(timeout)
        if not self._came:  # nobody waits any more: the next one is another connection
            self._passes = 0

    def _is_ahead(self) -> bool:
        return self.slot is not None and any(0 <= count < self.nr_conns for count in connections)

    def _tell(self) -> None:
        if self.slot is not None:
            connections[self.slot] = self.nr_conns if self._accepting else _NOBODY


def seat(worker: Any, siblings: Iterable[Any], processors: Sequence[int]) -> None:
    """Give a worker that is about to be forked a slot that no sibling has, and of these processors the first
    one that the fewest of them have."""
    seated = list(siblings)
    slots = {sibling.slot for sibling in seated}
    worker.slot = next((slot for slot in range(SLOTS) if slot not in slots), None)
    taken = Counter(sibling.processor for sibling in seated)
    worker.processor = min(processors, key=lambda one: taken[one], default=None)
    leave(worker)  # what another one left there


def leave(worker: Any) -> None:
    """A worker that ended has no connections: else the others would wait for it."""
    if worker.slot is not None:
        connections[worker.slot] = _NOBODY
