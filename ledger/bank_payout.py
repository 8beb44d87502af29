"""Payouts by our own bank: what a statement's entry, or somebody's word, makes of one. Pure."""

from datetime import datetime
from typing import Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from ledger import checks, payout
from ledger.bank_account import PROVIDER
from ledger.bank_commands import TellBankOutcome, WithdrawBankRejection
from ledger.bank_file import BankTransfer
from ledger.events.bank import BankOutcome, BankOutcomeTold, BankRejectionWithdrawn, Verdict
from ledger.events.base import Fact
from ledger.payout import PayoutState
from ledger.refusals import IllegalTransition

Direction = Literal["debit", "credit"]
DIFFERENCES: Final[frozenset[Verdict]] = frozenset(
    {"different", "duplicate", "unexpected", "unknown_reference", "unreadable"}
)
"""Verdicts upon which a human has to look."""
_OUTCOME: Final[dict[Direction, Literal["paid", "returned"]]] = {"debit": "paid", "credit": "returned"}
_NO_REASON: Final = "the bank gave no reason"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One movement of our account, as a statement tells it.

    `entry_reference` is unique in its statement; `bank_reference` the bank's own, the same in a copy of the
    statement under another id. `amount_minor` is None where the amount can't be read. `parties` are the IBANs
    on either side, as far as told.
    """

    statement_id: str
    entry_reference: str
    direction: Direction
    amount_minor: int | None
    currency: str
    end_to_end_id: str | None = None
    bank_reference: str | None = None
    account_iban: str | None = None
    parties: tuple[str, ...] = ()
    is_booked: bool = True
    booked_at: datetime | None = None
    reason_code: str | None = None
    reason: str | None = None


class Judged(NamedTuple):
    """What an entry is, and the facts that follow for its payout: none where they are known."""

    verdict: Verdict
    detail: str | None = None
    facts: tuple[Fact, ...] = ()


def judge(payout_id: UUID, state: PayoutState, entry: Entry, now: datetime) -> Judged:
    """What an entry says of the payout that it names. Nothing follows from one that differs in anything."""
    if state.draft is None or state.draft.provider != PROVIDER or state.intent is None:
        return Judged("unknown_reference", f"no file told the bank to pay {payout_id}")
    outcome = _OUTCOME[entry.direction]
    told = [fact for fact in state.told if fact.source == "statement" and fact.outcome == outcome]
    if entry.amount_minor is None:
        return Judged("unreadable", "its amount is no exact amount of its currency")
    # Before it is looked up: under a reference that is known there may stand something else by now.
    differs = _differs(msgspec.json.decode(state.intent.body, type=BankTransfer), entry)
    if differs:
        return Judged("different", ", ".join(differs))
    known = next((fact for fact in told if _is_same(fact, entry)), None)
    if known is not None:
        return Judged(outcome, known.reason)
    if told:
        return Judged("duplicate", f"{outcome} already by {told[0].reference}")
    if entry.direction == "debit":
        return _debit(state, entry, now)
    return _credit(state, entry, now)


def _is_same(fact: BankOutcomeTold, entry: Entry) -> bool:
    if fact.statement_id == entry.statement_id:
        return fact.entry_reference == entry.entry_reference
    return fact.bank_reference is not None and fact.bank_reference == entry.bank_reference


def _differs(sent: BankTransfer, entry: Entry) -> list[str]:
    others = [iban for iban in entry.parties if iban != sent.debtor_iban]
    found = {
        "amount": entry.amount_minor != sent.amount_minor,
        "currency": entry.currency != sent.currency,
        "creditor": bool(others) and sent.creditor_iban not in others,
        "account": entry.account_iban not in (None, sent.debtor_iban),
    }
    return [name for name, is_other in found.items() if is_other]


def _debit(state: PayoutState, entry: Entry, now: datetime) -> Judged:
    """The money left. Where somebody said so before, this is only the proof."""
    if state.status not in ("intent", "paid", "returned"):
        return Judged("unexpected", f"the bank paid it, and it is {state.status}: {state.reason}")
    told = _told("paid", entry, state, now)
    follows = pay(state, told) if state.status == "intent" else []
    return Judged("paid", None, (told, *follows))


def _credit(state: PayoutState, entry: Entry, now: datetime) -> Judged:
    """The money came back, with the bank's reason."""
    if state.status == "intent":
        return Judged(
            "unexpected", "it came back, and no statement showed yet that it left: import that first"
        )
    if state.status not in ("paid", "returned"):
        return Judged("unexpected", f"it came back, and it is {state.status}: {state.reason}")
    told = _told("returned", entry, state, now)
    follows = give_back(state, told) if state.status == "paid" else []
    return Judged("returned", told.reason, (told, *follows))


