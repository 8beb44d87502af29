"""A human's word on a payout whose outcome nobody learned, recorded with the money that it moves."""

from uuid import UUID

import sqlalchemy as sa

from ledger import account, payout, payout_search
from ledger.commands import ResolvePayout
from ledger.desk import ACCOUNT
from ledger.events.base import Fact
from ledger.events.payout import PayoutDrafted
from ledger.payout import PayoutState
from ledger.refusals import ContentConflict, LostRace, NotFound
from ledger.store.application import ATTEMPTS_MAX, Change, Ledger
from payouts.batches import PAYOUT, Payout, load_payout
from projections import tables


def resolve(ledger: Ledger, command: ResolvePayout, *, by: str) -> Payout:
    """Record how the payout stands; the same word again changes nothing.

    Absent gives back what was reserved, in the same append, so that the next attempt can be opened. Refuses
    with NotFound, InvalidField, IllegalTransition, ContentConflict (the transfer is another payout's, or the
    payout was resolved otherwise), InsufficientBalance (it is confirmed, but its money went out since).
    """
    for _ in range(ATTEMPTS_MAX):
        state, version = ledger.load(command.payout_id, PAYOUT)
        if state.draft is None:
            raise NotFound(f"there is no payout {command.payout_id}", pointer="/payout_id")
        now = ledger.clock()
        facts = payout_search.resolve(command, state, by=by, now=now)
        if not facts:
            return load_payout(ledger, command.payout_id)
        _check_transfer(ledger, command)
        money = _money(ledger, command, state, state.draft)
        if ledger.append([Change(command.payout_id, version, facts), *money], by=by) is not None:
            return load_payout(ledger, command.payout_id)
    raise LostRace(f"payout {command.payout_id} was changed by others {ATTEMPTS_MAX} times in a row")


def _check_transfer(ledger: Ledger, command: ResolvePayout) -> None:
    if command.transfer_id is None:
        return
    c = tables.payouts.c
    statement = sa.select(c.payout_id).where(
        c.transfer_id == command.transfer_id, c.payout_id != command.payout_id
    )
    with ledger.database.read() as connection:
        other: UUID | None = connection.execute(statement.limit(1)).scalar()
    if other is not None:
        raise ContentConflict(f"that is the transfer of payout {other}", pointer="/transfer_id")


def _money(ledger: Ledger, command: ResolvePayout, state: PayoutState, draft: PayoutDrafted) -> list[Change]:
    """What is absent is released. What exists must be reserved: a proof of absence may have released it."""
    money, version = ledger.load(draft.account_id, ACCOUNT)
    facts: list[Fact]
    if command.outcome == "absent":
        facts = account.release(
            money,
            payout.holder(draft),
            payout_id=command.payout_id,
            attempt=state.attempt,
            reason=f"resolved: {command.reason}",
            effective_at=ledger.clock(),
        )
    else:
        facts = account.reserve(
            money,
            payout.holder(draft),
            payout_id=command.payout_id,
            attempt=state.attempt,
            net_minor=draft.net_minor,
            withheld_minor=draft.withheld_minor,
            effective_at=ledger.clock(),
        )
    return [Change(draft.account_id, version, facts)] if facts else []
