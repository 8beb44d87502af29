"""Shadow tables: a view made anew beside the live one, compared with it byte for byte, and put in its place.

These are the only tables that are made outside of alembic. Their DDL is not written down here: it is
cloned from the live table as the migrations left it, and the swap gives every index, constraint and trigger
the live one's name, so that the schema after a rebuild is the schema before it.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import psycopg
import sqlalchemy as sa

from ledger.store.database import DatabaseUnavailable, driver
from projections import catalog
from projections.catalog import SUFFIX, shadow_name

__all__ = ["SUFFIX", "Difference", "Shadows", "compare", "shadow_name"]

LOCK_TIMEOUT_MS: Final = 1_500
"""Longer than PostgreSQL's deadlock_timeout (1 s): it is then that an autovacuum gives way to us."""
LOCK_ATTEMPTS_MAX: Final = 20
COMPARE_ROWS: Final = 10_000
BUILD_MEMORY: Final = "256MB"
"""What PostgreSQL may take for building an index and for comparing two tables."""
SAMPLE: Final = 25
"""A quarter of what PostgreSQL usually looks at to learn how a table's values lie: enough to begin with."""


class Difference(msgspec.Struct, frozen=True):
    """The first row in which live and rebuilt table differ; a side that has no such row is None.

    `live` and `rebuilt` hold the columns that differ.
    """

    table: str
    key: dict[str, Any]
    live: dict[str, Any] | None
    rebuilt: dict[str, Any] | None

    def __str__(self) -> str:
        key = ", ".join(f"{name}={value}" for name, value in self.key.items())
        if self.live is None:
            return f"{self.table} ({key}): the live table lacks the row"
        if self.rebuilt is None:
            return f"{self.table} ({key}): the live table has a row that the log does not give"
        told = ", ".join(f"{c} is {self.live[c]!r} live, {self.rebuilt[c]!r} rebuilt" for c in self.live)
        return f"{self.table} ({key}): {told}"


class Shadows:
    """The shadows of some tables, from their making to the swap.

    A table that is `keyed` has its keys from the start, since rows that are there get changed or read; the
    others get them once they are loaded, which is faster. Other indexes are always built at the end.
    """

    def __init__(self, keyed: dict[sa.Table, bool], *, postgresql: bool) -> None:
        self.tables = list(keyed)
        self._keyed = {table: given or table.info.get("keyed", False) for table, given in keyed.items()}
        self._postgresql = postgresql
        self._catalog: catalog.Catalog = {}

    def make(self, connection: sa.Connection) -> None:
        """Make the empty shadows, after removing what a killed run left."""
        if self._postgresql:
            self._catalog = catalog.describe(connection, self.tables)
            self._run(connection, catalog.make)
            return
        self.drop(connection)
        for table in self.tables:
            (statement,) = _sqlite_ddl(connection, table, "table")
            connection.exec_driver_sql(_renamed(statement, table.name, shadow_name(table)))

    def drop(self, connection: sa.Connection) -> None:
        """Remove the shadows that there are."""
        for table in self.tables:
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {shadow_name(table)}")

    def build(self, connection: sa.Connection, tables: Sequence[sa.Table]) -> None:
        """Build the indexes of loaded shadows.

        On SQLite an index cannot be renamed and its name is taken until the swap, which makes them.
        """
        if self._postgresql:
            settings = (
                f"SET LOCAL maintenance_work_mem = '{BUILD_MEMORY}'",
                f"SET LOCAL default_statistics_target = {SAMPLE}",
            )
            catalog.run(connection, settings)
            self._run(connection, catalog.build, tables)

    def complete(self, connection: sa.Connection) -> None:
        """Give the shadows, whose indexes are built, what else the live tables have: keys and triggers."""
        if self._postgresql:
            self._run(connection, catalog.complete)

    @staticmethod
    def count(connection: sa.Connection, tables: Sequence[sa.Table]) -> dict[str, int]:
        """How many rows each shadow has."""
        counts = ", ".join(f"(SELECT count(*) FROM {shadow_name(table)})" for table in tables)
        row = driver(connection).execute(f"SELECT {counts}").fetchone()
        return {table.name: int(rows) for table, rows in zip(tables, row, strict=True)}

    def swap(self, connection: sa.Connection) -> None:
        """Put the shadows in the place of the live tables, in the caller's transaction."""
        if self._postgresql:
            names = [name for table in self.tables for name in (table.name, shadow_name(table))]
            _lock_all(connection, names)
            self._run(connection, lambda table, described, **_: catalog.swap(table, described))
            return
        with _no_overwriting(driver(connection)):
            for table in self.tables:
                others = _sqlite_ddl(connection, table, "index") + _sqlite_ddl(connection, table, "trigger")
                connection.exec_driver_sql(f"DROP TABLE {table.name}")
                connection.exec_driver_sql(f"ALTER TABLE {shadow_name(table)} RENAME TO {table.name}")
                for statement in others:
                    connection.exec_driver_sql(statement)

    def _run(
        self,
        connection: sa.Connection,
        statements: Callable[..., list[str]],
        tables: Sequence[sa.Table] | None = None,
    ) -> None:
        """Run the statements for each table, all in one call of the database."""
        found: list[str] = []
        for table in self.tables if tables is None else tables:
            found += statements(table, self._catalog[table.name], keyed=self._keyed[table])
        catalog.run(connection, found)