def _told(outcome: BankOutcome, entry: Entry, state: PayoutState, now: datetime) -> BankOutcomeTold:
    said = ": ".join(word for word in (entry.reason_code, entry.reason) if word)
    return BankOutcomeTold(
        attempt=state.attempt,
        outcome=outcome,
        source="statement",
        reference=entry.bank_reference or f"{entry.statement_id}/{entry.entry_reference}",
        reason=said or (_NO_REASON if outcome == "returned" else None),
        reason_code=entry.reason_code,
        statement_id=entry.statement_id,
        entry_reference=entry.entry_reference,
        bank_reference=entry.bank_reference,
        effective_at=_within(state, entry.booked_at or now, now),
    )


def _within(state: PayoutState, booked_at: datetime, now: datetime) -> datetime:
    """When it was booked: not after now, and not before the file, since many banks tell the day alone."""
    assert state.intent is not None
    return max(min(booked_at, now), state.intent.effective_at)


def tell(command: TellBankOutcome, state: PayoutState, *, person: str | None, now: datetime) -> list[Fact]:
    """Somebody of finance saw what became of a payout; the same word again is nothing new.

    intent → paid or rejected (it never left our account); paid → returned. Refuses with IllegalTransition.
    """
    reason = checks.note(command.reason, "/reason")
    reference = checks.reference(command.reference, "/reference")
    _check_is_by_bank(state)
    said = (command.outcome, reference, reason, command.reason_code)
    if any(
        fact.source == "finance" and said == (fact.outcome, fact.reference, fact.reason, fact.reason_code)
        for fact in state.told
    ):
        return []
    before = {"paid"} if command.outcome == "returned" else {"intent"}
    payout.expect(state.status, before, f"a payout by the bank can be {command.outcome}")
    at = now if command.effective_at is None else checks.effective_at(command.effective_at, now)
    told = BankOutcomeTold(
        attempt=state.attempt,
        outcome=command.outcome,
        source="finance",
        reference=reference,
        reason=reason,
        reason_code=command.reason_code,
        person=person,
        effective_at=_within(state, at, now),
    )
    follows = {"paid": pay, "returned": give_back, "rejected": reject}[command.outcome]
    return [told, *follows(state, told)]


def withdraw_rejection(
    command: WithdrawBankRejection, state: PayoutState, *, person: str | None, now: datetime
) -> list[Fact]:
    """rejected → intent: it did leave our account, or may have; the same word again is nothing new.

    Its money has to be reserved again in the same append. Refuses with IllegalTransition, InvalidField.
    """
    reason = checks.note(command.reason, "/reason")
    _check_is_by_bank(state)
    before = state.withdrawn
    if (
        state.status == "intent"
        and before is not None
        and (state.attempt, reason) == (before.attempt, before.reason)
    ):
        return []
    payout.expect(state.status, {"rejected"}, "a rejection can be withdrawn")
    return [BankRejectionWithdrawn(attempt=state.attempt, reason=reason, person=person, effective_at=now)]


def _check_is_by_bank(state: PayoutState) -> None:
    provider = payout.drafted(state).provider
    if provider != PROVIDER:
        raise IllegalTransition(f"it is paid through {provider}, which says itself what became of it")


def pay(state: PayoutState, told: BankOutcomeTold) -> list[Fact]:
    """intent → paid: the money left our account, for the partner's."""
    assert state.intent is not None
    confirmed = payout.confirm(
        state,
        attempt=state.attempt,
        transfer_id=told.reference,
        sent_at=state.intent.effective_at,
        now=told.effective_at,
    )
    after = state
    for fact in confirmed:
        after = payout.evolve(after, fact)
    return [*confirmed, *payout.settle(after, reference=told.reference, now=told.effective_at)]


def give_back(state: PayoutState, told: BankOutcomeTold) -> list[Fact]:
    """paid → returned: all of it is on our account again, and the partner's to be paid anew."""
    reversed_ = payout.reverse(
        state,
        amount_minor=payout.drafted(state).net_minor,
        origin="provider",
        reference=told.reference,
        now=told.effective_at,
    )
    return [
        *reversed_,
        *payout.give_back(state, reason=told.reason or _NO_REASON, now=told.effective_at),
    ]


def reject(state: PayoutState, told: BankOutcomeTold) -> list[Fact]:
    """intent → rejected: it never left our account."""
    assert state.intent is not None
    return payout.reject(
        state,
        attempt=state.attempt,
        code=told.reason_code or "refused",
        message=told.reason or _NO_REASON,
        sent_at=state.intent.effective_at,
        now=told.effective_at,
    )
