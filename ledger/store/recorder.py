"""The recorder for a database, and what is asked of it."""

from ledger.store.database import Database
from ledger.store.event_recorder import EventRecorder, Key, NewEvent, Row, Unit, key_of
from ledger.store.postgres_recorder import PostgresRecorder
from ledger.store.sqlite_recorder import SqliteRecorder

__all__ = [
    "EventRecorder",
    "Key",
    "NewEvent",
    "PostgresRecorder",
    "Row",
    "SqliteRecorder",
    "Unit",
    "key_of",
    "make_recorder",
]


def make_recorder(database: Database) -> EventRecorder:
    """The recorder for this database."""
    return PostgresRecorder(database) if database.is_postgresql else SqliteRecorder(database)
