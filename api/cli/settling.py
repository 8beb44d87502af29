"""How much there is still to do: between the log and the readers of it, and until payouts are through."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa

from ledger.engine import tables as engine
from ledger.payout import OPEN
from ledger.store.application import Ledger
from projections import tables
from projections.lag import lag


class Backlog(NamedTuple):
    """The head of the log, the position of the last reader, and what the engine has still to do."""

    head: int
    reached: int
    waiting: int

    @property
    def done(self) -> bool:
        """Whether every fact was read and everything due has been done."""
        return self.reached >= self.head and not self.waiting


def backlog(ledger: Ledger, now: datetime) -> Backlog:
    """How far engine and views are, in one look."""
    due = engine.rewards.c.due_at_us <= engine.to_us(now)
    with ledger.database.read() as connection:
        readers = lag(ledger, connection)
        to_settle = connection.execute(sa.select(sa.func.count()).select_from(engine.work)).scalar_one()
        to_mature = connection.execute(
            sa.select(sa.func.count()).select_from(engine.rewards).where(due)
        ).scalar_one()
    return Backlog(readers[0].head, min(reader.position for reader in readers), to_settle + to_mature)


def payout_counts(connection: sa.Connection, program_id: UUID) -> dict[str, int]:
    """How many payouts of a program are in each state."""
    c = tables.payouts.c
    query = sa.select(c.state, sa.func.count()).where(c.program_id == program_id).group_by(c.state)
    return dict(connection.execute(query).tuples().all())


def open_payouts(counts: dict[str, int]) -> int:
    """How many are still on their way."""
    return sum(count for state, count in counts.items() if state in OPEN)
