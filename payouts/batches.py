"""Batches of payouts: drafted from what accounts hold, approved by somebody else, or given up."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

import msgspec

from ledger import payout, payout_batch, payout_cancel, payout_lines, program
from ledger.access import Author
from ledger.commands import ApprovePayouts, CancelPayout, CancelPayouts, DraftPayouts
from ledger.desk import PROGRAM
from ledger.events.base import Fact
from ledger.events.payout import PayoutBatchApproved, PayoutDrafted
from ledger.payout import PayoutState, PayoutStatus
from ledger.payout_batch import BatchState, BatchStatus
from ledger.payout_lines import Line
from ledger.refusals import InvalidField, LostRace, NotFound, NothingToPay
from ledger.store.application import ATTEMPTS_MAX, Change, Decider, Ledger
from payouts import due
from payouts.due import PAYOUT as PAYOUT
from payouts.due import Asked, Skipped

BATCH: Final = Decider(payout_batch.NO_BATCH, payout_batch.evolve)


class Payout(msgspec.Struct, frozen=True, kw_only=True):
    """One partner's part of a batch, as it stands now: of `amount_minor` only `net_minor` is sent."""

    payout_id: UUID
    status: PayoutStatus
    batch_id: UUID
    program_id: UUID
    partner_id: UUID
    account_id: UUID
    account_from_version: int
    account_to_version: int
    amount_minor: int
    withheld_minor: int
    withholding_bps: int
    net_minor: int
    currency: str
    provider: str
    destination: str
    content_hash: str
    attempt: int
    transfer_id: str | None
    reason: str | None = None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as it stands now: sent once it has as many approvals as it needs.

    `skipped` and `new` tell what the call that answers it did.
    """

    batch_id: UUID
    status: BatchStatus
    program_id: UUID
    currency: str
    total_minor: int
    withheld_minor: int
    made_by: str
    made_by_person: str | None
    approved_by: str | None
    send_asked_at: datetime | None
    paused_reason: str | None
    approvals: tuple[Author, ...]
    approvals_needed: int
    due_on: date | None
    content_hash: str
    payouts: tuple[Payout, ...]
    skipped: tuple[Skipped, ...] = ()
    new: bool = False


# Reading


def load(ledger: Ledger, batch_id: UUID) -> Batch:
    """A batch with its payouts, from their streams. Refuses with NotFound."""
    state = ledger.load(batch_id, BATCH).state
    if state.draft is None:
        raise NotFound(f"there is no payout batch {batch_id}", pointer="/batch_id")
    loaded = ledger.load_many(state.draft.payout_ids, PAYOUT)
    found = tuple(_payout(payout_id, at.state) for payout_id, at in loaded.items())
    return _batch(batch_id, state, found, _limit_of_today(ledger, state))


def load_payout(ledger: Ledger, payout_id: UUID) -> Payout:
    """A payout, from its stream. Refuses with NotFound."""
    return _payout(payout_id, ledger.load(payout_id, PAYOUT).state)


def lines(ledger: Ledger, payout_id: UUID) -> list[Line]:
    """The facts of the account that make a payout's amount, to the last cent. Refuses with NotFound."""
    found = load_payout(ledger, payout_id)
    first, last = found.account_from_version, found.account_to_version
    history = ledger.history(found.account_id, after=first, until=last)
    return payout_lines.lines(history, from_version=first, to_version=last)


def _payout(payout_id: UUID, state: PayoutState) -> Payout:
    draft = state.draft
    if draft is None:
        raise NotFound(f"there is no payout {payout_id}", pointer="/payout_id")
    return Payout(
        payout_id=payout_id,
        status=state.status,
        batch_id=draft.batch_id,
        program_id=draft.program_id,
        partner_id=draft.partner_id,
        account_id=draft.account_id,
        account_from_version=draft.account_from_version,
        account_to_version=draft.account_to_version,
        amount_minor=draft.amount_minor,
        withheld_minor=draft.withheld_minor,
        withholding_bps=draft.withholding_bps,
        net_minor=draft.net_minor,
        currency=draft.currency,
        provider=draft.provider,
        destination=draft.destination,
        content_hash=payout.content_hash({payout_id: draft}),
        attempt=state.attempt,
        transfer_id=state.transfer_id,
        reason=state.reason,
    )


def _limit_of_today(ledger: Ledger, state: BatchState) -> int | None:
    """Above which total the batch's program wants a second checker, as long as nobody decided."""
    if state.draft is None or state.status != "draft":
        return None
    of = ledger.load(state.draft.program_id, PROGRAM).state
    return of.payouts.second_approval_over_minor if of else None


def _batch(
    batch_id: UUID, state: BatchState, payouts: tuple[Payout, ...], limit_of_today: int | None
) -> Batch:
    assert state.draft is not None
    needed = payout_batch.approvals_needed(state.draft, limit_of_today)
    return Batch(
        batch_id=batch_id,
        status=state.status,
        program_id=state.draft.program_id,
        currency=state.draft.currency,
        total_minor=state.draft.total_minor,
        withheld_minor=sum(payout.withheld_minor for payout in payouts),
        made_by=state.draft.made_by,
        made_by_person=state.draft.made_by_person,
        approved_by=state.approved_by,
        send_asked_at=state.send_asked_at,
        paused_reason=state.paused.reason if state.paused else None,
        approvals=state.approvals,
        approvals_needed=max(needed, len(state.approvals)),
        due_on=state.draft.due_on,
        content_hash=state.draft.content_hash,
        payouts=payouts,
    )


