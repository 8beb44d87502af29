"""Turns: several workers of which exactly one runs at a time, so that a seed decides who does what.

A lane runs one piece of work at a time and gives the turn back at any boundary it meets. Each has a call
stack of its own, a greenlet: threads would do as well, but to wake one costs as much as what it then does.
"""

from collections.abc import Callable
from datetime import datetime

from greenlet import greenlet


class Killed(BaseException):
    """Stands for the end of a process: nothing catches it, and nothing that it does later has an effect."""


class Lane:
    """A thread of control. `resume` lets it run until it pauses or ends; both happen in its own time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.doomed = False
        self.until: datetime | None = None
        """When it wakes: a worker that sleeps, or waits for an answer that is on its way."""
        self._stack: greenlet | None = None

    @property
    def idle(self) -> bool:
        """Whether it has nothing to do."""
        return self._stack is None

    def start(self, work: Callable[[], None]) -> None:
        """Give it something to do; `resume` begins it."""
        assert self.idle
        self.doomed, self.until = False, None
        self._stack = greenlet(lambda: self._live(work))

    def resume(self) -> None:
        """Let it run until it pauses or ends. What it raised (but Killed) is raised here."""
        assert self._stack is not None
        self._stack.parent = greenlet.getcurrent()
        self._stack.switch()

    def pause(self) -> None:
        """Give the turn back; called within the lane. Comes back from `resume`, or not at all."""
        assert self._stack is not None
        assert self._stack.parent is not None
        self._stack.parent.switch()
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

    def _live(self, work: Callable[[], None]) -> None:
        """What the work raises goes on to whoever resumed it, as a greenlet's error goes to its parent."""
        try:
            if not self.doomed:
                work()
        except Killed:
            pass
        finally:
            self._stack = None
