"""Faults on demand: what goes wrong with which calls, by script, count or chance. In memory only."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

CallFault = Literal[
    "drop_before",  # the connection ends before anything was executed
    "drop_after_commit",  # executed and stored, but the answer is lost
    "hang_after_commit",  # executed and stored, but the answer does not come: the caller has to give up
    "truncate_after_commit",  # executed and stored, the answer breaks off in its middle
    "stored_500",  # nothing moved; the 500 is kept under the key
    "stored_500_after_commit",  # the money moved, and yet the answer kept under the key is a 500
    "html_502",  # something before Stripe answers, in HTML; nothing executed or kept
    "html_502_after_commit",  # executed and stored, but the answer got lost on its way and is HTML
    "no_json_after_commit",  # executed and stored, but the answer is a 200 that is no JSON
    "rate_limit",  # 429, nothing executed or kept
    "lock_timeout",  # 429 of another kind: the object is being worked on; nothing executed or kept
    "key_in_use",  # 409, nothing executed or kept
    "delay",  # the answer takes `seconds` longer, with the key in use all the while
    "insufficient_balance",  # executed as if the money were not there yet; that answer is kept under the key
    "drain_platform",  # somebody pays out all that the platform holds in the currency, then the call runs
    "capability_lost",  # the destination loses its `transfers` capability, then the call runs
    "list_lag",  # what the call makes appears in lists only after `seconds`
    "insert_while_paging",  # after this page was given, a stranger's row comes into the list
]
# On `payout`, when one is made:
PayoutFault = Literal[
    "payout_fails",  # it says `paid` and fails `seconds` later (a day by default): the money is back
    "payout_fails_unpaid",  # it fails without ever saying `paid`
]
# On `webhook TYPE`, when the event is written:
WebhookFault = Literal[
    "webhook_lost",  # never delivered
    "webhook_doubled",  # delivered twice
    "webhook_late",  # delivered `seconds` later (an hour by default)
    "webhook_reordered",  # later ones overtake it
    "webhook_before_response",  # delivered before the call that caused it is answered
    "webhook_forged",  # beside the right one comes one that somebody else signed
    "webhook_future",  # beside the right one comes one with a timestamp a year ahead
]
FaultKind = CallFault | PayoutFault | WebhookFault

# Words to the server in the WSGI environment: end this connection (close, truncate, hang), after how long.
DROP = "stripe_simulator.drop"
DROP_AFTER_S = "stripe_simulator.drop_after_s"
HANG_S = 300.0


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the script: what happens on which call.

    `on` is a method and a route as app.py has it (`POST /v1/transfers`), `payout`, `webhook TYPE`, a
    beginning of these that ends in a star, or `*` for any call. Without more it happens to the next `times`
    calls (None: to all); with `nth` to the nth call from now on; with `per_mille` to as many of a thousand
    calls, by the generator that the faults were seeded with.
    """

    on: str
    do: FaultKind
    times: int | None = 1
    nth: int | None = None
    per_mille: int | None = None
    seconds: float = 0.0
    retry_after_s: int | None = None


class Dropped(Exception):
    """The connection shall end here, before anything was executed."""


class FaultSource(Protocol):
    """What the calls ask, each once, before they do anything."""

    def take(self, call: str) -> Fault | None:
        """What goes wrong with this call, or None."""
        ...


class _Line:
    """A line of the script, with what it saw so far."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.left = fault.times
        self.seen = 0

    def is_about(self, call: str) -> bool:
        """Whether it could happen to this call."""
        on = self.fault.on
        if on == "*":
            return call[0].isupper()
        return on == call or (on.endswith("*") and call.startswith(on[:-1]))

    def strikes(self, chance: random.Random) -> bool:
        """Whether it happens to this call, which is one that it is about."""
        self.seen += 1
        if self.left == 0:
            return False
        if self.fault.nth is not None and self.seen != self.fault.nth:
            return False
        return self.fault.per_mille is None or chance.randrange(1000) < self.fault.per_mille


class Faults:
    """The faults still to come: the first line of the script that strikes is taken."""

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._lines: list[_Line] = []
        self._chance = random.Random(seed)

    def reset(self, seed: int = 0) -> None:
        """Forget the script and begin the chances anew."""
        with self._lock:
            self._lines.clear()
            self._chance.seed(seed)

    def add(self, script: Sequence[Fault]) -> int:
        """Append to the script. Says how many calls will surely fail."""
        with self._lock:
            self._lines.extend(_Line(fault) for fault in script)
            return sum(line.left or 0 for line in self._lines if line.fault.per_mille is None)

    def take(self, call: str) -> Fault | None:
        """The next fault for this call, or None. Every line that is about the call counts it."""
        if not self._lines:
            return None
        with self._lock:
            struck = [line for line in self._lines if line.is_about(call) and line.strikes(self._chance)]
            if not struck:
                return None
            line = struck[0]
            if line.left is not None:
                line.left -= 1
                if line.left == 0:
                    self._lines.remove(line)
            return line.fault
