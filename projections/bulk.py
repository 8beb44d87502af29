"""Writing many rows with few statements. Tables may stand under names other than their own."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa

from ledger.store.database import driver
from projections.columns import postgresql_array, postgresql_type, sqlite_values

Row = tuple[Any, ...]


def insert(connection: sa.Connection, table: sa.Table, name: str, rows: Sequence[Row]) -> None:
    """Add rows in the order of the table's columns. A key that is there already is an error."""
    columns = list(table.columns)
    if not rows:
        return
    listed = ", ".join(c.name for c in columns)
    if connection.dialect.name == "postgresql":
        _unnest(connection, f"INSERT INTO {name} ({listed}) SELECT * FROM {{rows}}", columns, rows)
    else:
        marks = ", ".join("?" * len(columns))
        _executemany(connection, f"INSERT INTO {name} ({listed}) VALUES ({marks})", columns, rows)


def upsert(
    connection: sa.Connection, table: sa.Table, name: str, rows: Sequence[Row], *, add: Iterable[str] = ()
) -> None:
    """Add rows, or change those whose key is there: columns in `add` grow by the value, others take it."""
    columns, keys = list(table.columns), [c.name for c in table.primary_key]
    if not rows:
        return
    adding = set(add)
    changes = ", ".join(
        f"{c.name} = {name}.{c.name} + excluded.{c.name}"
        if c.name in adding
        else f"{c.name} = excluded.{c.name}"
        for c in columns
        if c.name not in keys
    )
    listed = ", ".join(c.name for c in columns)
    tail = f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}"
    if connection.dialect.name == "postgresql":
        _unnest(connection, f"INSERT INTO {name} ({listed}) SELECT * FROM {{rows}} {tail}", columns, rows)
    else:
        marks = ", ".join("?" * len(columns))
        _executemany(connection, f"INSERT INTO {name} ({listed}) VALUES ({marks}) {tail}", columns, rows)


def update(
    connection: sa.Connection,
    table: sa.Table,
    name: str,
    rows: Sequence[Row],
    *,
    put: Sequence[str] = (),
    add: Sequence[str] = (),
) -> None:
    """Change rows by key: each has its key, the values of `put`, then what the `add` columns grow by."""
    if not rows:
        return
    keys = [c.name for c in table.primary_key]
    columns = [table.columns[column] for column in (*keys, *put, *add)]
    if connection.dialect.name == "postgresql":
        assigned = [f"{c} = given.{c}" for c in put] + [f"{c} = {name}.{c} + given.{c}" for c in add]
        matched = " AND ".join(f"{name}.{key} = given.{key}" for key in keys)
        listed = ", ".join(c.name for c in columns)
        statement = (
            f"UPDATE {name} SET {', '.join(assigned)} FROM {{rows}} AS given({listed}) WHERE {matched}"
        )
        _unnest(connection, statement, columns, rows)
    else:
        assigned = [f"{c} = ?" for c in put] + [f"{c} = {c} + ?" for c in add]
        matched = " AND ".join(f"{key} = ?" for key in keys)
        width = len(keys)
        statement = f"UPDATE {name} SET {', '.join(assigned)} WHERE {matched}"
        turned = [(*row[width:], *row[:width]) for row in rows]
        _executemany(connection, statement, [*columns[width:], *columns[:width]], turned)


def insert_stored(
    connection: sa.Connection, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Add rows whose values are as SQLite stores them already. SQLite only."""
    marks = ", ".join("?" * len(columns))
    driver(connection).executemany(f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({marks})", rows)


def delete(connection: sa.Connection, table: sa.Table, name: str, keys: Sequence[Any]) -> None:
    """Remove rows by a key of one column."""
    if not keys:
        return
    (key,) = table.primary_key
    rows = [(value,) for value in keys]
    if connection.dialect.name == "postgresql":
        _unnest(connection, f"DELETE FROM {name} WHERE {key.name} IN (SELECT * FROM {{rows}})", [key], rows)
    else:
        _executemany(connection, f"DELETE FROM {name} WHERE {key.name} = ?", [key], rows)


def _unnest(
    connection: sa.Connection, statement: str, columns: Sequence[sa.Column[Any]], rows: Sequence[Row]
) -> None:
    casts = ", ".join(f"%s::{postgresql_type(column)}[]" for column in columns)
    arrays = [
        postgresql_array(column, values)
        for column, values in zip(columns, zip(*rows, strict=True), strict=True)
    ]
    driver(connection).execute(statement.format(rows=f"unnest({casts})"), arrays)


def _executemany(
    connection: sa.Connection, statement: str, columns: Sequence[sa.Column[Any]], rows: Sequence[Row]
) -> None:
    stored = [
        sqlite_values(column, values) for column, values in zip(columns, zip(*rows, strict=True), strict=True)
    ]
    driver(connection).executemany(statement, zip(*stored, strict=True))


# PostgreSQL's COPY, for rebuilds

COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
COPY_TRAILER: Final = b"\xff\xff"


def copy_packed(connection: sa.Connection, name: str, columns: Sequence[str], packed: bytes) -> None:
    """Add rows of these columns, packed in the binary format. PostgreSQL only."""
    cursor = driver(connection).cursor()
    with cursor.copy(f"COPY {name} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)") as stream:
        stream.write(COPY_HEADER)
        stream.write(packed)
        stream.write(COPY_TRAILER)
