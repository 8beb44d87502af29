"""Whether the engine has worked out everything that it could know at a moment."""

from datetime import datetime

import sqlalchemy as sa

from ledger.engine import tables
from ledger.engine.engine import POSITION


def is_settled(connection: sa.Connection, *, position: int, until: datetime) -> bool:
    """Whether all facts up to a position of the log are worked out, and all that matures by a time has."""
    read = sa.select(tables.positions.c.position).where(tables.positions.c.name == POSITION)
    if (connection.execute(read).scalar() or 0) < position:
        return False
    again = sa.select(sa.literal(1)).where(tables.work.c.since <= position).limit(1)
    due = sa.select(sa.literal(1)).where(tables.rewards.c.due_at_us <= tables.to_us(until)).limit(1)
    return connection.execute(again).scalar() is None and connection.execute(due).scalar() is None
