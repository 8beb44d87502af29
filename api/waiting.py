"""`Prefer: wait=N` (RFC 7240): answer once what a conversion earned can be read, or after N seconds."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import falcon

from ledger.store.application import Ledger
from projections import position

WAIT_S_MAX: Final = 30
_WAIT: Final = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?([0-9]{1,9})\"?\s*(?=$|[,;])", re.IGNORECASE)
ENGINE: Final = "engine"
VIEW: Final = "view:conversions"
_PAUSE_S: Final = 0.02


class Places:
    """How many requests may wait at once in a process of `threads` threads: half of them, so that the others
    answer meanwhile, however many ask to wait. Of one thread none waits.
    """

    def __init__(self, threads: int) -> None:
        self._free = threading.Semaphore(threads // 2)

    @contextmanager
    def one(self) -> Iterator[bool]:
        """A place to wait in. False: there is none, and the preference is passed over, as RFC 7240 allows."""
        taken = self._free.acquire(blocking=False)
        try:
            yield taken
        finally:
            if taken:
                self._free.release()


def asked_s(req: falcon.Request) -> int:
    """How long the caller is ready to wait; 0: not at all."""
    found = _WAIT.search(req.get_header("Prefer", default=""))
    return min(int(found[1]), WAIT_S_MAX) if found else 0


def until_rewarded(
    ledger: Ledger,
    fact_position: int | None,
    seconds: int,
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> bool:
    """Wait until the engine has passed the fact and the view shows what it did; False: not in time.

    Without a position (a fact that was known) the log's head of now stands for it.
    """
    deadline = clock() + seconds
    target = fact_position
    shown: int | None = None
    while True:
        with ledger.database.read() as connection:
            at = position.read(connection, (ENGINE, VIEW))
            if target is None:
                target = ledger.log.head(connection)
            if shown is None and at[ENGINE] >= target:
                shown = ledger.log.head(connection)  # the rewards stand at or before this
        if shown is not None and at[VIEW] >= shown:
            return True
        if clock() >= deadline:
            return False
        pause(_PAUSE_S)
