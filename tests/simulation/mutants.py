"""Workers that pay twice: each is one wrong idea about paying, and the oracles must see it.

They stand on the ledger's rules and the gateway alone, not on the worker's inner life.
"""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

import msgspec

from ledger import account, payout
from ledger.account import Holder
from ledger.desk import ACCOUNT
from ledger.events.base import Fact
from ledger.payout import PayoutState
from ledger.refusals import Refusal
from ledger.store.application import Change
from payouts import candidates
from payouts.batches import PAYOUT
from payouts.outcomes import API_VERSION, Confirmed, Outcome, Rejected, RetryLater, TransferIntent
from payouts.worker import PayoutWorker, transfer_body

if TYPE_CHECKING:
    from tests.simulation.schedule import Schedule


class Mutant(NamedTuple):
    """A wrong idea, and the worker that has it."""

    idea: str
    worker_of: "Callable[[Schedule], PayoutWorker]"


class _Gateway:
    """The real gateway, with another way to send."""

    def __init__(self, at: "Schedule") -> None:
        self._real, self._rng = at.stage.gateway, at.rng

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def _send(self, intent: TransferIntent, key: str) -> Outcome:
        return self._real.create_transfer(msgspec.structs.replace(intent, idempotency_key=key))


class RandomKeys(_Gateway):
    """Every sending has a key of its own, as the SDK makes one up where none is given."""

    def create_transfer(self, intent: TransferIntent) -> Outcome:
        """Send under a random key."""
        return self._send(intent, f"random-{self._rng.getrandbits(64)}")


class MintsOn429(_Gateway):
    """Takes "too many requests" for a no, and asks the next time with a new key."""

    def __init__(self, at: "Schedule") -> None:
        super().__init__(at)
        self._minted: Counter[str] = Counter()

    def create_transfer(self, intent: TransferIntent) -> Outcome:
        """Send under the last key minted."""
        key = intent.idempotency_key
        number = self._minted[key]
        outcome = self._send(intent, f"{key}-{number}" if number else key)
        if isinstance(outcome, RetryLater):
            self._minted[key] += 1
        return outcome


class _Own(PayoutWorker):
    """A worker with something of its own before each step."""

    def __init__(self, at: "Schedule") -> None:
        super().__init__(at.stage.ledger, at.stage.gateway)
        self._at = at

    def _found(self, *states: str) -> list[tuple[UUID, PayoutState, int]]:
        """Payouts in these states, by the views and by their own streams."""
        ledger = self._at.stage.ledger
        with ledger.database.read() as connection:
            named = candidates.payouts_in(connection, states, limit=1_000)
        loaded = ((payout_id, ledger.load(payout_id, PAYOUT)) for payout_id in named)
        return [(payout_id, at.state, at.version) for payout_id, at in loaded if at.state.status in states]

    def _create(self, intent: TransferIntent) -> Outcome:
        return self._at.stage.gateway.create_transfer(intent)

    def _append(self, *changes: Change) -> None:
        self._at.stage.ledger.append(changes, by="payouts")


class RetriesAtAnyTime(_Own):
    """Trusts a key for ever: whatever is open is sent again with the same bytes."""

    def step(self, *args: Any, **options: Any) -> int:
        """Ask again, then do what a worker does."""
        for payout_id, state, version in self._found(*payout.UNSETTLED):
            of = state.intent
            assert of is not None
            outcome = self._create(TransferIntent(of.idempotency_key, of.body, of.api_version))
            if isinstance(outcome, Confirmed):
                now = self._at.clock.now
                facts = payout.confirm(
                    state, attempt=state.attempt, transfer_id=outcome.transfer_id, sent_at=now, now=now
                )
                self._append(Change(payout_id, version, facts))
        return super().step(*args, **options)


class PaysReturnsAgain(_Own):
    """Takes a payout that the bank sent back for one that has to be transferred again."""

    def step(self, *args: Any, **options: Any) -> int:
        """Transfer what came back, then do what a worker does."""
        for payout_id, state, _ in self._found("returned"):
            of = state.intent
            assert of is not None
            key = payout.idempotency_key(payout_id, state.attempt + 1)
            self._create(TransferIntent(key, of.body, of.api_version))
        return super().step(*args, **options)


class RecordsAfterSending(_Own):
    """Sends first, under a stable key, and records intent and outcome together once it knows the outcome."""

    def step(self, *args: Any, **options: Any) -> int:
        """Send what is approved, then do what a worker does."""
        for payout_id, state, version in self._found("approved"):
            assert state.draft is not None
            body = transfer_body(payout_id, 1, state.draft)
            outcome = self._create(TransferIntent(payout.idempotency_key(payout_id, 1), body))
            if isinstance(outcome, Confirmed | Rejected):
                self._record(payout_id, state, version, body, outcome)
        return 0

    def _record(
        self, payout_id: UUID, state: PayoutState, version: int, body: str, outcome: Confirmed | Rejected
    ) -> None:
        now, draft = self._at.clock.now, state.draft
        assert draft is not None
        facts: list[Fact] = payout.record_intent(
            payout_id, state, body=body, api_version=API_VERSION, now=now
        )
        for fact in facts:
            state = payout.evolve(state, fact)
        if isinstance(outcome, Rejected):
            facts += payout.reject(
                state, attempt=1, code=outcome.code, message=outcome.message, sent_at=now, now=now
            )
            self._append(Change(payout_id, version, facts))
            return
        facts += payout.confirm(state, attempt=1, transfer_id=outcome.transfer_id, sent_at=now, now=now)
        money, account_version = self._at.stage.ledger.load(draft.account_id, ACCOUNT)
        try:
            reserved = account.reserve(
                money,
                Holder(draft.program_id, draft.partner_id, draft.currency),
                payout_id=payout_id,
                attempt=1,
                net_minor=draft.net_minor,
                withheld_minor=draft.withheld_minor,
                effective_at=now,
            )
        except Refusal:
            canceled = payout.cancel(self._at.state_of(payout_id), reason="less is payable")
            self._append(Change(payout_id, version, canceled))
            return
        self._append(Change(payout_id, version, facts), Change(draft.account_id, account_version, reserved))


def _with(gateway: "Callable[[Schedule], _Gateway]") -> "Callable[[Schedule], PayoutWorker]":
    return lambda at: PayoutWorker(at.stage.ledger, gateway(at))


MUTANTS: Final[dict[str, Mutant]] = {
    "random-key": Mutant("a random key for each sending", _with(RandomKeys)),
    "any-time": Mutant("the same key at any time", RetriesAtAnyTime),
    "mint-on-429": Mutant("a new key after 429", _with(MintsOn429)),
    "pay-returns-again": Mutant("a new transfer after payout.failed", PaysReturnsAgain),
    "record-after": Mutant("sends first, records afterwards", RecordsAfterSending),
}
"""By the name that `make simulate MUTANT=…` takes."""
