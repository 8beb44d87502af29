"""Lists: a query of the views becomes a page of JSON."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import falcon
from marshmallow import Schema

from api.pagination import bad_cursor, read_cursor, send_page
from ledger.store.database import Database
from projections.queries import InvalidCursor, Page

Row = dict[str, Any]
PAST: Final = ("effective_as_of", "recorded_as_of")
"""The two times of a query for what was."""
Show = Callable[[Row], Row]


def send_list(
    req: falcon.Request,
    resp: falcon.Response,
    database: Database,
    query: Mapping[str, Any],
    fetch: Callable[..., Page],
    show: Show,
    **where: Any,
) -> None:
    """Answer with the page that `query` asks for; `fetch` is one of projections.queries."""
    page = fetch_page(req, database, query, fetch, **where)
    send_page(req, resp, [show(row) for row in page.rows], page.next)


def fetch_page(
    req: falcon.Request,
    database: Database,
    query: Mapping[str, Any],
    fetch: Callable[..., Page],
    **where: Any,
) -> Page:
    """The page that `query` asks for."""
    cursor = query["cursor"]
    after = read_cursor(req.path, cursor) if cursor is not None else None
    try:
        with database.glance() as connection:
            return fetch(connection, after=after, limit=query["limit"], **where)
    except InvalidCursor:
        raise bad_cursor() from None


def shown_as(schema: Schema, **renamed: str) -> Show:
    """Shows the fields of a schema; `renamed` maps a field to the column that it comes from."""
    names: Iterable[tuple[str, str]] = [(name, renamed.get(name, name)) for name in schema.fields]
    return lambda row: {name: row[column] for name, column in names if column in row}
