"""How far each reader of the log has read: rows of the table `positions`, shared by views and engine."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from projections.columns import UtcTime

positions: Final = sa.Table(
    "positions",
    sa.MetaData(),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("updated_at", UtcTime),
)

# Every reader asks for ever: each statement is built once.
_NAMED: Final = positions.c.name.in_(sa.bindparam("names", expanding=True))
_READ: Final = sa.select(positions.c.name, positions.c.position).where(_NAMED)
_READ_LOCKED: Final = _READ.order_by(positions.c.name).with_for_update()
_MOVE: Final = (
    sa.update(positions)
    .where(_NAMED)
    .values(position=sa.bindparam("upto"), updated_at=sa.bindparam("at", type_=UtcTime()))
)


def read(connection: sa.Connection, names: Sequence[str], *, lock: bool = False) -> dict[str, int]:
    """The positions of readers; 0 for one that never stored its own.

    With `lock` nobody else moves them before the transaction ends: on PostgreSQL by the rows' locks, taken
    in the order of the names; on SQLite a writing transaction holds everything anyway.
    """
    found = dict(connection.execute(_READ_LOCKED if lock else _READ, {"names": list(names)}).all())
    return {name: found.get(name, 0) for name in names}


def ensure(connection: sa.Connection, names: Sequence[str]) -> None:
    """Let readers that have no row yet begin at the log's start, so that there is something to lock."""
    present = set(
        connection.execute(sa.select(positions.c.name).where(positions.c.name.in_(names))).scalars()
    )
    for name in sorted(set(names) - present):
        statement = sa.text("INSERT INTO positions (name, position) VALUES (:name, 0) ON CONFLICT DO NOTHING")
        connection.execute(statement, {"name": name})


def move(connection: sa.Connection, names: Sequence[str], position: int, at: datetime) -> None:
    """Store that these readers have read up to a position."""
    connection.execute(_MOVE, {"names": list(names), "upto": position, "at": at})


def forget(connection: sa.Connection, names: Sequence[str]) -> None:
    """Remove the positions of readers that are no more."""
    connection.execute(sa.delete(positions).where(positions.c.name.in_(names)))