def see_one_moment(connection: sa.Connection) -> None:
    """Let a reading transaction that begins now see all tables as of one moment: on SQLite it does anyway."""
    if connection.dialect.name == "postgresql":
        driver(connection).execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def compare(
    connection: sa.Connection, table: sa.Table, *, after: int | None = None, upto: int | None = None
) -> Difference | None:
    """The first row, in the order of the key, in which live and shadow are not the same bytes.

    With `after` or `upto` only rows of these positions are looked at.
    """
    span = "" if after is None else f" WHERE position > {after:d}"
    key = first_difference(connection, table, span if upto is None else f" WHERE position <= {upto:d}")
    if key is None:
        return None
    live, rebuilt = (_row(connection, name, table, key) for name in (table.name, shadow_name(table)))
    if live is not None and rebuilt is not None:
        columns = [c for c in live if live[c] != rebuilt[c]]
        live, rebuilt = {c: live[c] for c in columns}, {c: rebuilt[c] for c in columns}
    named = {column.name: value for column, value in zip(table.primary_key, key, strict=True)}
    return Difference(table.name, named, live, rebuilt)


def first_difference(connection: sa.Connection, table: sa.Table, span: str) -> tuple[Any, ...] | None:
    """The key of the first row that differs, as the database holds it."""
    keys = [column.name for column in table.primary_key]
    shadow = shadow_name(table)
    if connection.dialect.name == "postgresql":
        # *<> compares the rows' stored images: equal means the same bytes.
        side = f"(SELECT * FROM {{}}{span})" if span else "{}"
        matched = " AND ".join(f"live.{key} = rebuilt.{key}" for key in keys)
        listed = ", ".join(f"coalesce(live.{key}, rebuilt.{key})" for key in keys)
        statement = (
            f"SELECT {listed} FROM {side.format(table.name)} AS live"
            f" FULL JOIN {side.format(shadow)} AS rebuilt ON {matched}"
            f" WHERE live.{keys[0]} IS NULL OR rebuilt.{keys[0]} IS NULL OR live *<> rebuilt"
            f" ORDER BY {', '.join(str(i + 1) for i in range(len(keys)))} LIMIT 1"
        )
        connection.exec_driver_sql(f"SET LOCAL work_mem = '{BUILD_MEMORY}'")
        found: tuple[Any, ...] | None = driver(connection).execute(statement).fetchone()
        return found
    raw = driver(connection)
    return None if _same_by_place(raw, table, span) else _first_difference_walking(raw, table, keys, span)


