"""Rows of the log for the quick folds: nothing is decoded, and a stream's id is what their tables take."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

import sqlalchemy as sa

from ledger.events.base import Recorded
from ledger.store.application import Ledger
from ledger.store.database import driver
from projections.forms import Form

Row = tuple[Any, int, str, bytes, int]
"""The stream's id as the form takes it, version, topic, state, position."""


def read(
    connection: sa.Connection,
    form: Form,
    *,
    after: int,
    limit: int,
    stop: int | None = None,
    topics: Sequence[str] | None = None,
) -> list[Row]:
    """The rows behind a position, up to another one, in order; all topics unless some are named."""
    postgresql = connection.dialect.name == "postgresql"
    mark = "%s" if postgresql else "?"
    conditions, given = f"notification_id > {mark}", [after]
    if stop is not None:
        conditions += f" AND notification_id <= {mark}"
        given.append(stop)
    parameters: list[Any] = [*given]
    if topics is not None and postgresql:
        conditions += " AND topic = ANY(%s)"
        parameters.append(list(topics))
    elif topics is not None:
        conditions += f" AND topic IN ({', '.join('?' * len(topics))})"
        parameters += topics
    cursor = driver(connection).cursor(binary=True) if postgresql else driver(connection).cursor()
    cursor.execute(
        f"SELECT {form.stream_column}, originator_version, topic, state, notification_id"
        f" FROM stored_events WHERE {conditions} ORDER BY notification_id LIMIT {mark}",
        [*parameters, limit],
    )
    return cast("list[Row]", cursor.fetchall())


def stream_id(row: Row) -> UUID:
    """The id of the stream that a row stands in."""
    stream = row[0]
    return UUID(bytes=stream) if isinstance(stream, bytes) else UUID(stream)


def decoded(ledger: Ledger, row: Row) -> Recorded:
    """The recorded fact of a row."""
    return ledger.decode((stream_id(row), *row[1:]))
