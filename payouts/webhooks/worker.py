"""The webhook worker: takes stored events in small batches, has each looked at, and says what came of it.

An event is a hint, so several about one thing are one look. What the provider can't answer now is looked at
later and costs nothing; what goes wrong with us is tried a few times, then left to a human with its reason.
"""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from ledger.refusals import LostRace
from ledger.store.application import Ledger
from ledger.store.database import DatabaseUnavailable
from payouts import accounts, candidates
from payouts.eligibility import ACCOUNT_HOLDS
from payouts.eligibility import STRIPE as PROVIDER
from payouts.loop import run_turns
from payouts.outcomes import GatewayError, NotSent, Rejected, RetryLater
from payouts.webhooks.events import Subject, SubjectKind, subject
from payouts.webhooks.handlers import FINAL_AFTER, ForHuman, Handlers, Provider, Result, TooEarly
from payouts.webhooks.inbox import Inbox, Taken

_log = structlog.get_logger(__name__)

BATCH: Final = 50
LEASE: Final = timedelta(minutes=5)
"""Longer than any batch takes; after it another worker gets what this one had."""
ATTEMPTS_MAX: Final = 8
WAIT_FIRST: Final = timedelta(seconds=5)
WAIT_MAX: Final = timedelta(hours=1)
UNKNOWN_AFTER: Final = timedelta(minutes=2)
"""How long the view may take to name the partner of an account, before the account is nobody's."""
OPEN_FOR: Final = timedelta(days=4)
"""How long an event waits for a payout to be settled with us. Its key is given up after one day."""
REMIND_HELD_EVERY: Final = timedelta(hours=1)
REMIND_UNSEEN_EVERY: Final = timedelta(days=1)
"""Whoever links an account looks at it: this is for accounts from before that was so."""
REMIND_UNDELIVERED_EVERY: Final = timedelta(days=1)
REMINDED_AT_ONCE: Final = 10_000
"""How many accounts are read and put into the inbox at a time."""

Look = Result | Exception


