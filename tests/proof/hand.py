"""A superuser's hand on a database: plain SQL, with what guards the tables taken away first."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from ledger.store.database import Database
from projections.columns import UtcTime
from tests.proof.stage import TABLES

OTHER_ID = UUID(int=0xBAD)


class Hand:
    """Does what the owner of the database can do."""

    def __init__(self, connection: sa.Connection, database: Database) -> None:
        self.connection = connection
        self.database = database
        self.is_postgresql = database.is_postgresql

    def disarm(self) -> None:
        """Take away every trigger: those that keep events and legs as they are, and all others."""
        if self.is_postgresql:
            for table in ("stored_events", *(table.name for table in TABLES)):
                self.connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
            return
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        for (name,) in self.connection.exec_driver_sql(query).all():
            self.connection.exec_driver_sql(f"DROP TRIGGER {name}")

    def run(self, statement: str, **values: Any) -> int:
        """Run a statement: how many rows it touched."""
        return self.connection.execute(sa.text(statement), values).rowcount

    def ask(self, query: str, **values: Any) -> Any:
        """The first value of the first row."""
        return self.connection.execute(sa.text(query), values).scalar()

    def id(self, value: UUID) -> Any:
        """An id as the database holds it."""
        return value if self.is_postgresql else value.hex

    def place(self, topic: str, number: int) -> int:
        """The position of one of the facts of a topic; from the end, if negative."""
        query = "SELECT notification_id FROM stored_events WHERE topic LIKE :topic ORDER BY 1"
        rows = self.connection.execute(sa.text(query), {"topic": f"{topic}@%"}).scalars().all()
        return int(rows[number])

    def words(self, position: int) -> str:
        """The words of a fact."""
        query = "SELECT state FROM stored_events WHERE notification_id = :position"
        return bytes(self.ask(query, position=position)).decode()

    def rewrite(self, position: int, state: str) -> None:
        """Give a fact other words."""
        touched = self.run(
            "UPDATE stored_events SET state = :state WHERE notification_id = :position",
            state=state.encode(),
            position=position,
        )
        assert touched == 1

    def edit(self, name: str, column: str) -> dict[str, Any]:
        """Edit one column of one row of a view, as little as it takes: the row's key."""
        [table] = [table for table in TABLES if table.name == name]
        of = table.columns[column]
        row = self.connection.execute(table.select().order_by(*table.primary_key).limit(1)).one()._asdict()
        same = sa.and_(*(key == row[key.name] for key in table.primary_key))
        done = self.connection.execute(table.update().where(same).values({column: _other(of, row[column])}))
        assert done.rowcount == 1
        return row


def _other(column: sa.Column[Any], value: Any) -> Any:
    """Another value that the column takes."""
    if isinstance(column.type, sa.Uuid):
        return OTHER_ID
    if isinstance(column.type, sa.BigInteger):
        return (value or 0) + 1_000_000
    if isinstance(column.type, UtcTime):
        return (value or datetime(2024, 1, 1, tzinfo=UTC)) + timedelta(microseconds=1)
    if isinstance(column.type, sa.LargeBinary):
        return bytes(value or b"") + b"x"
    return f"{value or ''}x"
