"""Writing many rows with few statements. Tables may stand under names other than their own."""

import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from ledger.store.database import driver
from projections.columns import UtcTime, postgresql_type, sqlite_value

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
    casts = ", ".join(f"%b::{postgresql_type(column)}[]" for column in columns)
    cursor = driver(connection).cursor(binary=True)
    cursor.execute(
        statement.format(rows=f"unnest({casts})"), [list(values) for values in zip(*rows, strict=True)]
    )


def _executemany(
    connection: sa.Connection, statement: str, columns: Sequence[sa.Column[Any]], rows: Sequence[Row]
) -> None:
    turns = [(i, turn) for i, column in enumerate(columns) if (turn := sqlite_value(column)) is not None]
    values: list[list[Any]] = []
    for row in rows:
        stored = list(row)
        for i, turn in turns:
            stored[i] = turn(stored[i])
        values.append(stored)
    driver(connection).executemany(statement, values)


# COPY in PostgreSQL's binary format, for rebuilds: packing the rows here is several times quicker

COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
COPY_TRAILER: Final = b"\xff\xff"
_POSTGRES_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_NULL: Final = b"\xff\xff\xff\xff"
_INT: Final = struct.Struct(">iq")
_LENGTH: Final = struct.Struct(">i")


def _copy_int(value: int | None) -> bytes:
    return _NULL if value is None else _INT.pack(8, value)


def _copy_time(value: datetime | None) -> bytes:
    return _NULL if value is None else _INT.pack(8, (value - _POSTGRES_EPOCH) // _MICROSECOND)


def _copy_uuid(value: UUID | None) -> bytes:
    return _NULL if value is None else b"\0\0\0\x10" + value.bytes


def _copy_text(value: str | None) -> bytes:
    if value is None:
        return _NULL
    encoded = value.encode()
    return _LENGTH.pack(len(encoded)) + encoded


def copy(connection: sa.Connection, table: sa.Table, name: str, rows: Iterable[Row]) -> None:
    """Add rows in the order of the table's columns by COPY. PostgreSQL only."""
    columns = list(table.columns)
    packers = [
        _copy_uuid
        if isinstance(column.type, sa.Uuid)
        else _copy_time
        if isinstance(column.type, UtcTime)
        else _copy_text
        if isinstance(column.type, sa.Text)
        else _copy_int
        for column in columns
    ]
    width = len(columns).to_bytes(2, "big")
    packed = bytearray(COPY_HEADER)
    for row in rows:
        packed += width
        for pack, value in zip(packers, row, strict=True):
            packed += pack(value)
    packed += COPY_TRAILER
    copy_packed(connection, table, name, packed)


def copy_packed(connection: sa.Connection, table: sa.Table, name: str, packed: bytes | bytearray) -> None:
    """Add rows that are packed in the binary format already. PostgreSQL only."""
    listed = ", ".join(column.name for column in table.columns)
    cursor = driver(connection).cursor()
    with cursor.copy(f"COPY {name} ({listed}) FROM STDIN (FORMAT BINARY)") as stream:
        stream.write(packed)
