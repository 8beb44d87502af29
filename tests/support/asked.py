"""How many statements a block asks a database for, whoever makes them: SQLAlchemy or the driver itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import psycopg
import sqlalchemy as sa

from ledger.store.database import driver


@contextmanager
def asked(connection: sa.Connection) -> Iterator[list[str]]:
    """The statements of the block, as they are asked for on this connection."""
    found: list[str] = []
    raw = driver(connection)
    if connection.dialect.name == "sqlite":
        raw.set_trace_callback(found.append)
        try:
            yield found
        finally:
            raw.set_trace_callback(None)
        return
    execute = psycopg.Cursor.execute

    def noted(cursor: Any, query: Any, *given: Any, **how: Any) -> Any:
        if cursor.connection is raw:
            found.append(str(query))
        return execute(cursor, query, *given, **how)

    with patch.object(psycopg.Cursor, "execute", noted):
        yield found
