"""Batches of payouts: what finance drafts, approves and gives up. Pure."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Final, Literal, assert_never
from uuid import UUID

import msgspec

from ledger.access import Author
from ledger.commands import ApprovePayouts, CancelPayouts, DraftPayouts
from ledger.events.base import Fact
from ledger.events.payout import (
    PayoutBatchApproved,
    PayoutBatchCanceled,
    PayoutBatchChecked,
    PayoutBatchDrafted,
    PayoutBatchPaused,
    PayoutBatchResumed,
    PayoutBatchSendAsked,
    PayoutDatePassed,
    PayoutDrafted,
)
from ledger.payout import content_hash, expect
from ledger.refusals import (
    ContentChanged,
    ContentConflict,
    NotFound,
    NothingToPay,
    SameMakerAndChecker,
    SecondCheckerNeeded,
)

BatchStatus = Literal["none", "draft", "approved", "canceled", "passed"]


class BatchState(msgspec.Struct, frozen=True):
    """One batch: what was drafted, who approved it, in their order, and why no more of it is sent.

    `approved_by` is whose approval let it go, `send_asked_at` when somebody last asked that it be sent now.
    """

    status: BatchStatus = "none"
    draft: PayoutBatchDrafted | None = None
    approvals: tuple[Author, ...] = ()
    approved_by: str | None = None
    send_asked_at: datetime | None = None
    paused: PayoutBatchPaused | None = None


NO_BATCH: Final = BatchState()
ASK_AGAIN_AFTER: Final = timedelta(seconds=10)
"""How long an ask that a batch be sent now is the same one: whoever repeats a request asks nothing new."""
_replace = msgspec.structs.replace


def evolve(state: BatchState, fact: Fact) -> BatchState:
    """The batch after a fact."""
    match fact:
        case PayoutBatchDrafted():
            return BatchState("draft", fact)
        case PayoutDatePassed():
            return _replace(state, status="passed")
        case PayoutBatchChecked():
            checker = Author(fact.checked_by, fact.checked_by_person)
            return _replace(state, approvals=(*state.approvals, checker))
        case PayoutBatchApproved():
            checker = Author(fact.approved_by, fact.approved_by_person)
            approvals = (*state.approvals, checker)
            return _replace(state, status="approved", approvals=approvals, approved_by=fact.approved_by)
        case PayoutBatchCanceled():
            return _replace(state, status="canceled", paused=None)
        case PayoutBatchSendAsked():
            return _replace(state, send_asked_at=fact.effective_at)
        case PayoutBatchPaused():
            return _replace(state, paused=fact)
        case PayoutBatchResumed():
            return _replace(state, paused=None)
        case _:
            return state


def approvals_needed(draft: PayoutBatchDrafted, over_minor: int | None) -> int:
    """How many checkers the batch needs: two where its total is over the limit of its draft, or today's.

    So a limit that is lifted after the draft helps nobody, and one that is lowered holds at once.
    """
    limits = [limit for limit in (draft.second_approval_over_minor, over_minor) if limit is not None]
    return 2 if any(draft.total_minor > limit for limit in limits) else 1


def decide_draft(
    command: DraftPayouts,
    state: BatchState,
    *,
    drafts: Mapping[UUID, PayoutDrafted],
    currency: str,
    maker: Author,
    second_approval_over_minor: int | None = None,
    due_on: date | None = None,
) -> list[Fact]:
    """Draft a batch of payouts; nothing new when the same command drafted it before.

    Refuses with ContentConflict when the id is that of another wish, NothingToPay when nobody is due money.
    """
    if state.draft is not None:
        if (state.draft.program_id, state.draft.minimum_minor) != (command.program_id, command.minimum_minor):
            raise ContentConflict(f"batch {command.batch_id} was drafted by another wish")
        return []
    if state.status == "passed":
        raise NothingToPay("nobody was due a payout when its date came")
    if not drafts:
        raise NothingToPay("no account of the program is due a payout")
    assert all(draft.currency == currency for draft in drafts.values()), "a batch has one currency"
    return [
        PayoutBatchDrafted(
            program_id=command.program_id,
            currency=currency,
            payout_ids=tuple(drafts),
            total_minor=sum(draft.amount_minor for draft in drafts.values()),
            made_by=maker.by,
            content_hash=content_hash(drafts),
            minimum_minor=command.minimum_minor,
            made_by_person=maker.person,
            second_approval_over_minor=second_approval_over_minor,
            due_on=due_on,
        )
    ]


def pass_date(state: BatchState, *, program_id: UUID, currency: str, due_on: date, reason: str) -> list[Fact]:
    """Let a date of the calendar pass without a batch; nothing new where it passed, or has one."""
    if state.status != "none":
        return []
    return [PayoutDatePassed(program_id=program_id, currency=currency, due_on=due_on, reason=reason)]


def decide_batch(
    command: ApprovePayouts | CancelPayouts,
    state: BatchState,
    *,
    payouts: Mapping[UUID, PayoutDrafted],
    author: Author,
    second_approval_over_minor: int | None = None,
) -> list[Fact]:
    """Approve a batch as it stands in `payouts`, or give it up; nothing new when it was done before.

    Whether its payouts can be given up with it is theirs to say (ledger.payout_cancel).

    `second_approval_over_minor` is the program's limit of today. Where two checkers are needed, the first
    one's approval leaves it a draft.
    """
    if state.draft is None:
        raise NotFound(f"there is no payout batch {command.batch_id}")
    match command:
        case ApprovePayouts():
            needed = approvals_needed(state.draft, second_approval_over_minor)
            return _approve_batch(command, state, state.draft, payouts, author, needed)
        case CancelPayouts():
            if state.status == "canceled":
                return []
            expect(state.status, {"draft", "approved"}, "a batch can be canceled")
            return [PayoutBatchCanceled(canceled_by=author.by, reason=command.reason)]
        case _:
            assert_never(command)


def _approve_batch(
    command: ApprovePayouts,
    state: BatchState,
    draft: PayoutBatchDrafted,
    payouts: Mapping[UUID, PayoutDrafted],
    checker: Author,
    needed: int,
) -> list[Fact]:
    if checker.is_also(Author(draft.made_by, draft.made_by_person)):
        raise SameMakerAndChecker("whoever drafted a batch can't approve it")
    if command.content_hash != draft.content_hash or content_hash(payouts) != draft.content_hash:
        raise ContentChanged(
            "the batch is not what was looked at: read it again, and approve the hash that it has now",
            pointer="/content_hash",
        )
    if state.status != "canceled" and any(checker.by == before.by for before in state.approvals):
        return []
    expect(state.status, {"draft"}, "a batch can be approved")
    if any(checker.is_also(before) for before in state.approvals):
        raise SecondCheckerNeeded("whoever approved first can't give the second approval, by any key")
    if len(state.approvals) + 1 < needed:
        return [
            PayoutBatchChecked(
                checked_by=checker.by, content_hash=draft.content_hash, checked_by_person=checker.person
            )
        ]
    return [
        PayoutBatchApproved(
            approved_by=checker.by, content_hash=draft.content_hash, approved_by_person=checker.person
        )
    ]


# While it is sent


def ask_to_send(state: BatchState, *, by: str, now: datetime) -> list[Fact]:
    """Ask that an approved batch be sent without waiting; nothing new within ASK_AGAIN_AFTER of the last ask.

    Refuses with NotFound, IllegalTransition.
    """
    if state.draft is None:
        raise NotFound("there is no such payout batch", pointer="/batch_id")
    expect(state.status, {"approved"}, "a batch can be sent")
    if state.send_asked_at is not None and now - state.send_asked_at < ASK_AGAIN_AFTER:
        return []
    return [PayoutBatchSendAsked(asked_by=by, effective_at=now)]


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
