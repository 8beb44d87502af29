"""Whether the engine has worked out everything that it could know at a moment."""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from ledger.engine import tables
from ledger.engine.engine import POSITION


def is_settled(
    connection: sa.Connection, *, position: int, until: datetime, program_id: UUID | None = None
) -> bool:
    """Whether all facts up to a position of the log are worked out, and all that matures by a time has; with
    a program: whether all that is its own is, whatever the engine has to do for others."""
    read = sa.select(tables.positions.c.position).where(tables.positions.c.name == POSITION)
    if (connection.execute(read).scalar() or 0) < position:
        return False
    work, rewards = tables.work.c, tables.rewards.c
    again = sa.select(sa.literal(1)).where(work.since <= position).limit(1)
    due = sa.select(sa.literal(1)).where(rewards.due_at_us <= tables.to_us(until)).limit(1)
    if program_id is not None:
        again = _by_customer(again).where(_names(tables.customers.c.document, program_id, connection))
        due = due.where(_names(rewards.document, program_id, connection))
    return connection.execute(again).scalar() is None and connection.execute(due).scalar() is None


def _by_customer(again: sa.Select[Any]) -> sa.Select[Any]:
    of, customers = tables.conversions.c, tables.customers.c
    return again.join_from(
        tables.work, tables.conversions, of.conversion_id == tables.work.c.conversion_id
    ).join(tables.customers, customers.customer_id == of.customer_id)


def _names(document: Any, program_id: UUID, connection: sa.Connection) -> sa.ColumnElement[bool]:
    """Whether a document is of a program: its id stands in it as JSON has it."""
    named = sa.literal(str(program_id).encode(), sa.LargeBinary)
    if connection.dialect.name == "postgresql":
        return sa.func.position(named.op("IN")(document)) > 0
    return sa.func.instr(document, named) > 0
