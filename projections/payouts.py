"""Payouts as finance sees them: batches, payouts with their state, and each attempt to send."""

from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from ledger.events import payout as facts
from ledger.events.bank import BankRejectionWithdrawn
from ledger.events.base import Fact, Recorded
from ledger.payout import is_all_back, told
from ledger.payout_batch import approvals_needed
from projections import tables
from projections.view import Batch, Names, TableChanges


class Changes:
    """What a batch of the log does to the three tables."""

    def __init__(self) -> None:
        self.batches = TableChanges(tables.payout_batches)
        self.payouts = TableChanges(tables.payouts)
        self.attempts = TableChanges(tables.payout_attempts)

    def batch(self, event: Recorded, **values: Any) -> None:
        """Change a batch of payouts."""
        stamp = {"changed_at": event.recorded_at, "position": event.position}
        self.batches.put(event.originator_id, **values, **stamp)

    def payout(self, event: Recorded, **values: Any) -> None:
        """Change a payout."""
        stamp = {"changed_at": event.recorded_at, "position": event.position}
        self.payouts.put(event.originator_id, **values, **stamp)

    def attempt(self, event: Recorded, number: int, **values: Any) -> None:
        """Change an attempt, and its payout's state with it."""
        stamp = {"changed_at": event.recorded_at, "position": event.position}
        self.attempts.put(event.originator_id, number, **values, **stamp)


class Payouts:
    """The state of each payout is that of the last fact told about it."""

    name: Final = "payouts"
    tables: Final[tuple[sa.Table, ...]] = (tables.payout_batches, tables.payouts, tables.payout_attempts)
    append_only: Final = False
    facts: Final[tuple[type[Fact], ...]] = (
        facts.PayoutBatchDrafted,
        facts.PayoutBatchChecked,
        facts.PayoutBatchApproved,
        facts.PayoutBatchSendAsked,
        facts.PayoutBatchCanceled,
        facts.PayoutBatchPaused,
        facts.PayoutBatchResumed,
        facts.PayoutDrafted,
        facts.PayoutApproved,
        facts.PayoutCanceled,
        facts.PayoutIntentRecorded,
        facts.TransferSent,
        facts.TransferConfirmed,
        facts.TransferRejected,
        facts.TransferUnknown,
        facts.TransferSearchBegan,
        facts.TransferFoundAbsent,
        facts.PayoutLeftToHuman,
        facts.PayoutResolved,
        facts.PayoutPaid,
        facts.PayoutReturned,
        facts.PayoutReversed,
        BankRejectionWithdrawn,
    )

    def fold(self, batch: Batch) -> Changes:
        """The changes of a batch."""
        changes = Changes()
        for event in batch.events:
            if type(event.fact) not in _FACTS:
                continue  # nearly all of a batch
            _batch(changes, event)
            _payout(changes, event)
            _transfer(changes, event)
            _search(changes, event)
        return changes

    def write(self, connection: sa.Connection, changes: Changes, names: Names) -> None:
        """Write the changes."""
        changes.batches.write(connection, names)
        changes.payouts.write(connection, names)
        changes.attempts.write(connection, names)


_FACTS: Final = frozenset(Payouts.facts)


def _batch(changes: Changes, event: Recorded) -> None:
    match event.fact:
        case facts.PayoutBatchDrafted() as fact:
            changes.batches.insert(
                batch_id=event.originator_id,
                program_id=fact.program_id,
                currency=fact.currency,
                state="draft",
                payouts=len(fact.payout_ids),
                total_minor=fact.total_minor,
                withheld_minor=0,
                content_hash=fact.content_hash,
                made_by=fact.made_by,
                made_by_person=fact.made_by_person,
                due_on=None if fact.due_on is None else fact.due_on.isoformat(),
                approvals_needed=approvals_needed(fact, None),
                recorded_at=event.recorded_at,
                changed_at=event.recorded_at,
                position=event.position,
            )
        case facts.PayoutBatchChecked(checked_by=checked_by, checked_by_person=person):
            changes.batch(event, checked_by=checked_by, checked_by_person=person)
        case facts.PayoutBatchApproved(approved_by=approved_by, approved_by_person=person):
            changes.batch(event, state="approved", approved_by=approved_by, approved_by_person=person)
        case facts.PayoutBatchCanceled(canceled_by=canceled_by, reason=reason):
            changes.batch(event, state="canceled", canceled_by=canceled_by, reason=reason, paused_reason=None)
        case facts.PayoutBatchSendAsked(effective_at=asked_at):
            changes.batch(event, send_asked_at=asked_at)
        case facts.PayoutBatchPaused(reason=reason):
            changes.batch(event, paused_reason=reason)
        case facts.PayoutBatchResumed():
            changes.batch(event, paused_reason=None)
        case _:
            pass


