"""The payout worker: records what it is about to send, sends it, records what came of it.

The intent is stored before the socket opens, together with the reservation of its money. From then on a
crash at any point is answered by sending the same bytes under the same key again: the provider makes one
transfer of them. A key is trusted for twenty hours; after that nobody sends again, and a human looks. Several
workers may run: whoever appends to a payout's stream first goes on, and what both send has one key.
"""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol, assert_never
from uuid import UUID

import msgspec
import structlog

from ledger import account, payout, payout_lines, payout_search
from ledger.desk import ACCOUNT, PARTNER
from ledger.events.base import Fact
from ledger.events.payout import PayoutDrafted
from ledger.payout import PayoutState
from ledger.refusals import (
    ContentChanged,
    IllegalTransition,
    InsufficientBalance,
    LostRace,
    PartnerNotApproved,
)
from ledger.store.application import ATTEMPTS_MAX, Change, Ledger
from ledger.store.database import DatabaseUnavailable
from payouts import candidates
from payouts.batches import PAYOUT
from payouts.currencies import to_stripe_minor
from payouts.outcomes import (
    API_VERSION,
    Confirmed,
    NotSent,
    Outcome,
    Rejected,
    RetryLater,
    TransferIntent,
    Unknown,
    UnsendableIntent,
    checked_body,
)

_log = structlog.get_logger(__name__)

KEY_TRUSTED_FOR: Final = timedelta(hours=20)
"""How long after its intent a key is sent again: the provider may forget it after 24 hours."""
TAKEOVER_AFTER: Final = timedelta(seconds=10)
"""How old another worker's intent must be before we send it again. Earlier is harmless, only noise."""
RETRY_FIRST: Final = timedelta(seconds=1)
RETRY_MAX: Final = timedelta(minutes=5)
_NOBODY_IS_ANSWERED: Final = ("connection", "server_error")
"""Reasons of an unknown outcome that another payout would meet, too."""
LOOK_AT_ONCE: Final = 10_000
"""Payouts that one step looks at."""
BY: Final = "payouts"


class Gateway(Protocol):
    """What the worker asks of the provider."""

    def create_transfer(self, intent: TransferIntent) -> Outcome:
        """Send a transfer, and say what is known of it then."""
        ...


class _Wait(NamedTuple):
    """When to try again, and how long we waited for it."""

    until: datetime
    delay: timedelta


