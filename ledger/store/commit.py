"""Group commit: appends that arrive together share one locked transaction and one fsync."""

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final

from ledger.store.recorder import EventRecorder, Unit

QUEUE_MAX: Final = 1_024
"""Appends that may wait in one process; the next one is refused, so that memory stays bounded."""
GROUP_EVENTS_MAX: Final = 10_000
"""Events that one transaction takes at the most, so that no group holds the lock for long."""


class Overloaded(Exception):
    """More appends wait than the queue holds. `retry_after_s` is when to come back."""

    retry_after_s = 1


Outcome = list[list[int] | None]


class GroupCommitter:
    """One thread per process that commits whatever has gathered while the last commit ran."""

    def __init__(self, recorder: EventRecorder, *, queue_max: int = QUEUE_MAX) -> None:
        self._recorder = recorder
        self._queue: queue.Queue[tuple[Sequence[Unit], Future[Outcome]] | None] = queue.Queue(queue_max)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def append(self, units: Sequence[Unit]) -> Outcome:
        """As `EventRecorder.append`, answered once the shared transaction is durable. Raises Overloaded."""
        return self.submit(units).result()

    def submit(self, units: Sequence[Unit]) -> Future[Outcome]:
        """As `append`, but the caller asks for the answer when it wants it."""
        future: Future[Outcome] = Future()
        with self._lock:  # nothing gets in behind the end that `close` put there
            if self._closed:
                raise Overloaded("the process is shutting down")
            if self._thread is None:
                # Started on first use: gunicorn forks its workers after the application may have been made.
                self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
                self._thread.start()
            try:
                self._queue.put_nowait((units, future))
            except queue.Full:
                raise Overloaded("too many appends are waiting") from None
        return future

    @property
    def waiting(self) -> int:
        """How many appends wait for their commit now."""
        return self._queue.qsize()

    def close(self) -> None:
        """Commit what waits, then stop; later appends are refused."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _run(self) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                return
            group, stopping = self._gather(first)
            self._commit(group)
            if stopping:
                return

    def _gather(
        self, first: tuple[Sequence[Unit], Future[Outcome]]
    ) -> tuple[list[tuple[Sequence[Unit], Future[Outcome]]], bool]:
        group = [first]
        size = sum(map(len, first[0]))
        while size < GROUP_EVENTS_MAX:
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                break
            if waiting is None:
                return group, True
            group.append(waiting)
            size += sum(map(len, waiting[0]))
        return group, False

    def _commit(self, group: list[tuple[Sequence[Unit], Future[Outcome]]]) -> None:
        try:
            outcome = self._recorder.append([unit for units, _ in group for unit in units])
        except BaseException as error:  # whoever waits must hear of it, whatever it is
            for _, future in group:
                future.set_exception(error)
            return
        start = 0
        for units, future in group:
            future.set_result(outcome[start : start + len(units)])
            start += len(units)
