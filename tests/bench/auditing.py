"""Ingest with the audit log ÷ without: single POSTs while its sequencer follows, and while it rests.

The ratio differs from round to round by more than the sequencer costs. So the run tells that cost, too, of
all rounds together: commits, for how long they held the place of whoever writes, processor time.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from ledger.store.application import Ledger
from ledger.store.database import Database
from projections.audit_log import Sequencer
from tests.bench.harness import Ratio, alternate
from tests.bench.place import Place
from tests.bench.single_post import send_singles

SECONDS_MIN = 2.0
"""Of a round: it rests for one second between two batches."""


class _Watched(Database):
    """Counts what is written, and for how many seconds: on SQLite nobody else can write then."""

    commits = 0
    held_s = 0.0

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """As always; from the lock to the end of the commit."""
        began = None
        try:
            with super().write() as connection:
                began = time.perf_counter()
                yield connection
        finally:
            if began is not None:
                self.commits += 1
                self.held_s += time.perf_counter() - began


def measure(place: Place) -> Ratio:
    """The sequencer runs in this process, which has nothing else to do while the client sends."""
    database = _Watched(place.url)
    sequencer = Sequencer(Ledger(database))
    cost = _Cost()

    def followed(number: int) -> float:
        sequencer.catch_up()
        if number == 0:
            cost.begin(database)  # after the round that warms up
        stop = threading.Event()
        following = threading.Thread(target=cost.counting(sequencer.run), args=(stop,))
        following.start()
        try:
            return _send(place)
        finally:
            stop.set()
            following.join()

    tops, bottoms = alternate(followed, lambda _: _send(place), place.rounds)
    print(f"sequencer on {place.database}: {cost.told(database)}", flush=True)
    database.close()
    return Ratio("audit-log", tops, bottoms, "requests/s")


def _send(place: Place) -> float:
    return send_singles(place, place.port, "/v1/conversions", seconds_min=SECONDS_MIN)


class _Cost:
    """What a sequencer took of the machine while it followed."""

    def __init__(self) -> None:
        self.seconds = self.cpu_s = 0.0

    def begin(self, database: _Watched) -> None:
        """Count from here on."""
        self.seconds = self.cpu_s = database.held_s = 0.0
        database.commits = 0

    def counting(self, run: Callable[[threading.Event], None]) -> Callable[[threading.Event], None]:
        """`run`, of which the time is counted; in a thread of its own."""

        def counted(stop: threading.Event) -> None:
            began = time.perf_counter()
            run(stop)
            self.seconds += time.perf_counter() - began
            self.cpu_s += time.thread_time()

        return counted

    def told(self, database: _Watched) -> str:
        """In one line, by the second in which it followed."""
        commits, held, cpu = (each / self.seconds for each in (database.commits, database.held_s, self.cpu_s))
        return (
            f"{commits:.1f} commits a second, that held its place for {1e3 * held:.0f} ms of it; "
            f"{1e3 * cpu:.0f} ms of processor time"
        )
