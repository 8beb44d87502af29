"""Group commit: appends that arrive together share one locked transaction and one fsync."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final

from ledger import processors
from ledger.store.recorder import EventRecorder, Unit

QUEUE_MAX: Final = 1_024
"""Appends that may wait in one process; the next one is refused, so that memory stays bounded."""
GROUP_EVENTS_MAX: Final = 10_000
"""Events that one transaction takes at the most, so that no group holds the lock for long."""
COMPANY_MIN: Final = 4
"""So many appends on their way at once are waited for; fewer would save less than they wait."""
EVENTS_ENOUGH: Final = 256
"""A group of so many events is worth its transaction as it is."""
PATIENCE_COMMITS: Final = 4
PATIENCE_S_MAX: Final = 0.02
"""How long a group waits for company: so many times as long as the last commit took, and never longer."""


class Overloaded(Exception):
    """More appends wait than the queue holds. `retry_after_s` is when to come back."""

    retry_after_s = 1


Outcome = list[list[int] | None]
Append = tuple[Sequence[Unit], Future[Outcome], int]
"""Units, who waits for them, and how many events they are."""


class GroupCommitter:
    """One thread per process that commits whatever has gathered: while the last commit ran, and behind it.

    Who was answered by the last commit likely comes again, which takes a moment. A commit costs as much for
    one append as for thirty, so as many as were on their way at the end of the last commit are waited
    for, with patience: PostgreSQL's `commit_delay`, but by what was seen. Who appends alone never waits.
    """

    def __init__(self, recorder: EventRecorder, *, queue_max: int = QUEUE_MAX) -> None:
        self._recorder = recorder
        self._queue_max = queue_max
        self._changed = threading.Condition(threading.Lock())
        self._queue: deque[Append] = deque()
        self._events = 0  # of all that wait
        self._wanted = 1  # so many appends must wait before the thread is woken
        self._expected = 1
        self._patience_s = 0.0
        self._thread: threading.Thread | None = None
        self._closed = False

    def append(self, units: Sequence[Unit]) -> Outcome:
        """As `EventRecorder.append`, answered once the shared transaction is durable. Raises Overloaded."""
        return self.submit(units).result()

    def submit(self, units: Sequence[Unit]) -> Future[Outcome]:
        """As `append`, but the caller asks for the answer when it wants it."""
        future: Future[Outcome] = Future()
        with self._changed:  # nothing gets in behind `close`
            if self._closed:
                raise Overloaded("the process is shutting down")
            if len(self._queue) >= self._queue_max:
                raise Overloaded("too many appends are waiting")
            if self._thread is None:
                # Started on first use: gunicorn forks its workers after the application may have been made.
                self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
                self._thread.start()
            size = sum(map(len, units))
            self._queue.append((units, future, size))
            self._events += size
            if self._gathered(self._wanted):
                self._changed.notify()
        return future

    @property
    def waiting(self) -> int:
        """How many appends wait for their commit now."""
        return len(self._queue)

    def close(self) -> None:
        """Commit what waits, then stop; later appends are refused."""
        with self._changed:
            self._closed = True
            thread, self._thread = self._thread, None
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        processors.roam()  # the database works meanwhile, and the threads that decide the next appends, too
        while group := self._gather():
            self._commit(group)

    def _gather(self) -> list[Append]:
        """The next group; none once it is closed and nothing waits."""
        with self._changed:
            self._wanted = 1
            self._changed.wait_for(lambda: self._queue or self._closed)
            if self._expected >= COMPANY_MIN and not self._gathered(self._expected):
                self._wanted = self._expected
                self._changed.wait(self._patience_s)
            group: list[Append] = []
            size = 0
            while self._queue and size < GROUP_EVENTS_MAX:
                group.append(self._queue.popleft())
                size += group[-1][2]
            self._events -= size
            return group

    def _gathered(self, appends: int) -> bool:
        """Whether so many appends wait, or as many events as need no more company, or none will come."""
        return len(self._queue) >= appends or self._events >= EVENTS_ENOUGH or self._closed

    def _commit(self, group: list[Append]) -> None:
        began = time.perf_counter()
        try:
            outcome = self._recorder.append([unit for units, _, _ in group for unit in units])
        except BaseException as error:  # whoever waits must hear of it, whatever it is
            for _, future, _ in group:
                future.set_exception(error)
            return
        # Before anybody is answered: who comes again at once would be counted twice.
        self._patience_s = min(PATIENCE_COMMITS * (time.perf_counter() - began), PATIENCE_S_MAX)
        self._expected = len(group) + len(self._queue)
        start = 0
        for units, future, _ in group:
            future.set_result(outcome[start : start + len(units)])
            start += len(units)