# Drafting


def draft(
    ledger: Ledger,
    command: DraftPayouts,
    *,
    by: str,
    person: str | None = None,
    due_on: date | None = None,
) -> Batch:
    """Draft payouts of all that is payable now, one for each account that is due; all of them or none.

    The same command again answers the same batch. `due_on` is the date of the program's calendar for which it
    is. Refuses with UnknownProgram, ContentConflict (the id is
    that of another wish) and NothingToPay (its details say who was left out, and why).
    """
    if command.minimum_minor is not None and command.minimum_minor < 0:
        raise InvalidField("a minimum is zero or more", pointer="/minimum_minor")
    maker = Author(by, person)
    for _ in range(ATTEMPTS_MAX):
        loaded = ledger.load(command.batch_id, BATCH)
        if loaded.state.draft is not None:
            payout_batch.decide_draft(command, loaded.state, drafts={}, currency="", maker=maker)
            return load(ledger, command.batch_id)
        of = program.known(ledger.load(command.program_id, PROGRAM).state)
        asked = Asked(command=command, program=of, by=by, now=ledger.clock())
        drafted, skipped = due.drafts(ledger, asked)
        try:
            facts = payout_batch.decide_draft(
                command,
                loaded.state,
                drafts=drafted,
                currency=of.currency,
                maker=maker,
                second_approval_over_minor=of.payouts.second_approval_over_minor,
                due_on=due_on,
            )
        except NothingToPay as refusal:
            refusal.details["skipped"] = skipped
            raise
        changes = [Change(payout_id, 0, [fact]) for payout_id, fact in drafted.items()]
        if ledger.append([Change(command.batch_id, loaded.version, facts), *changes], by=by) is not None:
            made = load(ledger, command.batch_id)
            return msgspec.structs.replace(made, skipped=tuple(skipped), new=True)
    raise LostRace(f"batch {command.batch_id} was changed by others {ATTEMPTS_MAX} times in a row")


# Deciding


def approve(ledger: Ledger, command: ApprovePayouts, *, by: str, person: str | None = None) -> Batch:
    """Approve a batch as it was looked at, by somebody other than its maker; its payouts may be sent then.

    The first of two approvals leaves it a draft. Refuses with NotFound, SameMakerAndChecker, ContentChanged,
    SecondCheckerNeeded and IllegalTransition.
    """
    return _decide(ledger, command, Author(by, person))


def cancel(ledger: Ledger, command: CancelPayouts, *, by: str) -> Batch:
    """Give up a batch and all of its payouts before any of them is sent.

    It races the worker: whichever append comes first, the intent or this, stands. Refuses with NotFound,
    PayoutUnderWay (names the payouts).
    """
    return _decide(ledger, command, Author(by))


def cancel_payout(ledger: Ledger, command: CancelPayout, *, by: str) -> Payout:
    """Give up one payout of an approved batch before it is sent; what it would have paid stays payable.

    Refuses with NotFound, PayoutUnderWay, IllegalTransition (its batch is a draft), InvalidField.
    """

    def decide(state: PayoutState) -> list[Fact]:
        return payout_cancel.cancel_one(command, state)

    loaded, _ = ledger.execute(command.payout_id, PAYOUT, decide, by=by)
    return _payout(command.payout_id, loaded.state)


def _decide(ledger: Ledger, command: ApprovePayouts | CancelPayouts, author: Author) -> Batch:
    for _ in range(ATTEMPTS_MAX):
        state, version = ledger.load(command.batch_id, BATCH)
        payouts = ledger.load_many(state.draft.payout_ids if state.draft else (), PAYOUT)
        drafts: Mapping[UUID, PayoutDrafted] = {
            payout_id: at.state.draft for payout_id, at in payouts.items() if at.state.draft
        }
        limit = _limit_of_today(ledger, state)
        facts = payout_batch.decide_batch(
            command, state, payouts=drafts, author=author, second_approval_over_minor=limit
        )
        if not facts:
            return load(ledger, command.batch_id)
        changes = [Change(command.batch_id, version, facts)]
        states = {payout_id: at.state for payout_id, at in payouts.items()}
        for payout_id, step in _steps(command, facts, states, author).items():
            if step:
                changes.append(Change(payout_id, payouts[payout_id].version, step))
        if ledger.append(changes, by=author.by) is not None:
            return msgspec.structs.replace(load(ledger, command.batch_id), new=True)
    raise LostRace(f"batch {command.batch_id} was changed by others {ATTEMPTS_MAX} times in a row")


def _steps(
    command: ApprovePayouts | CancelPayouts,
    decided: Sequence[Fact],
    states: Mapping[UUID, PayoutState],
    author: Author,
) -> dict[UUID, list[Fact]]:
    """What a batch's payouts do with it: none is approved by the first of two approvals."""
    if isinstance(command, CancelPayouts):
        return payout_cancel.cancel_all(states, reason=f"its batch was canceled: {command.reason}")
    if not any(isinstance(fact, PayoutBatchApproved) for fact in decided):
        return {}
    return {payout_id: payout.approve(payout_id, state, by=author.by) for payout_id, state in states.items()}
