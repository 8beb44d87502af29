"""What held payouts up is looked at from time to time; where it has cleared, they go on by themselves."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from datetime import timedelta
from typing import Final, NamedTuple, Protocol, TypeVar
from uuid import UUID

import structlog

from ledger import partner, payout_batch
from ledger.commands import ResumePartnerPayouts
from ledger.desk import PARTNER
from ledger.money import Money
from ledger.store.application import Change, Ledger
from payouts import worklist
from payouts.accounts import after_facts, seen_facts
from payouts.batches import BATCH
from payouts.causes import ACCOUNT_CAUSES
from payouts.currencies import to_stripe_minor
from payouts.eligibility import STRIPE
from payouts.gateway import GatewayError
from payouts.outcomes import Account
from payouts.pacing import Buckets, Waits
from payouts.steps import Reached
from payouts.turn import Turn

_log = structlog.get_logger(__name__)

LOOK_EVERY: Final = timedelta(seconds=10)
"""How often the views are asked what is held up."""
ASK_FIRST: Final = timedelta(minutes=1)
ASK_MAX: Final = timedelta(hours=6)
"""How long after a hold the provider is first asked about it, and how seldom in the end."""
ACCOUNT_HOLDS: Final = frozenset(ACCOUNT_CAUSES.values())
_AT_ONCE: Final = 1_000


class Asked(Protocol):
    """What is asked of the provider. Raises GatewayError where it does not answer."""

    def account(self, account_id: str) -> Account:
        """How a connected account stands."""
        ...

    def platform_balance(self) -> dict[str, int]:
        """What the platform has available: the provider's minor units by currency in lower case."""
        ...


T = TypeVar("T")


class Due(NamedTuple):
    """What is to be asked about."""

    batches: list[worklist.PausedBatch]
    partners: list[UUID]


class Clearing:
    """Resumes batches once the platform's balance covers them, and partners once their account is clear."""

    def __init__(
        self, ledger: Ledger, provider: Asked, buckets: Buckets, counts: Counter[str], reached: Reached
    ) -> None:
        self._ledger, self._provider, self._buckets = ledger, provider, buckets
        self._counts, self._reached = counts, reached
        self._looks = Waits(ledger.clock, first=LOOK_EVERY, most=LOOK_EVERY)
        self._asks = Waits(ledger.clock, first=ASK_FIRST, most=ASK_MAX)

    def due(self) -> Due | None:
        """What is held up and to be asked about now; None: nothing, or it was looked at a moment ago."""
        if self._looks.is_waiting("views"):
            return None
        self._looks.wait("views")
        with self._ledger.database.read() as connection:
            batches = worklist.paused_batches(connection)
            partners = worklist.held_partners(connection, ACCOUNT_HOLDS, limit=_AT_ONCE)
        self._asks.keep_also({*partners, *(batch.batch_id for batch in batches)})
        due = Due(
            [batch for batch in batches if self._is_due(batch.batch_id)],
            [partner_id for partner_id in partners if self._is_due(partner_id)],
        )
        return due if due.batches or due.partners else None

    def hurry(self, keys: Iterable[Hashable]) -> None:
        """Ask about these batches and partners at the next look, if anything holds them up."""
        self._looks.forget("views")
        for key in keys:
            self._asks.wait_until(key, self._ledger.clock())

    def clear(self, due: Due, turn: Turn) -> int:
        """Ask the provider about all of it: how much goes on."""
        done = self._resume_batches(due.batches, turn) if due.batches else 0
        return done + sum(self._resume_partner(partner_id, turn) for partner_id in due.partners)

    def _is_due(self, key: Hashable) -> bool:
        """Not at first sight: what has just been refused is not clear yet. Later more and more seldom."""
        if not self._asks.knows(key):
            self._asks.wait(key)
        return not self._asks.is_waiting(key)

    def _resume_batches(self, batches: list[worklist.PausedBatch], turn: Turn) -> int:
        """In the order in which they were paused, each as far as the balance goes."""
        balance = self._ask("balance", self._provider.platform_balance)
        done = 0
        for batch in batches:
            self._asks.wait(batch.batch_id)
            if balance is None:
                continue
            currency = batch.currency.lower()
            needed = to_stripe_minor(batch.left_minor, batch.currency)
            if balance.get(currency, 0) < needed:
                _log.info(
                    "batch still waits for the balance",
                    batch_id=str(batch.batch_id),
                    left=str(Money(batch.left_minor, batch.currency)),
                )
                continue
            balance = {**balance, currency: balance.get(currency, 0) - needed}
            state, version = self._ledger.load(batch.batch_id, BATCH)
            facts = payout_batch.resume(state, now=self._ledger.clock())
            if facts and turn.append([Change(batch.batch_id, version, facts)]):
                self._cleared("batch_resumed")
                done += 1
        return done

    def _resume_partner(self, partner_id: UUID, turn: Turn) -> int:
        """Look at the account that is linked now; what is known of it is recorded, clear or not."""
        self._asks.wait(partner_id)
        state, version = self._ledger.load(partner_id, PARTNER)
        destination = state.payout_accounts.get(STRIPE) if state else None
        if state is None or destination is None:
            return 0
        seen_at = self._ledger.clock()
        account = self._ask("account", lambda: self._provider.account(destination))
        if account is None:
            return 0
        now = self._ledger.clock()
        facts = seen_facts(state, partner_id, account, seen_at=seen_at, now=now)
        if account.transfers_active:
            # Nothing that an account shows tells of a mismatch: the next attempt will.
            wish = ResumePartnerPayouts(partner_id=partner_id, cause="account_mismatch")
            facts += partner.decide(wish, state, now=now)
        if not facts or not turn.append([Change(partner_id, version, facts)]):
            return 0
        if ACCOUNT_HOLDS & set(after_facts(state, facts).payout_holds):
            return 0
        self._cleared("partner_resumed")
        return 1

    def _cleared(self, what: str) -> None:
        self._counts[what] += 1
        self._reached("cleared")

    def _ask(self, endpoint: str, ask: Callable[[], T]) -> T | None:
        """The provider's answer; None where it has none now, or was asked enough."""
        if not self._buckets.take(endpoint):
            return None
        try:
            return ask()
        except GatewayError as error:
            _log.warning("no answer to what holds payouts up", endpoint=endpoint, outcome=repr(error.outcome))
            return None
