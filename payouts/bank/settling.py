"""What became of a payout by our bank is recorded, with the money that it moves, in one append."""

from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID

from ledger import account, bank_payout, payout, payout_lines
from ledger.account import AccountState
from ledger.bank_account import PROVIDER
from ledger.bank_commands import TellBankOutcome, WithdrawBankRejection
from ledger.bank_payout import Entry, Judged
from ledger.desk import ACCOUNT
from ledger.events.bank import BankRejectionWithdrawn
from ledger.events.base import Fact
from ledger.events.payout import PayoutDrafted, PayoutReversed, TransferRejected
from ledger.payout import PayoutState
from ledger.refusals import ContentChanged, LostRace, NotFound, PaidAgain
from ledger.store.application import ATTEMPTS_MAX, Change, Ledger
from payouts.batches import PAYOUT, Payout, load_payout
from payouts.withheld import withheld_back


class Settled(NamedTuple):
    """What an entry was found to be; `new` where facts followed."""

    judged: Judged
    new: bool


def settle(ledger: Ledger, payout_id: UUID, entry: Entry, *, by: str) -> Settled:
    """Judge an entry by its payout's stream, and record what follows."""
    judged: list[Judged] = []

    def decide(state: PayoutState) -> Sequence[Fact]:
        judged.append(bank_payout.judge(payout_id, state, entry, ledger.clock()))
        return judged[-1].facts

    new = _record(ledger, payout_id, decide, by)
    return Settled(judged[-1], new)


def tell(ledger: Ledger, command: TellBankOutcome, *, by: str, person: str | None = None) -> Payout:
    """Record somebody's word on a payout. Refuses with NotFound, IllegalTransition, InvalidField."""

    def decide(state: PayoutState) -> Sequence[Fact]:
        if state.draft is None:
            raise NotFound(f"there is no payout {command.payout_id}", pointer="/payout_id")
        return bank_payout.tell(command, state, person=person, now=ledger.clock())

    _record(ledger, command.payout_id, decide, by)
    return load_payout(ledger, command.payout_id)


def withdraw_rejection(
    ledger: Ledger, command: WithdrawBankRejection, *, by: str, person: str | None = None
) -> Payout:
    """Take back somebody's word that a payout never left: its money is in transit again, in the same append.

    Refuses with NotFound, IllegalTransition, InvalidField; with PaidAgain where its money went out with
    another payout since, with InsufficientBalance where it was taken back since.
    """

    def decide(state: PayoutState) -> Sequence[Fact]:
        if state.draft is None:
            raise NotFound(f"there is no payout {command.payout_id}", pointer="/payout_id")
        return bank_payout.withdraw_rejection(command, state, person=person, now=ledger.clock())

    _record(ledger, command.payout_id, decide, by)
    return load_payout(ledger, command.payout_id)


def _record(
    ledger: Ledger, payout_id: UUID, decide: Callable[[PayoutState], Sequence[Fact]], by: str
) -> bool:
    for _ in range(ATTEMPTS_MAX):
        state, version = ledger.load(payout_id, PAYOUT)
        facts = decide(state)
        if not facts:
            return False
        changes = [Change(payout_id, version, facts)]
        if state.draft is not None:
            changes += _money(ledger, payout_id, state, state.draft, facts)
        if ledger.append(changes, by=by) is not None:
            return True
    raise LostRace(f"payout {payout_id} was changed by others {ATTEMPTS_MAX} times in a row")


def _money(
    ledger: Ledger, payout_id: UUID, state: PayoutState, draft: PayoutDrafted, facts: Sequence[Fact]
) -> list[Change]:
    """What came back, or never left, is the partner's again: with the tax that was kept of it."""
    money, version = ledger.load(draft.account_id, ACCOUNT)
    found: list[Fact] = []
    for fact in facts:
        match fact:
            case PayoutReversed():
                found += account.take_back(
                    money,
                    payout.holder(draft),
                    payout_id=payout_id,
                    reference=fact.reference,
                    amount_minor=fact.amount_minor,
                    withheld_minor=withheld_back(ledger, state, fact.amount_minor),
                    provider=PROVIDER,
                    effective_at=fact.effective_at,
                )
            case TransferRejected():
                found += account.release(
                    money,
                    payout.holder(draft),
                    payout_id=payout_id,
                    attempt=fact.attempt,
                    reason=f"{fact.code}: {fact.message}",
                    effective_at=fact.effective_at,
                )
            case BankRejectionWithdrawn():
                found += _reserved_again(ledger, payout_id, draft, money, fact)
            case _:
                pass
    return [Change(draft.account_id, version, found)] if found else []


def _reserved_again(
    ledger: Ledger, payout_id: UUID, draft: PayoutDrafted, money: AccountState, fact: BankRejectionWithdrawn
) -> list[Fact]:
    """The money of the payout's own lines, unless another payout took them since."""
    history = ledger.history(draft.account_id, after=draft.account_from_version)
    try:
        payout_lines.check_lines(history, payout_id, draft)
    except ContentChanged as changed:
        raise PaidAgain(f"what it gave back was paid again: {changed.message}") from changed
    return account.reserve(
        money,
        payout.holder(draft),
        payout_id=payout_id,
        attempt=fact.attempt,
        net_minor=draft.net_minor,
        withheld_minor=draft.withheld_minor,
        effective_at=fact.effective_at,
    )
