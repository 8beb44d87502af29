"""The views in a process of their own, as `revshare project` is: they follow the log when told to."""

import multiprocessing
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from ledger.store.application import Ledger
from ledger.store.database import Database
from projections import position
from projections.runner import Runner
from projections.view import position_name
from projections.views import VIEWS

_LOOK_S = 0.002
_NAMES = [position_name(view) for view in VIEWS]


class Follower:
    """The other end of that process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def begin(self) -> None:
        """Let the views follow from now on, as they do in the product."""
        self._pipe.send(None)

    def rest_at(self, upto: int) -> None:
        """Wait until all views have come to this position; then they rest."""
        self._pipe.send(upto)
        self._pipe.recv()


@contextmanager
def following(url: str) -> Iterator[Follower]:
    """A process that has its views ready, and rests; it ends with the block."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(url, theirs), daemon=True)
    process.start()
    theirs.close()
    ours.recv()
    try:
        yield Follower(ours)
    finally:
        ours.close()
        process.join()


def _serve(url: str, pipe: Connection) -> None:
    ledger = Ledger(Database(url))
    runner = Runner(ledger)
    runner.catch_up()
    pipe.send(None)
    try:
        while True:
            pipe.recv()
            stop = threading.Event()
            running = threading.Thread(target=runner.run, args=(stop,))
            running.start()
            upto = pipe.recv()
            while _reached(ledger) < upto:
                time.sleep(_LOOK_S)
            pipe.send(None)
            stop.set()
            running.join()
    except EOFError:
        ledger.close()


def _reached(ledger: Ledger) -> int:
    """As far as all views have come."""
    with ledger.database.read() as connection:
        return min(position.read(connection, _NAMES).values())
