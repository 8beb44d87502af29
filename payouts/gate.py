"""The gate before the payout worker: it works while nobody stopped payouts, after a restore check.

The check is made again whenever the database may have lost something under the running process: after it was
away, and when its log no longer holds what was seen there.
"""

import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from ledger.refusals import DatabaseOlderThanProvider, PayoutsAreFrozen, Refusal
from ledger.store.application import Ledger
from ledger.store.database import DatabaseUnavailable
from payouts.loop import run_turns
from payouts.outcomes import GatewayError
from payouts.restore_check import (
    Transfers,
    gate,
    note_put_back,
    refuse_after_restore,
    refuse_when_frozen,
)
from payouts.sighting import Sighting

_log = structlog.get_logger(__name__)

WAIT_S: Final = 10.0
"""How long a closed gate waits before it looks again."""
AWAY_S: Final = 1.0
"""How long it waits for a provider or a database that does not answer."""
LOOK_S: Final = 1.0
"""How often a working worker looks whether somebody stopped payouts, or put the database back."""


class Worker(Protocol):
    """What stands behind the gate."""

    def turn(self, stop: threading.Event | None = None, *, idle_s: float) -> float:
        """Work a little, end early when told to stop: for how many seconds to wait then."""
        ...


class Gate:
    """Lets a worker work, or says why not. The provider is looked at until nothing is unknown."""

    def __init__(self, ledger: Ledger, provider: Transfers, worker: Worker) -> None:
        self._ledger, self._provider, self._worker = ledger, provider, worker
        self._is_checked, self._looked_s = False, 0.0
        self._seen = Sighting(ledger)
        self.refusal: Refusal | None = None

    def closed(self) -> Refusal | None:
        """Why nothing may be sent now. Raises GatewayError where the provider could not be asked."""
        try:
            self._look_for_losses()
            refuse_when_frozen(self._ledger)
            if self._is_to_look():
                refuse_after_restore(self._ledger, self._provider)
                self._looked_s = time.monotonic()
        except (PayoutsAreFrozen, DatabaseOlderThanProvider) as refusal:
            if str(refusal) != str(self.refusal):
                _log.error("payouts refuse to start", refusal=type(refusal).__name__, reason=str(refusal))
            self.refusal = refusal
            return refusal
        if self.refusal is not None:
            _log.info("payouts go on")
        self._is_checked, self.refusal = True, None
        return None

    def _is_to_look(self) -> bool:
        """Where payouts are set aside from time to time, since what is there may be taken back, or let go."""
        state = gate(self._ledger)
        if not self._is_checked or state.is_suspect:
            return True
        return bool(state.set_aside) and time.monotonic() - self._looked_s >= WAIT_S

    def _look_for_losses(self) -> None:
        if not self._seen.still_stands():
            _log.error("the database was put back while payouts were running", lost=self._seen.position)
            self._is_checked = False
            note_put_back(self._ledger, seen_position=self._seen.position)
            self._seen.forget()

    def run(self, stop: threading.Event, *, idle_s: float = 0.5) -> None:
        """Work until told to stop, while the gate is open."""
        guarded = _StopOrPause(stop, self._must_pause)
        run_turns(stop, lambda: self._turn(guarded, idle_s), away_s=AWAY_S)

    def _turn(self, guarded: threading.Event, idle_s: float) -> float:
        """One look, and the worker's turn: how long to wait after it."""
        try:
            if self.closed() is not None:
                return WAIT_S
            wait_s = self._worker.turn(guarded, idle_s=idle_s)
            self._seen.still_stands()  # what the turn itself wrote is remembered; a loss is for the next look
            return wait_s
        except DatabaseUnavailable:
            self._is_checked = False  # whatever answers next time may not know all that this one knew
            raise
        except GatewayError as error:
            _log.warning("provider not asked: nothing is sent before", outcome=repr(error.outcome))
            return AWAY_S

    def _must_pause(self) -> bool:
        return gate(self._ledger).frozen is not None or not self._seen.still_stands()


class _StopOrPause(threading.Event):
    """Set when the process is to stop, and while payouts must pause: a long step ends early then."""

    def __init__(self, stop: threading.Event, must_pause: Callable[[], bool]) -> None:
        super().__init__()
        self._stop, self._must_pause = stop, must_pause
        self._pauses, self._looked_s = False, 0.0

    def is_set(self) -> bool:
        """Whether to end what is under way."""
        if self._stop.is_set():
            return True
        now_s = time.monotonic()
        if now_s - self._looked_s >= LOOK_S:
            self._pauses, self._looked_s = self._must_pause(), now_s
        return self._pauses
