"""Turns: several workers' threads of which exactly one runs at a time, so that a seed decides who does what.

A lane runs one piece of work at a time and gives the turn back at any boundary it meets. The threads only
keep the call stacks apart; nothing here depends on how the machine schedules them.
"""

import threading
from collections.abc import Callable
from datetime import datetime


class Killed(BaseException):
    """Stands for the end of a process: nothing catches it, and nothing that it does later has an effect."""


class Lane:
    """A thread of control. `resume` lets it run until it pauses or ends; both happen in its own time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.doomed = False
        self.until: datetime | None = None
        """When it wakes: a worker that sleeps, or waits for an answer that is on its way."""
        self._work: Callable[[], None] | None = None
        self._error: BaseException | None = None
        self._go, self._back = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._back.acquire()
        threading.Thread(target=self._live, name=name, daemon=True).start()

    @property
    def idle(self) -> bool:
        """Whether it has nothing to do."""
        return self._work is None

    def start(self, work: Callable[[], None]) -> None:
        """Give it something to do; `resume` begins it."""
        assert self.idle
        self.doomed, self.until = False, None
        self._work = work

    def resume(self) -> None:
        """Let it run until it pauses or ends. What it raised (but Killed) is raised here."""
        self._go.release()
        self._back.acquire()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def pause(self) -> None:
        """Give the turn back; called within the lane. Comes back from `resume`, or not at all."""
        self._back.release()
        self._go.acquire()
        self.check()

    def check(self) -> None:
        """A process that ended does nothing any more: not in a `finally` either."""
        if self.doomed:
            raise Killed

    def kill(self) -> None:
        """End its work where it stands."""
        self.doomed = True
        if not self.idle:
            self.resume()

    def _live(self) -> None:
        while True:
            self._go.acquire()
            assert self._work is not None
            try:
                self._work()
            except Killed:
                pass
            except BaseException as error:
                self._error = error
            self._work = None
            self._back.release()
