"""Databases in memory that are put back to a template for each schedule, ours and the stand-in's."""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from ledger.store.database import Database
from ledger.store.migrations import migrate

Edge = Literal["read", "before commit", "after commit"]


def connect() -> sqlite3.Connection:
    """An empty database in memory, for whichever thread has the turn."""
    return sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)


def migrated() -> bytes:
    """The image of a migrated database."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "template.db")
        migrate(f"sqlite:///{path}")
        file, memory = sqlite3.connect(path), connect()
        file.backup(memory)
        file.close()
    return image(memory)


def image(connection: sqlite3.Connection) -> bytes:
    """All of a database. Bytes 18 and 19 said that it has a write-ahead log, which needs a file."""
    content = bytearray(connection.serialize())
    content[18:20] = b"\x01\x01"
    return bytes(content)


class MemoryDatabase(Database):
    """The ledger's database over one connection. `at` hears of each edge where the outside could notice.

    Reading begins, a transaction is about to be committed, it has been: at an edge another worker may get the
    turn, the process may end, or the database may seem to be gone. Within a transaction nobody else runs, as
    the log's lock has it.
    """

    def __init__(self) -> None:
        self.url = "sqlite://"
        self.raw = connect()
        self.raw.execute("PRAGMA foreign_keys=ON")
        self.engine = sa.create_engine("sqlite+pysqlite://", poolclass=StaticPool, creator=lambda: self.raw)
        self.is_postgresql = False
        self.at: Callable[[Edge], None] = lambda _edge: None
        self._connection = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._depth = 0
        self._image, self._template = b"", connect()
        self.commits = 0
        """How many transactions were committed: as long as it stands still, there is nothing new to see."""

    def restore(self, content: bytes) -> None:
        """Put the database back to an image.

        Page by page: after `deserialize` SQLite 3.40 looks for a schema that is gone where a statement asks
        `json_each` as one did before, and crashes.
        """
        self._depth = 0
        if content is not self._image:
            self._image = content
            self._template = connect()
            self._template.deserialize(content)
        self._template.backup(self.raw)

    def head(self) -> int:
        """The position of the log's last fact: while it stands still, the views have nothing to learn."""
        found: int | None = self.raw.execute("SELECT max(notification_id) FROM stored_events").fetchone()[0]
        return found or 0

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction for reading."""
        if not self._depth:
            self.at("read")
        with self._inside():
            yield self._connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction for writing, all or nothing."""
        assert not self._depth, "a transaction within a transaction would wait for itself"
        self.at("before commit")
        self.raw.execute("BEGIN")
        try:
            with self._inside():
                yield self._connection
        except BaseException:
            self.raw.execute("ROLLBACK")
            raise
        self.raw.execute("COMMIT")
        self.commits += 1
        self.at("after commit")

    @contextmanager
    def _inside(self) -> Iterator[None]:
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def close(self) -> None:
        """Nothing: the next schedule begins with it."""