def _same_by_place(raw: Any, table: sa.Table, span: str) -> bool:
    """Whether as many rows as each side has are the same and stand at the same place.

    That proves them equal, and is much faster than a walk along the keys; a live table whose rows were
    added in another order needs the walk.
    """
    live, rebuilt = (
        f"(SELECT rowid AS place, * FROM {name}{span})" for name in (table.name, shadow_name(table))
    )
    same = " AND ".join(f"live.{column.name} IS rebuilt.{column.name}" for column in table.columns)
    counts = raw.execute(
        f"SELECT (SELECT count(*) FROM {live}), (SELECT count(*) FROM {rebuilt}),"
        f" (SELECT count(*) FROM {live} AS live JOIN {rebuilt} AS rebuilt USING (place) WHERE {same})"
    ).fetchone()
    return len(set(counts)) == 1


def _first_difference_walking(
    raw: Any, table: sa.Table, keys: Sequence[str], span: str
) -> tuple[Any, ...] | None:
    columns = [*keys, *(c.name for c in table.columns if c.name not in keys)]
    order = ", ".join(keys)
    sides = [
        raw.execute(f"SELECT {', '.join(columns)} FROM {name}{span} ORDER BY {order}")
        for name in (table.name, shadow_name(table))
    ]
    try:
        while True:
            live, rebuilt = (side.fetchmany(COMPARE_ROWS) for side in sides)
            if live != rebuilt:
                return _first_unequal(live, rebuilt)[: len(keys)]
            if not live:
                return None
    finally:
        for side in sides:  # a table that is still being read could not be swapped
            side.close()


def _first_unequal(live: list[tuple[Any, ...]], rebuilt: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    for a, b in zip(live, rebuilt, strict=False):
        if a != b:
            return min(a, b, key=lambda row: [(value is not None, value) for value in row])
    longer = max(live, rebuilt, key=len)
    return longer[min(len(live), len(rebuilt))]


def _row(connection: sa.Connection, name: str, table: sa.Table, key: Sequence[Any]) -> dict[str, Any] | None:
    mark = "%s" if connection.dialect.name == "postgresql" else "?"
    matched = " AND ".join(f"{column.name} = {mark}" for column in table.primary_key)
    columns = [column.name for column in table.columns]
    found = (
        driver(connection).execute(f"SELECT {', '.join(columns)} FROM {name} WHERE {matched}", key).fetchone()
    )
    return None if found is None else dict(zip(columns, found, strict=True))


def _lock_all(connection: sa.Connection, names: Sequence[str]) -> None:
    """Keep everybody else out of the tables. Who reads two of them at once goes first: we wait outside."""
    for attempt in range(LOCK_ATTEMPTS_MAX):
        try:
            with connection.begin_nested():
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_MS}ms'")
                connection.exec_driver_sql(f"LOCK TABLE {', '.join(names)} IN ACCESS EXCLUSIVE MODE")
            return
        except sa.exc.DBAPIError as error:
            if not isinstance(error.orig, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected):
                raise
            time.sleep(0.05 * min(attempt + 1, 10))
    raise DatabaseUnavailable(f"readers held {', '.join(names)} all the time: try the rebuild again later")


# SQLite keeps the statements themselves


@contextmanager
def _no_overwriting(raw: Any) -> Iterator[None]:
    """Let SQLite drop tables without writing zeros over their pages: the same rows stand in the new ones."""
    (before,) = raw.execute("PRAGMA secure_delete").fetchone()
    raw.execute("PRAGMA secure_delete = OFF")
    try:
        yield
    finally:
        raw.execute(f"PRAGMA secure_delete = {before}")


def _sqlite_ddl(connection: sa.Connection, table: sa.Table, kind: str) -> list[str]:
    statement = sa.text(
        "SELECT sql FROM sqlite_master"
        " WHERE tbl_name = :name AND type = :kind AND sql IS NOT NULL ORDER BY name"
    )
    return list(connection.execute(statement, {"name": table.name, "kind": kind}).scalars())


def _renamed(statement: str, name: str, shadow: str) -> str:
    return re.sub(rf'^(CREATE TABLE )"?{name}"?', rf"\g<1>{shadow}", statement, count=1)
