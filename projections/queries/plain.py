"""Statements written by hand and run by the driver itself: for reads that are short and many, where making
a statement and its result costs more than the database takes for it."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from ledger.store.database import driver
from projections.columns import time_to_text

_NAMED: Final = re.compile(r"(?<!:):([a-z_]+[0-9]*)")
"""A parameter. A cast (two colons) is none."""


class Statement:
    """A statement with parameters as `:name`, in the words of each driver.

    `differs` are the parts that SQLite and PostgreSQL say differently.
    """

    def __init__(self, text: str, **differs: tuple[str, str]) -> None:
        self.sqlite = text.format(**{name: both[0] for name, both in differs.items()})
        postgresql = text.format(**{name: both[1] for name, both in differs.items()})
        self.postgresql = _NAMED.sub(r"%(\1)s", postgresql)


def run(connection: sa.Connection, statement: Statement, given: Mapping[str, Any]) -> list[Any]:
    """The rows of a statement as the driver gives them: on SQLite ids and times are text, a list is JSON."""
    if connection.dialect.name == "postgresql":
        text, asked = statement.postgresql, given
    else:
        text, asked = statement.sqlite, {name: _sqlite_value(value) for name, value in given.items()}
    found: list[Any] = driver(connection).execute(text, asked).fetchall()
    return found


def _sqlite_value(value: Any) -> Any:
    if isinstance(value, UUID):
        return value.hex
    if isinstance(value, list):  # for json_each
        return json.dumps(value)
    return time_to_text(value) if isinstance(value, datetime) else value
