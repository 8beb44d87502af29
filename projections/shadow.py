"""Shadow tables: a view made anew beside the live one, compared with it byte for byte, and put in its place.

These are the only tables that are made outside of alembic. Their DDL is not written down here: it is
cloned from the live table as the migrations left it, and the swap gives every index, constraint and trigger
the live one's name, so that the schema after a rebuild is the schema before it.
"""

import re
import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import psycopg
import sqlalchemy as sa

from ledger.store.database import DatabaseUnavailable, driver

SUFFIX: Final = "__rebuild"
LOCK_TIMEOUT_MS: Final = 1_500
"""Longer than PostgreSQL's deadlock_timeout (1 s): it is then that an autovacuum gives way to us."""
LOCK_ATTEMPTS_MAX: Final = 20
COMPARE_ROWS: Final = 10_000
BUILD_MEMORY: Final = "256MB"
"""What PostgreSQL may take for building an index and for comparing two tables."""


def shadow_name(table: sa.Table) -> str:
    """The name under which a table is made anew."""
    return table.name + SUFFIX


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


def make(connection: sa.Connection, table: sa.Table, *, keyed: bool) -> None:
    """Make the empty shadow of a table, after removing what a killed run left.

    With `keyed` it has its primary key from the start; without, `complete` adds it, which loads faster.
    """
    drop(connection, table)
    shadow = shadow_name(table)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            f"CREATE TABLE {shadow}"
            f" (LIKE {table.name} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)"
        )
        if keyed:
            _add_constraints(connection, table)
    else:
        (statement,) = _sqlite_ddl(connection, table, "table")
        connection.exec_driver_sql(_renamed(statement, table.name, shadow))


def drop(connection: sa.Connection, table: sa.Table) -> None:
    """Remove a table's shadow, if there is one."""
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {shadow_name(table)}")


def index_statements(
    connection: sa.Connection, table: sa.Table, *, keyed: bool
) -> tuple[list[str], list[str]]:
    """What builds a loaded shadow's indexes: those of its keys (unless it has them), and the others.

    On SQLite an index cannot be renamed and its name is taken until the swap, which makes them.
    """
    if connection.dialect.name != "postgresql":
        return [], []
    keys, others = [], []
    constraints = {name for name, _ in _constraints(connection, table)}
    for name, definition in _indexes(connection, table):
        built = definition.replace(f" {name} ON ", f" {_shadow_index(connection, name)} ON ", 1)
        if name not in constraints:
            others.append(built)
        elif not keyed:
            keys.append(built)
    return keys, [*others, f"ANALYZE {shadow_name(table)}"]


def complete(connection: sa.Connection, table: sa.Table, *, keyed: bool) -> None:
    """Give a loaded shadow, whose indexes are built, what else the live table has: keys and triggers."""
    if connection.dialect.name != "postgresql":
        return
    if not keyed:
        for name, definition in _constraints(connection, table):
            built, kind = _shadow_index(connection, name), definition.partition(" (")[0]
            connection.exec_driver_sql(
                f"ALTER TABLE {shadow_name(table)} ADD CONSTRAINT {built} {kind} USING INDEX {built}"
            )
    for definition, enabled in _triggers(connection, table):
        connection.exec_driver_sql(definition)
        if enabled is not None:
            connection.exec_driver_sql(f"ALTER TABLE {shadow_name(table)} {enabled}")


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
    return _first_difference_walking(driver(connection), table, keys, span)


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


