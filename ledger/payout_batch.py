"""Batches of payouts: what finance drafts, approves and gives up. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, assert_never
from uuid import UUID

import msgspec

from ledger.commands import ApprovePayouts, CancelPayouts, DraftPayouts
from ledger.events.base import Fact
from ledger.events.payout import (
    PayoutBatchApproved,
    PayoutBatchCanceled,
    PayoutBatchDrafted,
    PayoutBatchPaused,
    PayoutBatchResumed,
    PayoutDrafted,
)
from ledger.payout import content_hash, expect
from ledger.refusals import ContentChanged, ContentConflict, NotFound, NothingToPay, SameMakerAndChecker

BatchStatus = Literal["none", "draft", "approved", "canceled"]


class BatchState(msgspec.Struct, frozen=True):
    """One batch: what was drafted, whether somebody decided upon it, and why no more of it is sent."""

    status: BatchStatus = "none"
    draft: PayoutBatchDrafted | None = None
    approved_by: str | None = None
    paused: PayoutBatchPaused | None = None


NO_BATCH: Final = BatchState()


def evolve(state: BatchState, fact: Fact) -> BatchState:
    """The batch after a fact."""
    match fact:
        case PayoutBatchDrafted():
            return BatchState("draft", fact)
        case PayoutBatchApproved():
            return BatchState("approved", state.draft, fact.approved_by)
        case PayoutBatchCanceled():
            return BatchState("canceled", state.draft)
        case PayoutBatchPaused():
            return msgspec.structs.replace(state, paused=fact)
        case PayoutBatchResumed():
            return msgspec.structs.replace(state, paused=None)
        case _:
            return state


def decide_draft(
    command: DraftPayouts, state: BatchState, *, drafts: Mapping[UUID, PayoutDrafted], currency: str, by: str
) -> list[Fact]:
    """Draft a batch of payouts; nothing new when the same command drafted it before.

    Refuses with ContentConflict when the id is that of another wish, NothingToPay when nobody is due money.
    """
    if state.draft is not None:
        if (state.draft.program_id, state.draft.minimum_minor) != (command.program_id, command.minimum_minor):
            raise ContentConflict(f"batch {command.batch_id} was drafted by another wish")
        return []
    if not drafts:
        raise NothingToPay("no account of the program is due a payout")
    assert all(draft.currency == currency for draft in drafts.values()), "a batch has one currency"
    return [
        PayoutBatchDrafted(
            program_id=command.program_id,
            currency=currency,
            payout_ids=tuple(drafts),
            total_minor=sum(draft.amount_minor for draft in drafts.values()),
            made_by=by,
            content_hash=content_hash(drafts),
            minimum_minor=command.minimum_minor,
        )
    ]


def decide_batch(
    command: ApprovePayouts | CancelPayouts,
    state: BatchState,
    *,
    payouts: Mapping[UUID, PayoutDrafted],
    by: str,
) -> list[Fact]:
    """Approve a batch as it stands in `payouts`, or give it up; nothing new when it was done before."""
    if state.draft is None:
        raise NotFound(f"there is no payout batch {command.batch_id}")
    match command:
        case ApprovePayouts():
            return _approve_batch(command, state, state.draft, payouts, by)
        case CancelPayouts():
            if state.status == "canceled":
                return []
            expect(state.status, {"draft"}, "a batch can be canceled")
            return [PayoutBatchCanceled(canceled_by=by, reason=command.reason)]
        case _:
            assert_never(command)


def _approve_batch(
    command: ApprovePayouts,
    state: BatchState,
    draft: PayoutBatchDrafted,
    payouts: Mapping[UUID, PayoutDrafted],
    by: str,
) -> list[Fact]:
    if by == draft.made_by:
        raise SameMakerAndChecker("whoever drafted a batch can't approve it")
    if command.content_hash != draft.content_hash or content_hash(payouts) != draft.content_hash:
        raise ContentChanged(
            "the batch is not what was looked at: read it again, and approve the hash that it has now",
            pointer="/content_hash",
        )
    if state.status == "approved" and state.approved_by == by:
        return []
    expect(state.status, {"draft"}, "a batch can be approved")
    return [PayoutBatchApproved(approved_by=by, content_hash=draft.content_hash)]


# While it is sent


def pause(state: BatchState, *, reason: str, now: datetime) -> list[Fact]:
    """Send no more of an approved batch, since the platform's balance is too low; nothing new if it is so."""
    if state.paused is not None:
        return []
    expect(state.status, {"approved"}, "a batch can be paused")
    return [PayoutBatchPaused(cause="balance_insufficient", reason=reason, effective_at=now)]


def resume(state: BatchState, *, now: datetime) -> list[Fact]:
    """The balance covers what is left of the batch; nothing new where it was not paused."""
    if state.paused is None:
        return []
    return [PayoutBatchResumed(cause=state.paused.cause, effective_at=now)]
