"""Conversions with the facts about them, rewards with their legs, and why a conversion earned nothing."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from projections.queries.paging import LIMIT, Cursor, Page, Row, by_key, during, filtered, page, rows
from projections.tables import conversion_facts, conversions, journal, not_rewarded, rewards


def conversion(connection: sa.Connection, conversion_id: UUID) -> Row | None:
    """A conversion with its `facts`, its `rewards` and `not_rewarded` (None where it earned).

    A conversion that only facts are known about yet is not there.
    """
    found = by_key(connection, conversions, conversion_id)
    if found is None:
        return None
    told = sa.select(conversion_facts).where(conversion_facts.c.conversion_id == conversion_id)
    earned = sa.select(rewards).where(rewards.c.conversion_id == conversion_id)
    return {
        **found,
        "facts": rows(connection, told.order_by(conversion_facts.c.position)),
        "rewards": [_with_kept(row) for row in rows(connection, earned.order_by(rewards.c.reward_id))],
        "not_rewarded": by_key(connection, not_rewarded, conversion_id),
    }


def reward(connection: sa.Connection, reward_id: UUID) -> Row | None:
    """A reward with the `legs` of the journal that it caused."""
    found = by_key(connection, rewards, reward_id)
    if found is None:
        return None
    legs = sa.select(journal).where(journal.c.reward_id == reward_id)
    return {
        **_with_kept(found),
        "legs": rows(connection, legs.order_by(journal.c.position, journal.c.leg)),
    }


def list_conversions(
    connection: sa.Connection,
    *,
    program_id: UUID | None = None,
    partner_id: UUID | None = None,
    customer: str | None = None,
    customer_id: UUID | None = None,
    kind: str | None = None,
    status: str | None = None,
    source: str | None = None,
    external_id: str | None = None,
    effective_from: datetime | None = None,
    effective_to: datetime | None = None,
    after: Cursor | None = None,
    limit: int = LIMIT,
) -> Page:
    """Conversions, the latest first. `partner_id`: those that earned the partner a reward."""
    statement = filtered(
        conversions,
        program_id=program_id,
        customer=customer,
        customer_id=customer_id,
        kind=kind,
        status=status,
        source=source,
        external_id=external_id,
    )
    if partner_id is not None:
        earned = sa.select(sa.literal(1)).where(
            rewards.c.conversion_id == conversions.c.conversion_id, rewards.c.partner_id == partner_id
        )
        statement = statement.where(earned.exists())
    statement = during(statement, conversions.c.effective_at, effective_from, effective_to)
    order = [conversions.c.effective_at, conversions.c.conversion_id]
    return page(connection, statement, order, after=after, limit=limit, descending=True)


def list_rewards(
    connection: sa.Connection,
    *,
    program_id: UUID | None = None,
    partner_id: UUID | None = None,
    conversion_id: UUID | None = None,
    customer_id: UUID | None = None,
    stage: str | None = None,
    effective_from: datetime | None = None,
    effective_to: datetime | None = None,
    after: Cursor | None = None,
    limit: int = LIMIT,
) -> Page:
    """Rewards, the latest first."""
    statement = filtered(
        rewards,
        program_id=program_id,
        partner_id=partner_id,
        conversion_id=conversion_id,
        customer_id=customer_id,
        stage=stage,
    )
    statement = during(statement, rewards.c.effective_at, effective_from, effective_to)
    order = [rewards.c.effective_at, rewards.c.reward_id]
    found = page(connection, statement, order, after=after, limit=limit, descending=True)
    return Page([_with_kept(row) for row in found.rows], found.next)


def list_not_rewarded(
    connection: sa.Connection,
    *,
    program_id: UUID | None = None,
    partner_id: UUID | None = None,
    reason: str | None = None,
    effective_from: datetime | None = None,
    effective_to: datetime | None = None,
    after: Cursor | None = None,
    limit: int = LIMIT,
) -> Page:
    """Conversions that earned nothing, and why, the last told first."""
    statement = filtered(not_rewarded, program_id=program_id, partner_id=partner_id, reason=reason)
    statement = during(statement, not_rewarded.c.effective_at, effective_from, effective_to)
    order = [not_rewarded.c.position, not_rewarded.c.conversion_id]
    return page(connection, statement, order, after=after, limit=limit, descending=True)


def _with_kept(row: Row) -> Row:
    return {**row, "kept_minor": row["amount_minor"] - row["reversed_minor"]}