def swap(connection: sa.Connection, tables: Sequence[sa.Table]) -> None:
    """Put the shadows in the place of the live tables, in the caller's transaction."""
    if connection.dialect.name != "postgresql":
        for table in tables:
            others = _sqlite_ddl(connection, table, "index") + _sqlite_ddl(connection, table, "trigger")
            connection.exec_driver_sql(f"DROP TABLE {table.name}")
            connection.exec_driver_sql(f"ALTER TABLE {shadow_name(table)} RENAME TO {table.name}")
            for statement in others:
                connection.exec_driver_sql(statement)
        return
    _lock_all(connection, [name for table in tables for name in (table.name, shadow_name(table))])
    for table in tables:
        names = [name for name, _ in _indexes(connection, table)]
        renamed = [(_shadow_index(connection, name), name) for name in names]
        connection.exec_driver_sql(f"DROP TABLE {table.name}")
        connection.exec_driver_sql(f"ALTER TABLE {shadow_name(table)} RENAME TO {table.name}")
        for temporary, name in renamed:
            connection.exec_driver_sql(f"ALTER INDEX {temporary} RENAME TO {name}")


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


# PostgreSQL's catalog of a live table, in statements for its shadow


def _catalog(connection: sa.Connection, statement: str, table: sa.Table) -> list[tuple[Any, ...]]:
    return list(connection.execute(sa.text(statement), {"name": table.name}))


def _constraints(connection: sa.Connection, table: sa.Table) -> list[tuple[str, str]]:
    """Keys and unique constraints: those that stand on an index. Others came with LIKE."""
    statement = (
        "SELECT quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = to_regclass(:name) AND contype IN ('p', 'u', 'x') ORDER BY conname"
    )
    return [(row[0], row[1]) for row in _catalog(connection, statement, table)]


def _indexes(connection: sa.Connection, table: sa.Table) -> list[tuple[str, str]]:
    """All indexes, each with its statement for the shadow."""
    statement = (
        "SELECT quote_ident(relname), pg_get_indexdef(indexrelid) FROM pg_index"
        " JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = to_regclass(:name) ORDER BY relname"
    )
    rows = _catalog(connection, statement, table)
    return [(row[0], _on_shadow(row[1], table)) for row in rows]


def _triggers(connection: sa.Connection, table: sa.Table) -> list[tuple[str, str | None]]:
    """Triggers, each with its statement for the shadow, and how it is enabled unless that is usual."""
    statement = (
        "SELECT pg_get_triggerdef(oid), tgenabled::text, quote_ident(tgname) FROM pg_trigger"
        " WHERE tgrelid = to_regclass(:name) AND NOT tgisinternal ORDER BY tgname"
    )
    words = {"A": "ENABLE ALWAYS TRIGGER", "R": "ENABLE REPLICA TRIGGER", "D": "DISABLE TRIGGER"}
    return [
        (_on_shadow(row[0], table), f"{words[row[1]]} {row[2]}" if row[1] in words else None)
        for row in _catalog(connection, statement, table)
    ]


def _on_shadow(definition: str, table: sa.Table) -> str:
    return re.sub(rf' ON (\S+\.)?"?{table.name}"? ', rf" ON \g<1>{shadow_name(table)} ", definition, count=1)


def _add_constraints(connection: sa.Connection, table: sa.Table) -> None:
    for name, definition in _constraints(connection, table):
        temporary = _shadow_index(connection, name)
        connection.exec_driver_sql(
            f"ALTER TABLE {shadow_name(table)} ADD CONSTRAINT {temporary} {definition}"
        )


def _shadow_index(connection: sa.Connection, name: str) -> str:
    """A name for the shadow's counterpart of an index: short, since names end at 63 bytes."""
    statement = sa.text("SELECT to_regclass(:name)::oid::bigint")
    return f"rebuild_{connection.execute(statement, {'name': name}).scalar_one()}"


# SQLite keeps the statements themselves


def _sqlite_ddl(connection: sa.Connection, table: sa.Table, kind: str) -> list[str]:
    statement = sa.text(
        "SELECT sql FROM sqlite_master"
        " WHERE tbl_name = :name AND type = :kind AND sql IS NOT NULL ORDER BY name"
    )
    return list(connection.execute(statement, {"name": table.name, "kind": kind}).scalars())


def _renamed(statement: str, name: str, shadow: str) -> str:
    return re.sub(rf'^(CREATE TABLE )"?{name}"?', rf"\g<1>{shadow}", statement, count=1)
