"""Faults on demand: a script of what goes wrong with the next calls. Kept in memory only."""

from __future__ import annotations

import threading
from typing import Literal

import msgspec

FaultKind = Literal[
    "drop_before",  # the connection ends before anything was executed
    "drop_after_commit",  # executed and stored, but the answer is lost
    "truncate_after_commit",  # executed and stored, the answer breaks off in its middle
    "stored_500",  # nothing moved; the 500 is kept under the key
    "stored_500_after_commit",  # the money moved, and yet the answer kept under the key is a 500
    "rate_limit",  # 429, nothing executed or kept
    "key_in_use",  # 409, nothing executed or kept
    "delay",  # the answer takes `seconds` longer, with the key in use all the while
]


# The WSGI environment's word to the server, with "close" or "truncate": end this connection.
DROP = "stripe_simulator.drop"


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the script: what happens how often on which call.

    `on` is a method and a route as app.py has it (`POST /v1/transfers`), or `*` for any.
    """

    on: str
    do: FaultKind
    times: int = 1
    seconds: float = 0.0
    retry_after_s: int | None = None


class Dropped(Exception):
    """The connection shall end here, before anything was executed."""


class Faults:
    """The faults still to come, taken in the order of the script."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: list[Fault] = []

    def add(self, script: list[Fault]) -> int:
        """Append to the script. Says how many calls will fail."""
        with self._lock:
            for fault in script:
                self._left.extend([msgspec.structs.replace(fault, times=1)] * fault.times)
            return len(self._left)

    def take(self, call: str) -> Fault | None:
        """The next fault for this call, or None."""
        with self._lock:
            for index, fault in enumerate(self._left):
                if fault.on in (call, "*"):
                    return self._left.pop(index)
        return None
