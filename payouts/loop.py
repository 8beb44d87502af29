"""The loop of whatever works by itself here: turn after turn, until told to stop."""

import threading
from collections.abc import Callable

import structlog

from ledger.store.database import DatabaseUnavailable

_log = structlog.get_logger(__name__)


def run_turns(stop: threading.Event, turn: Callable[[], float], *, away_s: float) -> None:
    """Take turns until told to stop. Each says for how many seconds to wait after it.

    A database that is away is waited for, `away_s` at a time.
    """
    while not stop.is_set():
        try:
            wait_s = turn()
        except DatabaseUnavailable as error:
            _log.warning("database unavailable", error=str(error))
            wait_s = away_s
        if wait_s:
            stop.wait(wait_s)
