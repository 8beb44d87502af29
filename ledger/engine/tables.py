"""What the engine remembers between batches, written in the transaction of its facts. A fold of the log."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from ledger.store import arrays
from ledger.store.database import driver

metadata: Final = sa.MetaData()

positions: Final = sa.Table(
    "positions",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)

conversions: Final = sa.Table(
    "engine_conversions",
    metadata,
    sa.Column("conversion_id", sa.Uuid, primary_key=True),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("effective_at_us", sa.BigInteger, nullable=False),
    sa.Column("rewards_version", sa.BigInteger, nullable=False),
    sa.Column("told", sa.Text, nullable=False),
    sa.Index("engine_conversions_customer", "customer_id", "effective_at_us"),
)
"""Every recorded conversion: where its rewards stream stands and which reasons for nothing were recorded."""

customers: Final = sa.Table(
    "engine_customers",
    metadata,
    sa.Column("customer_id", sa.Uuid, primary_key=True),
    sa.Column("document", sa.LargeBinary, nullable=False),
)

customer_partners: Final = sa.Table(
    "engine_customer_partners",
    metadata,
    sa.Column("program_id", sa.Uuid, primary_key=True),
    sa.Column("partner_id", sa.Uuid, primary_key=True),
    sa.Column("customer_id", sa.Uuid, primary_key=True),
)
"""Which customers a partner ever touched, to find them again when its agreement arrives late."""

rewards: Final = sa.Table(
    "engine_rewards",
    metadata,
    sa.Column("reward_id", sa.Uuid, primary_key=True),
    sa.Column("conversion_id", sa.Uuid, nullable=False),
    sa.Column("due_at_us", sa.BigInteger),
    sa.Column("document", sa.LargeBinary, nullable=False),
    sa.Index("engine_rewards_conversion", "conversion_id"),
    sa.Index("engine_rewards_due", "due_at_us"),
)
"""Every reward; `due_at_us` is when it matures, and null once that is done or there is nothing to mature."""

totals: Final = sa.Table(
    "engine_totals",
    metadata,
    sa.Column("total_id", sa.Uuid, primary_key=True),
    sa.Column("amount", sa.BigInteger, nullable=False),
)

work: Final = sa.Table(
    "engine_work",
    metadata,
    sa.Column("conversion_id", sa.Uuid, primary_key=True),
    sa.Column("since", sa.BigInteger, nullable=False),
    sa.Index("engine_work_since", "since", "conversion_id"),
)
"""Conversions to settle again, and the log position of the fact that made it necessary."""

accounts: Final = sa.Table(
    "engine_accounts",
    metadata,
    sa.Column("account_id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
)
"""A snapshot of each money account, so that its stream need not be read from the start."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def to_us(when: datetime) -> int:
    """Microseconds since 1970, exact: sortable alike on both databases."""
    return (when - _EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    """The aware UTC time of `to_us`."""
    return _EPOCH + timedelta(microseconds=microseconds)


Save = Callable[[sa.Connection], None]
"""Writes rows that were made ready, in a transaction."""


def upserting(table: sa.Table, rows: Sequence[Sequence[Any]], *, postgresql: bool) -> Save:
    """What inserts rows (in the order of the table's columns), replacing those whose primary key exists.

    The keys of the rows are all different. The rows are packed here: in the transaction nothing is left but
    to send them.
    """
    if not rows:
        return lambda _: None
    columns = list(table.columns)
    values = list(zip(*rows, strict=True))
    if postgresql:
        packed = [_PACKED[type(c.type)](of) for c, of in zip(columns, values, strict=True)]
        statement = _upserting(table, f"SELECT * FROM unnest({', '.join(['%b'] * len(columns))})")
        return lambda connection: driver(connection).cursor(binary=True).execute(statement, packed)
    hexed = [
        [each.hex for each in of] if isinstance(c.type, sa.Uuid) else of
        for c, of in zip(columns, values, strict=True)
    ]
    stored = list(zip(*hexed, strict=True))
    statement = _upserting(table, f"VALUES ({', '.join('?' * len(columns))})")
    return lambda connection: driver(connection).executemany(statement, stored)


def _upserting(table: sa.Table, source: str) -> str:
    keys = [column.name for column in table.primary_key]
    others = [c.name for c in table.columns if c.name not in keys]
    change = (
        f"UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in others)}" if others else "NOTHING"
    )
    listed = ", ".join(c.name for c in table.columns)
    return f"INSERT INTO {table.name} ({listed}) {source} ON CONFLICT ({', '.join(keys)}) DO {change}"


_PACKED: Final[dict[type[Any], Callable[[Sequence[Any]], Any]]] = {
    sa.Uuid: arrays.uuids,
    sa.BigInteger: arrays.bigints,
    sa.Text: arrays.texts,
    sa.LargeBinary: arrays.byteas,
}
"""How a column's values go to PostgreSQL at once."""


def select_in(
    connection: sa.Connection, table: sa.Table, column: str, values: Iterable[UUID]
) -> list[sa.Row[Any]]:
    """The rows whose column is one of many ids."""
    wanted = list(values)
    if not wanted:
        return []
    if connection.dialect.name == "postgresql":
        asked = sa.func.any(sa.bindparam("ids", arrays.uuids(wanted), sa.types.NullType()))
        return list(connection.execute(sa.select(table).where(table.c[column] == asked)).all())
    found: list[sa.Row[Any]] = []
    for start in range(0, len(wanted), 500):
        chunk = wanted[start : start + 500]
        found += connection.execute(sa.select(table).where(table.c[column].in_(chunk))).all()
    return found


def insert_if_absent(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> bool:
    """Insert a row unless its primary key exists: whether it was inserted."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    inserted = insert(table).values(row).on_conflict_do_nothing().returning(*table.primary_key)
    return connection.execute(inserted).first() is not None
