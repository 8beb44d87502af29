"""One database, SQLite or PostgreSQL: engines made the one way that keeps promises of durability."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from sqlalchemy import event

SQLITE_BUSY_TIMEOUT_MS: Final = 30_000
SQLITE_RETRY_S: Final = 0.0005
SQLITE_CACHE_KIB: Final = 16_384
"""Of pages, for each connection; taken as they are read. Ids are spread over all pages of an index: with the
2 MiB that SQLite takes by itself, nearly each row of a larger file meant to read one again."""
PING_AFTER_S: Final = 1.0
_WRITING: Final = "revshare_writing"
_GLANCING: Final = "revshare_glancing"


class DatabaseUnavailable(Exception):
    """The database can't be reached now, or not in time. Trying again later may succeed."""


def engine_url(url: str) -> sa.URL:
    """The SQLAlchemy URL of a database URL as users write it: `sqlite:///path` or `postgresql://…`."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() == "sqlite":
        return parsed.set(drivername="sqlite+pysqlite")
    raise ValueError(f"DATABASE_URL must begin with sqlite:/// or postgresql://, not {parsed.drivername}")


def create_engine(url: str, *, pool_size: int = 5) -> sa.Engine:
    """An engine with our settings: UTC sessions; on SQLite WAL, synchronous=FULL, explicit BEGIN."""
    parsed = engine_url(url)
    if parsed.get_backend_name() == "postgresql":
        engine = sa.create_engine(
            parsed,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=5,
            connect_args={"options": "-c timezone=utc -c lock_timeout=15s", "connect_timeout": 5},
        )
        event.listen(engine, "checkin", _note_return)
        event.listen(engine, "checkout", _ping_after_a_pause)
        event.listen(engine, "begin", _postgresql_begin)
        return engine
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(parsed, pool_size=pool_size, max_overflow=pool_size, pool_timeout=30)
    event.listen(engine, "connect", _sqlite_connect)
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def _note_return(_connection: Any, record: Any) -> None:
    record.info["returned_at"] = time.monotonic()


def _ping_after_a_pause(connection: Any, record: Any, _proxy: Any) -> None:
    """A restarted server is noticed before a statement is lost to it; a busy connection needs no asking."""
    if time.monotonic() - record.info.get("returned_at", time.monotonic()) < PING_AFTER_S:
        return
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except psycopg.Error as error:
        raise sa.exc.InvalidatePoolError from error


def _postgresql_begin(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    if not options.get(_GLANCING) and options.get("isolation_level") != "AUTOCOMMIT":
        _commit_each(connection, False)


def _commit_each(connection: sa.Connection, each: bool) -> None:
    """Whether each statement is a transaction of its own. A connection stays as it was used last: to set it
    back each time, as SQLAlchemy's isolation levels do, costs as much as a short statement."""
    raw: psycopg.Connection = driver(connection)
    if raw.autocommit is not each:
        raw.autocommit = each


def _sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_TIMEOUT_MS}")
    cursor.execute(f"PRAGMA cache_size=-{SQLITE_CACHE_KIB}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA recursive_triggers=ON")  # so that REPLACE can't delete past the triggers
    cursor.close()


def _sqlite_begin(connection: sa.Connection) -> None:
    # A deferred transaction that turns into a writer fails at once with "database is locked".
    raw: sqlite3.Connection = driver(connection)
    options = connection.get_execution_options()
    if options.get(_GLANCING):
        return
    if not options.get(_WRITING):
        raw.execute("BEGIN")
        return
    # SQLite's own wait for another process sleeps ever longer, up to 100 ms, while a commit takes one or two.
    deadline = time.monotonic() + SQLITE_BUSY_TIMEOUT_MS / 1_000
    raw.execute("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                raw.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(SQLITE_RETRY_S)
    finally:
        raw.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_TIMEOUT_MS}")


class Database:
    """Transactions on one database. Connections are made on first use, so after a fork."""

    def __init__(self, url: str, *, pool_size: int = 5) -> None:
        self.url = url
        self.engine = create_engine(url, pool_size=pool_size)
        self._writing = self.engine.execution_options(**{_WRITING: True})
        self._glancing = self.engine.execution_options(**{_GLANCING: True})
        self.is_postgresql = self.engine.dialect.name == "postgresql"

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction for reading; rolled back at its end."""
        with _named_errors(), self.engine.connect() as connection:
            if self.is_postgresql:
                _commit_each(connection, False)  # of what the driver is asked for, SQLAlchemy begins nothing
            yield connection

    @contextmanager
    def glance(self) -> Iterator[sa.Connection]:
        """A connection on which each statement is a transaction of its own and sees what is there then: none
        to begin and to end, which costs more than a short statement does."""
        with _named_errors(), self._glancing.connect() as connection:
            if self.is_postgresql:
                _commit_each(connection, True)
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction for writing; committed at its end, rolled back on an error."""
        with _named_errors(), self._writing.begin() as connection:
            yield connection

    def place(self) -> str:
        """Where the data stand: another place for a copy that was put back, or for a copy that took over.

        On PostgreSQL the database's number in its cluster and the timeline of its log; on SQLite the file's
        number on its disk. A copy that was written over the same file is not told from it.
        """
        if self.is_postgresql:
            with self.glance() as connection:
                number, timeline = connection.execute(
                    sa.text(
                        "SELECT oid::bigint, left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)"
                        " FROM pg_database WHERE datname = current_database()"
                    )
                ).one()
            return f"database {number}, timeline {int(timeline, 16)}"
        found = Path(self.engine.url.database or "").stat()
        return f"file {found.st_dev}-{found.st_ino}"

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except sa.exc.TimeoutError as error:  # no connection became free in the pool
        raise DatabaseUnavailable(str(error)) from error
    except (sa.exc.DBAPIError, psycopg.Error, sqlite3.Error) as error:
        if _passes(error.orig if isinstance(error, sa.exc.DBAPIError) else error):
            raise DatabaseUnavailable(str(error)) from error
        raise


def _passes(error: BaseException | None) -> bool:
    """Whether the database, not the statement, is at fault: the same may succeed later."""
    if isinstance(error, sqlite3.OperationalError):
        # SQLite says OperationalError for a misspelt table too; these are the ones of the moment.
        return any(word in str(error) for word in ("locked", "busy", "unable to open", "disk I/O", "full"))
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)


def driver(connection: sa.Connection) -> Any:
    """The driver's own connection (psycopg or sqlite3) under a transaction, for the hot paths."""
    return connection.connection.driver_connection