def _payout(changes: Changes, event: Recorded) -> None:
    match event.fact:
        case facts.PayoutDrafted() as fact:
            _drafted(changes, event, fact)
        case facts.PayoutApproved(approved_by=approved_by):
            changes.payout(event, state="approved", approved_by=approved_by)
        case facts.PayoutCanceled(reason=reason):
            changes.payout(event, state="canceled", reason=reason)
        case facts.PayoutPaid(effective_at=effective_at):
            changes.payout(event, state="paid", paid_at=effective_at, reason=None)
        case facts.PayoutReturned(reason=reason):
            changes.payout(event, state="returned", reason=reason)
        case facts.PayoutReversed(amount_minor=amount) as fact:
            changes.payout(event, **({"state": "reversed"} if is_all_back(fact) else {}))
            changes.payouts.add(event.originator_id, reversed_minor=amount)
        case _:
            pass


def _drafted(changes: Changes, event: Recorded, fact: facts.PayoutDrafted) -> None:
    payout_id: UUID = event.originator_id
    changes.payouts.insert(
        payout_id=payout_id,
        batch_id=fact.batch_id,
        program_id=fact.program_id,
        partner_id=fact.partner_id,
        account_id=fact.account_id,
        account_from_version=fact.account_from_version,
        account_to_version=fact.account_to_version,
        state="draft",
        amount_minor=fact.amount_minor,
        withheld_minor=fact.withheld_minor,
        withholding_bps=fact.withholding_bps,
        net_minor=fact.net_minor,
        reversed_minor=0,
        currency=fact.currency,
        destination=fact.destination,
        provider=fact.provider,
        attempt=0,
        made_by=fact.made_by,
        recorded_at=event.recorded_at,
        changed_at=event.recorded_at,
        position=event.position,
    )
    if fact.withheld_minor:
        changes.batches.add(fact.batch_id, withheld_minor=fact.withheld_minor)


def _transfer(changes: Changes, event: Recorded) -> None:
    match event.fact:
        case facts.PayoutIntentRecorded() as fact:
            changes.payout(
                event, state="intent", attempt=fact.attempt, intent_at=fact.effective_at, reason=None
            )
            changes.attempts.insert(
                payout_id=event.originator_id,
                attempt=fact.attempt,
                state="intent",
                idempotency_key=fact.idempotency_key,
                intent_at=fact.effective_at,
                changed_at=event.recorded_at,
                position=event.position,
            )
        case facts.TransferSent(attempt=attempt):
            changes.payout(event, state="sent")
            changes.attempt(event, attempt, state="sent")
        case facts.TransferConfirmed(attempt=attempt, transfer_id=transfer, effective_at=effective_at):
            changes.payout(
                event, state="confirmed", transfer_id=transfer, confirmed_at=effective_at, reason=None
            )
            changes.attempt(event, attempt, state="confirmed", transfer_id=transfer)
        case facts.TransferRejected(attempt=attempt, code=code, message=message):
            changes.payout(event, state="rejected", reason=f"{code}: {message}")
            changes.attempt(event, attempt, state="rejected", code=code, message=message)
        case facts.TransferUnknown(attempt=attempt, reason=reason):
            changes.payout(event, state="unknown", reason=reason)
            changes.attempt(event, attempt, state="unknown", message=reason)
        case _:
            pass


def _search(changes: Changes, event: Recorded) -> None:
    match event.fact:
        case facts.TransferSearchBegan(attempt=attempt):
            _attempt_is(changes, event, attempt, "unknown")
        case facts.TransferFoundAbsent(attempt=attempt):
            _attempt_is(changes, event, attempt, "absent")
        case facts.PayoutLeftToHuman(attempt=attempt):
            _attempt_is(changes, event, attempt, "held")
        case facts.PayoutResolved(attempt=attempt, outcome="absent"):
            _attempt_is(changes, event, attempt, "absent")
        case BankRejectionWithdrawn(attempt=attempt, reason=reason):
            changes.payout(event, state="intent", reason=reason)
            changes.attempt(event, attempt, state="intent", code=None, message=reason)
        case facts.PayoutResolved(attempt=attempt, reason=reason):
            changes.attempt(event, attempt, message=reason)
        case _:
            pass


def _attempt_is(changes: Changes, event: Recorded, attempt: int, state: str) -> None:
    reason = told(event.fact)
    changes.payout(event, state=state, reason=reason)
    changes.attempt(event, attempt, state=state, message=reason)
