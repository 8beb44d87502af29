"""Pages by keyset: a page starts behind the last row of the one before, so it is as quick as the first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import sqlalchemy as sa

from projections.columns import UtcTime

Row = dict[str, Any]
"""A row by the names of its columns; times are aware, JSON is decoded."""
Cursor = Sequence[Any]
"""Where a page ended: the last row's order columns, as a JSON array can carry them."""

LIMIT: Final = 50
LIMIT_MAX: Final = 1_000


class InvalidCursor(ValueError):
    """A cursor that none of these pages gave."""


class Page(msgspec.Struct, frozen=True):
    """Rows, and the cursor of the next page: None when this is the last one."""

    rows: list[Row]
    next: list[Any] | None


def page(
    connection: sa.Connection,
    statement: sa.Select[Any],
    order: Sequence[sa.ColumnElement[Any]],
    *,
    after: Cursor | None,
    limit: int,
    descending: bool = False,
) -> Page:
    """One page of a statement, ordered by columns that together are unique. Raises InvalidCursor."""
    limit = max(1, min(limit, LIMIT_MAX))
    if after is not None:
        behind, values = sa.tuple_(*order), sa.tuple_(*_values(order, after))
        statement = statement.where(behind < values if descending else behind > values)
    ordered = [column.desc() if descending else column.asc() for column in order]
    found = rows(connection, statement.order_by(*ordered).limit(limit + 1))
    shown = found[:limit]
    more = len(found) > limit
    return Page(shown, [_plain(shown[-1][column.key or ""]) for column in order] if more else None)


def rows(connection: sa.Connection, statement: sa.Select[Any]) -> list[Row]:
    """All rows of a statement."""
    documents = [column.name for column in statement.selected_columns if _is_json(column)]
    found: list[Row] = [dict(row) for row in connection.execute(statement).mappings()]
    for name in documents:
        for row in found:
            row[name] = None if row[name] is None else msgspec.json.decode(row[name])
    return found


def one(connection: sa.Connection, statement: sa.Select[Any]) -> Row | None:
    """The first row of a statement; None when it has none."""
    found = rows(connection, statement.limit(1))
    return found[0] if found else None


def by_key(connection: sa.Connection, table: sa.Table, *key: Any) -> Row | None:
    """The row of a table with this key."""
    matched = [column == value for column, value in zip(table.primary_key, key, strict=True)]
    return one(connection, sa.select(table).where(*matched))


def filtered(table: sa.Table, **equal: Any) -> sa.Select[Any]:
    """All columns of a table, where columns have the given values; a None asks for nothing."""
    conditions = [table.c[name] == value for name, value in equal.items() if value is not None]
    return sa.select(table).where(*conditions)


def during(
    statement: sa.Select[Any],
    column: sa.ColumnElement[Any],
    start: datetime | None,
    end: datetime | None,
) -> sa.Select[Any]:
    """Only rows of a time from `start` on and before `end`."""
    if start is not None:
        statement = statement.where(column >= start)
    if end is not None:
        statement = statement.where(column < end)
    return statement


def _is_json(column: Any) -> bool:
    return bool(getattr(column, "info", {}).get("json"))


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return value


def _values(order: Sequence[sa.ColumnElement[Any]], after: Cursor) -> list[sa.ColumnElement[Any]]:
    if len(after) != len(order):
        raise InvalidCursor("the cursor does not belong to this list")
    try:
        return [
            sa.literal(_parsed(column, value), column.type)
            for column, value in zip(order, after, strict=True)
        ]
    except (TypeError, ValueError) as error:
        raise InvalidCursor("the cursor does not belong to this list") from error


def _parsed(column: sa.ColumnElement[Any], value: Any) -> Any:
    if isinstance(column.type, sa.Uuid):
        return value if isinstance(value, UUID) else UUID(value)
    if isinstance(column.type, UtcTime):
        time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        if time.tzinfo is None:
            raise ValueError("a time without a zone")
        return time
    wanted = int if isinstance(column.type, sa.BigInteger) else str
    if type(value) is not wanted:
        raise TypeError(f"{value!r} is no {wanted.__name__}")
    return value
