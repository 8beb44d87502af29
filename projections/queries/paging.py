"""Pages by keyset: a page starts behind the last row of the one before, so it is as quick as the first."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import sqlalchemy as sa

from projections.columns import UtcTime

Row = dict[str, Any]
"""A row by the names of its columns; times are aware, JSON is decoded."""
Conditions = Callable[[Any], Sequence[sa.ColumnElement[bool]]]
"""Conditions on the columns of a statement."""
Cursor = Sequence[Any]
"""Where a page ended: the last row's order columns, as a JSON array can carry them."""

LIMIT: Final = 50
LIMIT_MAX: Final = 1_000
LOOKED_AT_MAX = 1_000
"""How many rows a page looks at for those that meet conditions which no index answers."""
_LAST: Final = "is_last_looked_at"


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
    also: Conditions | None = None,
) -> Page:
    """One page of a statement, ordered by columns that together are unique. Raises InvalidCursor.

    `also` are conditions that no index answers. A page looks at no more than LOOKED_AT_MAX rows for those
    that meet them: it may hold fewer than `limit`, or none, and yet not be the last.
    """
    limit = max(1, min(limit, LIMIT_MAX))
    if after is not None:
        behind, values = sa.tuple_(*order), sa.tuple_(*_values(order, after))
        statement = statement.where(behind < values if descending else behind > values)
    statement = statement.order_by(*_directed(order, descending))
    keys = [column.key or "" for column in order]
    if also is None:
        return cut(rows(connection, statement.limit(limit + 1)), keys, limit)
    looked_at = statement.limit(LOOKED_AT_MAX).subquery()
    fits = sa.select(looked_at).where(*also(looked_at.c))
    fits = fits.order_by(*_directed([looked_at.c[key] for key in keys], descending)).limit(limit + 1)
    # The last row looked at comes by the same statement: by one of its own it could be another row by then.
    # It stands behind the rows that fit, and is not searched for where the page is full without it.
    last = statement.offset(LOOKED_AT_MAX - 1).limit(1)
    both = sa.union_all(_marked(fits, 0), _marked(last, 1)).limit(limit + 1)
    return _looked_through(rows(connection, both, like=statement), keys, limit)


def _marked(statement: sa.Select[Any], last: int) -> sa.Select[Any]:
    """The rows of a statement, and whether they are the last row looked at."""
    found = statement.subquery()
    return sa.select(found, sa.literal_column(str(last), sa.Integer).label(_LAST))


def _looked_through(found: list[Row], keys: Sequence[str], limit: int) -> Page:
    """A page of marked rows. No standard says in which order the two parts of a union come: a full page ends
    at its own last row, so that none is passed by that the union had no room for."""
    shown = [row for row in found if not row[_LAST]][:limit]
    ends = shown[limit - 1 :] or [row for row in found if row[_LAST]]
    after = [_plain(ends[0][key]) for key in keys] if len(found) > len(shown) else None
    for row in shown:
        del row[_LAST]
    return Page(shown, after)


def cut(found: list[Row], keys: Sequence[str], limit: int) -> Page:
    """A page of rows of which one more was asked for than it shows."""
    if len(found) <= limit:
        return Page(found, None)
    return Page(found[:limit], [_plain(found[limit - 1][key]) for key in keys])


def _directed(order: Sequence[sa.ColumnElement[Any]], descending: bool) -> list[sa.ColumnElement[Any]]:
    return [column.desc() if descending else column.asc() for column in order]


def rows(
    connection: sa.Connection,
    statement: sa.Select[Any] | sa.CompoundSelect[Any],
    *,
    like: sa.Select[Any] | None = None,
) -> list[Row]:
    """All rows of a statement.

    `like`: the statement whose columns these are, where it is wrapped in another.
    """
    known = statement if like is None else like
    documents = [column.name for column in known.selected_columns if _is_json(column)]
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


def besides(**equal: Any) -> Conditions | None:
    """The conditions that columns have these values, for `also`; a None asks for nothing."""
    wanted = {name: value for name, value in equal.items() if value is not None}
    return (lambda c: [c[name] == value for name, value in wanted.items()]) if wanted else None


def during(
    statement: sa.Select[Any],
    column: sa.ColumnElement[Any],
    start: datetime | None,
    end: datetime | None,
) -> sa.Select[Any]:
    """Only rows of a time from `start` on and before `end`."""
    return statement.where(*within(column, start, end))


def within(
    column: sa.ColumnElement[Any], start: datetime | None, end: datetime | None
) -> list[sa.ColumnElement[bool]]:
    """The conditions for a time from `start` on and before `end`."""
    conditions = [] if start is None else [column >= start]
    return conditions if end is None else [*conditions, column < end]


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
