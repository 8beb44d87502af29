"""Column types that give the same values on SQLite and PostgreSQL."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

_DIALECT: Final[sa.Dialect] = postgresql.dialect()  # type: ignore[no-untyped-call]


def time_to_text(value: datetime) -> str:
    """A time as SQLite keeps it: UTC, always with microseconds, so that text sorts as time does."""
    utc = value.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="microseconds") + "Z"


def text_to_time(value: str) -> datetime:
    """The aware time behind SQLite's text."""
    return datetime.fromisoformat(value)


class UtcTime(sa.types.TypeDecorator[datetime]):
    """An aware time in UTC: timestamptz on PostgreSQL, sortable text on SQLite."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """What the column really is."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True))
        return dialect.type_descriptor(sa.Text())

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        """Python to database."""
        return value if value is None or dialect.name == "postgresql" else time_to_text(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        """Database to Python."""
        if value is None:
            return None
        time: datetime = value if dialect.name == "postgresql" else text_to_time(value)
        return time.astimezone(UTC)


def postgresql_type(column: sa.Column[Any]) -> str:
    """The column's type in PostgreSQL's words, for casts in hand-written statements."""
    return column.type.compile(dialect=_DIALECT)


def sqlite_value(column: sa.Column[Any]) -> Callable[[Any], Any] | None:
    """What turns a value of ours that may be None into what SQLite stores; None where nothing has to."""
    if isinstance(column.type, sa.Uuid):
        return _uuid_to_text
    if isinstance(column.type, UtcTime):
        return _time_to_text
    return None


def _uuid_to_text(value: UUID | None) -> str | None:
    return None if value is None else value.hex


def _time_to_text(value: datetime | None) -> str | None:
    return None if value is None else time_to_text(value)
