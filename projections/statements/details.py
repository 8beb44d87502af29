"""What a statement tells of program, partner and payouts: from their streams, as far as they are given."""

from collections.abc import Sequence
from uuid import UUID

from ledger import partner, payout, program
from ledger.desk import PARTNER, PROGRAM
from ledger.events.base import Recorded
from ledger.events.payout import PayoutIntentRecorded, PayoutPaid, TransferConfirmed
from projections.statement import StatementPartner, StatementPayout, StatementProgram


def program_told(history: Sequence[Recorded], program_id: UUID, time_zone: str) -> StatementProgram:
    """The program, from its facts."""
    known = program.known(PROGRAM.after(each.fact for each in history))
    return StatementProgram(program_id, known.reference, known.name, time_zone)


def partner_told(history: Sequence[Recorded], partner_id: UUID) -> StatementPartner:
    """The partner, from its facts."""
    known = partner.known(PARTNER.after(each.fact for each in history))
    return StatementPartner(partner_id, known.reference, known.name, known.email, known.country, known.locale)


def payout_told(history: Sequence[Recorded], payout_id: UUID) -> StatementPayout:
    """A payout as its facts leave it."""
    state = payout.PayoutState()
    intent = confirmed = paid = None
    reference = None
    for each in history:
        state = payout.evolve(state, each.fact)
        match each.fact:
            case PayoutIntentRecorded() as fact:
                intent = fact.effective_at
            case TransferConfirmed() as fact:
                confirmed = fact.effective_at
            case PayoutPaid() as fact:
                paid, reference = fact.effective_at, fact.reference
    draft = state.draft
    assert draft is not None
    return StatementPayout(
        payout_id=payout_id,
        state=state.status,
        provider=draft.provider,
        amount_minor=draft.amount_minor,
        withheld_minor=draft.withheld_minor,
        net_minor=draft.net_minor,
        reference=state.transfer_id or reference,
        intent_at=intent,
        confirmed_at=confirmed,
        paid_at=paid,
    )
