"""Payout batches, payouts with their attempts, and the lines that a payout pays."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from ledger.events.base import Recorded
from ledger.store.application import Ledger
from projections.queries.paging import LIMIT, Cursor, Page, Row, besides, by_key, during, filtered, page, rows
from projections.tables import journal, payout_attempts, payout_batches, payouts


def payout_batch(connection: sa.Connection, batch_id: UUID) -> Row | None:
    """A batch, with how many of its payouts are in each state (`states`)."""
    found = by_key(connection, payout_batches, batch_id)
    if found is None:
        return None
    counted = sa.select(payouts.c.state, sa.func.count()).where(payouts.c.batch_id == batch_id)
    states = connection.execute(counted.group_by(payouts.c.state).order_by(payouts.c.state))
    return {**found, "states": dict(states.all())}


def payout(connection: sa.Connection, payout_id: UUID) -> Row | None:
    """A payout with its `attempts` and the `legs` of the journal that it caused."""
    found = by_key(connection, payouts, payout_id)
    if found is None:
        return None
    tried = sa.select(payout_attempts).where(payout_attempts.c.payout_id == payout_id)
    legs = sa.select(journal).where(journal.c.payout_id == payout_id)
    return {
        **found,
        "attempts": rows(connection, tried.order_by(payout_attempts.c.attempt)),
        "legs": rows(connection, legs.order_by(journal.c.position, journal.c.leg)),
    }


def payout_lines(ledger: Ledger, found: Row) -> list[Recorded]:
    """What a payout pays, line by line: the facts of the money account that it covers."""
    first, last = found["account_from_version"], found["account_to_version"]
    return ledger.history(found["account_id"], after=first, until=last)


def list_payout_batches(
    connection: sa.Connection,
    *,
    program_id: UUID | None = None,
    state: str | None = None,
    after: Cursor | None = None,
    limit: int = LIMIT,
) -> Page:
    """Batches, the latest first."""
    statement = filtered(payout_batches, program_id=program_id)
    order = [payout_batches.c.recorded_at, payout_batches.c.batch_id]
    also = besides(state=state)
    return page(connection, statement, order, after=after, limit=limit, descending=True, also=also)


def list_payouts(
    connection: sa.Connection,
    *,
    batch_id: UUID | None = None,
    program_id: UUID | None = None,
    partner_id: UUID | None = None,
    state: str | None = None,
    recorded_from: datetime | None = None,
    recorded_to: datetime | None = None,
    after: Cursor | None = None,
    limit: int = LIMIT,
) -> Page:
    """Payouts, the latest first. One index knows the batch's, else the partner's, those of a state or of a
    program; what is asked for besides is looked for among these."""
    asked = {"batch_id": batch_id, "partner_id": partner_id, "state": state, "program_id": program_id}
    known = next((name for name, value in asked.items() if value is not None), None)
    statement = filtered(payouts, **({known: asked.pop(known)} if known else {}))
    statement = during(statement, payouts.c.recorded_at, recorded_from, recorded_to)
    order = [payouts.c.recorded_at, payouts.c.payout_id]
    also = besides(**asked)
    return page(connection, statement, order, after=after, limit=limit, descending=True, also=also)
