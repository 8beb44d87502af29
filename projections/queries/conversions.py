"""Conversions with the facts about them, rewards with their legs, and why a conversion earned nothing."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa

from ledger import ids
from projections.queries.as_of import by_then, rewards_as_of
from projections.queries.paging import LIMIT, Cursor, Page, Row, besides, by_key, during, filtered, page, rows
from projections.tables import conversion_facts, conversions, journal, not_rewarded, rewards

RewardStage = Literal["held", "matured"]
"""What a reward's column `stage` can say."""


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


def reward(
    connection: sa.Connection,
    reward_id: UUID,
    *,
    effective_as_of: datetime | None = None,
    recorded_as_of: datetime | None = None,
) -> Row | None:
    """A reward with the `legs` of the journal that it caused; as it was, if times are given. See as_of."""
    times = effective_as_of, recorded_as_of
    there = sa.select(rewards).where(rewards.c.reward_id == reward_id, *by_then(rewards.c, *times))
    found = _as_they_were(connection, rows(connection, there), *times)
    if not found:
        return None
    legs = sa.select(journal).where(journal.c.reward_id == reward_id, *by_then(journal.c, *times))
    return {
        **found[0],
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
    """Conversions, the latest first. `partner_id`: those that earned the partner a reward.

    One index knows the conversion, else the partner's, the customer's or the program's; what is asked for
    besides is looked for among these.
    """
    conversion_id = None
    if program_id is not None and source is not None and external_id is not None:
        conversion_id = ids.conversion_id(program_id, source, external_id)
    if program_id is not None and customer is not None:
        customer_id = customer_id or ids.customer_id(program_id, customer)
    c = conversions.c
    by_index = {"conversion_id": conversion_id, "customer_id": customer_id, "program_id": program_id}
    known = next((name for name, value in by_index.items() if value is not None), None)
    asked = {**by_index, "customer": customer, "kind": kind, "status": status, "source": source}
    asked |= {"external_id": external_id}
    if partner_id is not None and conversion_id is None:
        order = [rewards.c.effective_at, rewards.c.conversion_id]
        statement = _of_partner(partner_id)
    else:
        order = [c.effective_at, c.conversion_id]
        statement = filtered(conversions, **({known: asked.pop(known)} if known else {}))
        if partner_id is not None:
            earned = sa.select(sa.literal(1)).where(
                rewards.c.conversion_id == c.conversion_id, rewards.c.partner_id == partner_id
            )
            statement = statement.where(earned.exists())
    statement = during(statement, order[0], effective_from, effective_to)
    also = besides(**asked)
    return page(connection, statement, order, after=after, limit=limit, descending=True, also=also)


def _of_partner(partner_id: UUID) -> sa.Select[Any]:
    """The conversions that earned a partner something, each once: by its rewards, which have their times."""
    other = rewards.alias("other")
    first = ~sa.exists().where(
        other.c.conversion_id == rewards.c.conversion_id,
        other.c.partner_id == partner_id,
        other.c.reward_id < rewards.c.reward_id,
    )
    joined = rewards.join(conversions, conversions.c.conversion_id == rewards.c.conversion_id)
    return sa.select(conversions).select_from(joined).where(rewards.c.partner_id == partner_id, first)


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
    effective_as_of: datetime | None = None,
    recorded_as_of: datetime | None = None,
    after: Cursor | None = None,
    limit: int = LIMIT,
) -> Page:
    """Rewards, the latest first; as they were, if times are given. See as_of."""
    # A partner's rewards are known by an index, whatever the program.
    of = {"program_id": program_id} if partner_id is None else {"partner_id": partner_id}
    if conversion_id is not None:
        of = {"conversion_id": conversion_id}
    statement = filtered(rewards, **of).where(*by_then(rewards.c, effective_as_of, None))
    statement = during(statement, rewards.c.effective_at, effective_from, effective_to)
    past = effective_as_of is not None or recorded_as_of is not None

    def also(c: Any) -> list[sa.ColumnElement[bool]]:
        equal = {
            "program_id": None if "program_id" in of else program_id,
            "partner_id": None if "partner_id" in of else partner_id,
            "customer_id": customer_id,
            "stage": None if past else stage,
        }
        return [
            *(c[name] == value for name, value in equal.items() if value is not None),
            *by_then(c, None, recorded_as_of),
        ]

    found = page(
        connection,
        statement,
        [rewards.c.effective_at, rewards.c.reward_id],
        after=after,
        limit=limit,
        descending=True,
        also=also if also(rewards.c) else None,
    )
    shown = _as_they_were(connection, found.rows, effective_as_of, recorded_as_of)
    return Page([row for row in shown if stage in (None, row["stage"])], found.next)


def _as_they_were(
    connection: sa.Connection,
    found: list[Row],
    effective_as_of: datetime | None,
    recorded_as_of: datetime | None,
) -> list[Row]:
    if effective_as_of is not None or recorded_as_of is not None:
        found = rewards_as_of(connection, found, effective_as_of, recorded_as_of)
    return [_with_kept(row) for row in found]


def _with_kept(row: Row) -> Row:
    return {**row, "kept_minor": row["amount_minor"] - row["reversed_minor"]}