class WebhookWorker:
    """Works on the inbox. `counts` says how often each end was seen since the start."""

    def __init__(
        self, ledger: Ledger, provider: Provider, *, batch: int = BATCH, reminders: bool = True
    ) -> None:
        self._ledger = ledger
        self._clock = ledger.clock
        self._provider = provider
        self._inbox = Inbox(ledger.database, ledger.clock, livemode=provider.livemode)
        self._handlers = Handlers(ledger, provider)
        self._batch = batch
        self._reminders = reminders
        self._held_off_until: datetime | None = None
        self._reminded: dict[str, int] = {}
        self.counts: Counter[str] = Counter()

    def run(self, stop: threading.Event, *, idle_s: float = 0.5) -> None:
        """Work until told to stop."""
        run_turns(stop, lambda: 0 if self.step(stop) else idle_s, away_s=idle_s)

    def step(self, stop: threading.Event | None = None) -> int:
        """Work on one batch of what is due: how many events got on. Never sleeps."""
        if self._held_off_until is not None and self._clock() < self._held_off_until:
            return 0
        self._held_off_until = None
        if self._reminders:
            self._remind()
        looks: dict[Subject, Look] = {}
        done = 0
        for taken in self._inbox.take(self._batch, LEASE):
            if (stop is not None and stop.is_set()) or self._held_off_until is not None:
                self._inbox.try_again(taken, timedelta(0), "interrupted", postponed=True)
                continue
            done += self._work(taken, looks)
        if done:
            self._inbox.clear()
        return done

    def _work(self, taken: Taken, looks: dict[Subject, Look]) -> int:
        event = taken.event
        about = subject(event)
        if event.livemode != self._provider.livemode:
            return self._end(taken, Result("noted", "it is of the other mode (live or test)"))
        if about is None:
            return self._end(taken, Result("noted", f"{event.kind} is about nothing of ours"))
        if about not in looks:
            looks[about] = self._look(about)
        look = looks[about]
        return self._end(taken, look) if isinstance(look, Result) else self._put_off(taken, look)

    def _look(self, about: Subject) -> Look:
        try:
            return self._handlers.look(about)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            return error

    def _end(self, taken: Taken, result: Result) -> int:
        self.counts[result.status] += 1
        self._inbox.finish(taken, result.status, result.reason)
        return 1

    def _hold(self, taken: Taken, reason: str) -> int:
        self.counts["held"] += 1
        _log.error("webhook left for a human", event_id=taken.event.event_id, reason=reason)
        self._inbox.finish(taken, "held", reason)
        return 1

    def _put_off(self, taken: Taken, error: Exception) -> int:
        """Later, or never again: by what went wrong."""
        age = self._clock() - taken.received_at
        reason = f"{type(error).__name__}: {error}"
        match error:
            case ForHuman():
                return self._hold(taken, str(error))
            case TooEarly() if about_accounts(taken) and age >= UNKNOWN_AFTER:
                return self._end(taken, Result("noted", str(error)))
            case TooEarly() if age >= OPEN_FOR:
                return self._hold(taken, str(error))
            case TooEarly() | LostRace():
                return self._later(taken, reason, postponed=True)
            case GatewayError(outcome=RetryLater(after_s=after_s)):
                self._held_off_until = self._clock() + timedelta(seconds=after_s)
                return self._later(taken, reason, postponed=True)
            case GatewayError(outcome=NotSent()):
                # Our key or address is wrong: no event would fare better.
                self._held_off_until = self._clock() + WAIT_FIRST
                return self._later(taken, reason, postponed=True)
            case GatewayError(outcome=outcome) if not isinstance(outcome, Rejected):
                return self._later(taken, reason, postponed=True)
            case _ if taken.attempts >= ATTEMPTS_MAX:
                return self._hold(taken, f"{taken.attempts} attempts failed; the last one: {reason}")
            case _:
                first = error if taken.attempts == 1 else None  # its traceback once is enough
                _log.error("webhook failed", event_id=taken.event.event_id, reason=reason, exc_info=first)
                return self._later(taken, reason, postponed=False)

    def _later(self, taken: Taken, reason: str, *, postponed: bool) -> int:
        self.counts["later"] += 1
        tries = min(taken.attempts - 1 + taken.postponed, 20)
        self._inbox.try_again(taken, min(WAIT_FIRST * 2**tries, WAIT_MAX), reason, postponed=postponed)
        return 0

    # Webhooks get lost: what is still open is looked at now and then, event or not

    def _remind(self) -> None:
        """Held accounts every hour; every day accounts that nobody has looked at, and transfers not seen at
        the bank, or not for so long that it can't give them back any more. Each reminder counts once.
        """
        if (number := self._turn("held", REMIND_HELD_EVERY)) is not None:
            held = partial(candidates.accounts_on_hold, causes=ACCOUNT_HOLDS, provider=PROVIDER)
            self._remind_of("account", held, f"held.{number}")
        if (number := self._turn("unseen", REMIND_UNSEEN_EVERY)) is not None:
            unseen = accounts.unseen(self._ledger)
            self._inbox.remind([(Subject("account", one), f"unseen.{number}") for one in unseen])
        if (number := self._turn("undelivered", REMIND_UNDELIVERED_EVERY)) is not None:
            final_before = self._clock() - FINAL_AFTER
            there = partial(
                candidates.accounts_with_open_payouts, provider=PROVIDER, final_before=final_before
            )
            self._remind_of("deliveries", there, f"undelivered.{number}")

    def _remind_of(self, kind: SubjectKind, accounts_after: Callable[..., list[str]], name: str) -> None:
        """All accounts of a list, a part at a time."""
        found: list[str] | None = None
        while found is None or len(found) == REMINDED_AT_ONCE:
            with self._ledger.database.read() as connection:
                found = accounts_after(connection, after=found[-1] if found else "", limit=REMINDED_AT_ONCE)
            self._inbox.remind([(Subject(kind, one), name) for one in found])

    def _turn(self, name: str, every: timedelta) -> int | None:
        """The number of a turn that this worker has not had yet; the first one is not waited for."""
        number = int(self._clock().timestamp()) // int(every.total_seconds())
        if self._reminded.get(name) == number:
            return None
        self._reminded[name] = number
        return number


def about_accounts(taken: Taken) -> bool:
    """Whether an event is about an account, which may be nobody's."""
    about = subject(taken.event)
    return about is not None and about.kind == "account"
