"""What is sent next of a batch, and what each of its other payouts waits for. Reads, and changes nothing."""

from datetime import datetime
from typing import Literal, assert_never
from uuid import UUID

import msgspec

from ledger import payout
from ledger.bank_account import PROVIDER as BANK
from ledger.desk import PARTNER, PROGRAM
from ledger.events.payout import PayoutDrafted
from ledger.partner import PartnerState
from ledger.payout import PayoutState
from ledger.store.application import Ledger
from payouts import batches
from payouts.eligibility import obstacles

Next = Literal["send", "ask_again", "wait", "done"]


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """One payout's next step: `waits_for` says in words what has to happen first."""

    payout_id: UUID
    partner_id: UUID
    status: payout.PayoutStatus
    net_minor: int
    currency: str
    provider: str
    next: Next
    waits_for: str | None


class BatchOutlook(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker sends of a batch when it looks at it next."""

    batch_id: UUID
    status: str
    to_send: int
    to_send_minor: int
    currency: str
    payouts: tuple[Outlook, ...]


def of_batch(ledger: Ledger, batch_id: UUID) -> BatchOutlook:
    """The outlook of a batch, from its streams. Refuses with NotFound."""
    batch = batches.load(ledger, batch_id)
    states = ledger.load_many([each.payout_id for each in batch.payouts], batches.PAYOUT)
    partners = ledger.load_many(list({each.partner_id for each in batch.payouts}), PARTNER)
    program = ledger.load(batch.program_id, PROGRAM).state
    us_source = program is not None and program.payouts.us_source
    found = []
    for each in batch.payouts:
        state = states[each.payout_id].state
        partner = partners[each.partner_id].state
        reasons = _obstacles(partner, each.provider, ledger.clock(), us_source=us_source)
        step, waits_for = _next(state, batch, reasons)
        if step == "ask_again" and each.provider == BANK:
            step, waits_for = "wait", "the bank's statement, or somebody's word"
        found.append(
            Outlook(
                payout_id=each.payout_id,
                partner_id=each.partner_id,
                status=state.status,
                net_minor=each.net_minor,
                currency=each.currency,
                provider=each.provider,
                next=step,
                waits_for=waits_for,
            )
        )
    to_send = [each for each in found if each.next == "send"]
    return BatchOutlook(
        batch_id=batch_id,
        status=batch.status,
        to_send=len(to_send),
        to_send_minor=sum(each.net_minor for each in to_send),
        currency=batch.currency,
        payouts=tuple(found),
    )


def _next(state: PayoutState, batch: batches.Batch, reasons: str | None) -> tuple[Next, str | None]:
    match state.status:
        case "none" | "canceled" | "confirmed" | "paid" | "returned" | "reversed":
            return "done", None
        case "draft":
            given = len(batch.approvals)
            return "wait", f"approval: {given} of {batch.approvals_needed} given"
        case "held":
            return "wait", f"somebody's word on how it stands: {state.reason}"
        case "intent" | "sent" | "unknown":
            return "ask_again", "the outcome of what may have been sent"
        case "approved" | "absent" | "rejected":
            waits_for = _before_sending(payout.drafted(state), batch, reasons)
            if state.status == "rejected" and waits_for is None:
                waits_for = f"what it was rejected for: {state.reason}"
            return ("send", None) if waits_for is None else ("wait", waits_for)
        case _:
            assert_never(state.status)


def _before_sending(draft: PayoutDrafted, batch: batches.Batch, reasons: str | None) -> str | None:
    """What holds up a payout that may be sent; None: nothing does."""
    if draft.provider == BANK:
        return "the file for the bank"
    if batch.paused_reason is not None:
        return f"the batch is paused: {batch.paused_reason}"
    return reasons


def _obstacles(of: PartnerState | None, provider: str, now: datetime, *, us_source: bool) -> str | None:
    """Why the partner can't be paid now."""
    if of is None:
        return "the partner is unknown"
    found = obstacles(of, provider, now=now, us_source=us_source)
    return "; ".join(each.detail for each in found) or None