class PayoutWorker:
    """Sends approved payouts. `counts` says how often each outcome was seen since the start."""

    def __init__(
        self,
        ledger: Ledger,
        gateway: Gateway,
        clock: Callable[[], datetime] | None = None,
        *,
        takeover_after: timedelta = TAKEOVER_AFTER,
    ) -> None:
        self._ledger = ledger
        self._gateway = gateway
        self._clock = clock or ledger.clock
        self._takeover_after = takeover_after
        self._waiting: dict[UUID, _Wait] = {}
        self._held_off: _Wait | None = None
        self.counts: Counter[str] = Counter()
        self.held_for_human: set[UUID] = set()

    # Turns

    def run(self, stop: threading.Event, *, idle_s: float = 0.5) -> None:
        """Work until told to stop; a database that is away is waited for."""
        while not stop.is_set():
            try:
                done = self.step(stop)
            except DatabaseUnavailable as error:
                _log.warning("database unavailable", error=str(error))
                done = 0
            if not done:
                stop.wait(idle_s)

    def step(self, stop: threading.Event | None = None) -> int:
        """Look once at every payout that the view names as unsettled or approved: how many got on."""
        if self._is_held_off():
            return 0
        with self._ledger.database.read() as connection:
            unsettled = candidates.payouts_in(connection, payout.UNSETTLED, limit=LOOK_AT_ONCE)
            approved = candidates.payouts_in(connection, {"approved"}, limit=LOOK_AT_ONCE)
        self._forget_settled([*unsettled, *approved])
        done = 0
        for payout_id in [*unsettled, *approved]:
            if (stop is not None and stop.is_set()) or self._is_held_off():
                break
            done += self._safely(payout_id)
        return done

    def _forget_settled(self, looked_at: Sequence[UUID]) -> None:
        """Wait no longer for what is settled: by whichever worker, or by a human."""
        if len(looked_at) < LOOK_AT_ONCE:  # else some unsettled ones may not be among them
            self._waiting = {
                payout_id: self._waiting[payout_id] for payout_id in looked_at if payout_id in self._waiting
            }
            self.held_for_human.intersection_update(looked_at)

    def _safely(self, payout_id: UUID) -> int:
        """One payout's trouble does not stop the others; its intent stands, so nothing is lost."""
        try:
            return self._work(payout_id)
        except DatabaseUnavailable:
            raise
        except Exception:
            _log.exception("payout failed", payout_id=str(payout_id))
            self.counts["failed"] += 1
            self._wait(payout_id)
            return 0

    def _work(self, payout_id: UUID) -> int:
        waiting = self._waiting.get(payout_id)
        if waiting is not None and self._clock() < waiting.until:
            return 0
        state = self._ledger.load(payout_id, PAYOUT).state
        if state.status == "approved":
            return self._open_and_send(payout_id, "approved")
        if state.status in payout.UNSETTLED and state.intent is not None:
            fresh = self._clock() - state.intent.effective_at < self._takeover_after
            if fresh and waiting is None:
                return 0  # another worker is about to hear of it
            return self._send(payout_id, state)
        self._waiting.pop(payout_id, None)
        return 0

    def reopen(self, payout_id: UUID) -> bool:
        """Open the next attempt of a payout that was definitely not sent, and send it; False: it may be."""
        return any(self._open_and_send(payout_id, status) for status in sorted(payout.REOPENABLE))

    # Before the socket opens

    def _open_and_send(self, payout_id: UUID, status: payout.PayoutStatus) -> int:
        state = self._open(payout_id, status)
        if state is None:
            return 0
        if state.status != "canceled":
            self._send(payout_id, state)
        return 1

    def _open(self, payout_id: UUID, status: payout.PayoutStatus) -> PayoutState | None:
        """Record the intent and reserve its money in one append, or cancel. None: another worker has it."""
        for _ in range(ATTEMPTS_MAX):
            state, version = self._ledger.load(payout_id, PAYOUT)
            if state.status != status or state.draft is None or self._is_held(state.draft):
                return None
            changes = self._intent(payout_id, state, version, state.draft)
            if self._ledger.append(changes, by=BY) is None:
                continue
            for fact in changes[0].facts:
                state = payout.evolve(state, fact)
            if state.status == "canceled":
                self.counts["canceled"] += 1
            return state
        raise LostRace(f"payout {payout_id} lost {ATTEMPTS_MAX} races for its account")

    def _intent(
        self, payout_id: UUID, state: PayoutState, version: int, draft: PayoutDrafted
    ) -> list[Change]:
        history = self._ledger.history(draft.account_id)
        money = account.EMPTY
        for recorded in history:
            money = account.evolve(money, recorded.fact)
        now = self._clock()
        try:
            self._check_partner(draft)
            body = transfer_body(payout_id, state.attempt + 1, draft)
            checked_body(TransferIntent(payout.idempotency_key(payout_id, state.attempt + 1), body))
            payout_lines.check_lines(history, payout_id, draft)
            reserved = account.reserve(
                money,
                payout.holder(draft),
                payout_id=payout_id,
                attempt=state.attempt + 1,
                net_minor=draft.net_minor,
                withheld_minor=draft.withheld_minor,
                effective_at=now,
            )
        except (PartnerNotApproved, ContentChanged, InsufficientBalance, UnsendableIntent) as refusal:
            reason = f"{type(refusal).__name__}: {refusal}"
            _log.warning("payout canceled", payout_id=str(payout_id), reason=reason)
            return [Change(payout_id, version, payout.cancel(state, reason=reason))]
        intent = payout.record_intent(
            payout_id,
            state,
            body=body,
            api_version=API_VERSION,
            now=now,
        )
        return [Change(payout_id, version, intent), Change(draft.account_id, len(history), reserved)]

    def _is_held(self, draft: PayoutDrafted) -> bool:
        """Whether the partner's payouts are held: they wait as they are, and go on once that is lifted."""
        of = self._ledger.load(draft.partner_id, PARTNER).state
        return of is not None and bool(of.payout_holds)

    def _check_partner(self, draft: PayoutDrafted) -> None:
        partner = self._ledger.load(draft.partner_id, PARTNER).state
        if partner is None or partner.status != "approved":
            raise PartnerNotApproved(f"the partner is {partner.status if partner else 'unknown'}")

    # The socket, and after

    def _send(self, payout_id: UUID, state: PayoutState) -> int:
        intent = state.intent
        assert intent is not None
        now = self._clock()
        if now - intent.effective_at >= KEY_TRUSTED_FOR:
            return self._leave_to_human(payout_id, state)
        outcome = self._gateway.create_transfer(
            TransferIntent(
                idempotency_key=intent.idempotency_key, body=intent.body, api_version=intent.api_version
            )
        )
        self.counts[type(outcome).__name__] += 1
        self._pace(payout_id, outcome)
        if isinstance(outcome, NotSent):
            _log.error(
                "transfer not sent", payout_id=str(payout_id), reason=outcome.reason, detail=outcome.detail
            )
            return 0
        return self._record(payout_id, intent.attempt, outcome, sent_at=now)

    def _pace(self, payout_id: UUID, outcome: Outcome) -> None:
        """What settles nothing is waited upon; a provider that answers nobody holds up every payout."""
        match outcome:
            case Confirmed() | Rejected():
                self._waiting.pop(payout_id, None)
                self._held_off = None
            case RetryLater(after_s=after_s):
                self._wait(payout_id)
                self._hold_off(timedelta(seconds=after_s))
            case Unknown(reason=reason):
                self._wait(payout_id)
                if reason in _NOBODY_IS_ANSWERED:
                    self._hold_off(RETRY_FIRST)
            case NotSent():
                self._wait(payout_id)
                self._hold_off(RETRY_FIRST)
            case _:
                assert_never(outcome)

    def _wait(self, payout_id: UUID) -> None:
        self._waiting[payout_id] = self._next(self._waiting.get(payout_id), RETRY_FIRST)

    def _hold_off(self, least: timedelta) -> None:
        self._held_off = self._next(self._held_off, least)

    def _next(self, before: _Wait | None, least: timedelta) -> _Wait:
        delay = max(least, before.delay * 2 if before else least)
        return _Wait(self._clock() + min(delay, RETRY_MAX), min(delay, RETRY_MAX))

    def _is_held_off(self) -> bool:
        return self._held_off is not None and self._clock() < self._held_off.until

    def _leave_to_human(self, payout_id: UUID, state: PayoutState) -> int:
        if payout_id not in self.held_for_human:
            self.held_for_human.add(payout_id)
            self.counts["held_for_human"] += 1
            _log.error("payout left for a human: its key is no longer trusted", payout_id=str(payout_id))
        if state.status == "unknown":
            return 0
        reason = "the key is no longer trusted: the intent is more than 20 hours old"
        return self._record(payout_id, state.attempt, Unknown(reason=reason), sent_at=None)

    def _record(self, payout_id: UUID, attempt: int, outcome: Outcome, *, sent_at: datetime | None) -> int:
        for _ in range(ATTEMPTS_MAX):
            state, version = self._ledger.load(payout_id, PAYOUT)
            facts = self._facts(state, attempt, outcome, sent_at)
            if not facts:
                return 0
            changes = [Change(payout_id, version, facts)]
            if isinstance(outcome, Rejected):
                changes.append(self._release(payout_id, state, attempt, outcome))
            if self._ledger.append(changes, by=BY) is not None:
                return 1
        raise LostRace(f"payout {payout_id} was changed by others {ATTEMPTS_MAX} times in a row")

    def _facts(
        self, state: PayoutState, attempt: int, outcome: Outcome, sent_at: datetime | None
    ) -> list[Fact]:
        now = self._clock()
        match outcome:
            case Confirmed():
                assert sent_at is not None
                return payout.confirm(
                    state, attempt=attempt, transfer_id=outcome.transfer_id, sent_at=sent_at, now=now
                )
            case Rejected():
                assert sent_at is not None
                return payout.reject(
                    state,
                    attempt=attempt,
                    code=outcome.code,
                    message=outcome.message,
                    sent_at=sent_at,
                    now=now,
                )
            case Unknown() | RetryLater() | NotSent():
                return self._still_open(state, attempt, outcome, sent_at, now)
            case _:
                assert_never(outcome)

    @staticmethod
    def _still_open(
        state: PayoutState,
        attempt: int,
        outcome: Unknown | RetryLater | NotSent,
        sent_at: datetime | None,
        now: datetime,
    ) -> list[Fact]:
        """What is to be said of an attempt without outcome; nothing where another worker learned it."""
        try:
            if isinstance(outcome, Unknown):
                reason = f"{outcome.reason}: {outcome.detail}" if outcome.detail else outcome.reason
                return payout.leave_unknown(state, attempt=attempt, reason=reason, sent_at=sent_at, now=now)
            if isinstance(outcome, RetryLater) and sent_at is not None:
                return payout.sent(state, attempt=attempt, sent_at=sent_at)
        except IllegalTransition:
            pass
        return []

    def _release(self, payout_id: UUID, state: PayoutState, attempt: int, rejected: Rejected) -> Change:
        assert state.draft is not None
        money, version = self._ledger.load(state.draft.account_id, ACCOUNT)
        released = account.release(
            money,
            payout.holder(state.draft),
            payout_id=payout_id,
            attempt=attempt,
            reason=f"{rejected.code}: {rejected.message}",
            effective_at=self._clock(),
        )
        return Change(state.draft.account_id, version, released)


def transfer_body(payout_id: UUID, attempt: int, draft: PayoutDrafted) -> str:
    """The exact text of a transfer's request: JSON in UTF-8, keys in order, no white space.

    All of it comes from the frozen draft. Group and metadata let a human find the transfer at the provider.
    Raises UnsendableIntent where Stripe's units can't hold the amount.
    """
    content = {
        "amount": to_stripe_minor(draft.net_minor, draft.currency),
        "currency": draft.currency.lower(),
        "destination": draft.destination,
        "metadata": {
            "attempt": str(attempt),
            "content_hash": payout.content_hash({payout_id: draft}),
            "payout_id": str(payout_id),
        },
        "transfer_group": payout_search.transfer_group(draft),
    }
    return msgspec.json.encode(content, order="sorted").decode()
