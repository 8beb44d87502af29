"""Columns that give the same values on SQLite and PostgreSQL, and how a table of a view names them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

_DIALECT: Final[sa.Dialect] = postgresql.dialect()  # type: ignore[no-untyped-call]


def time_to_text(value: datetime) -> str:
    """A time as SQLite keeps it: UTC, always with microseconds, so that text sorts as time does."""
    utc = value if value.tzinfo is UTC else value.astimezone(UTC)
    return utc.isoformat(timespec="microseconds")[:-6] + "Z"  # in the place of +00:00


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


def sqlite_values(column: sa.Column[Any], values: Sequence[Any]) -> Sequence[Any]:
    """The values of a column as SQLite stores them; None stays None."""
    if isinstance(column.type, sa.Uuid):
        return [None if value is None else value.hex for value in values]
    if isinstance(column.type, UtcTime):
        texts = {value: None if value is None else time_to_text(value) for value in set(values)}
        return [texts[value] for value in values]
    return values


def postgresql_array(column: sa.Column[Any], values: Sequence[Any]) -> str:
    """The values of a column as the text of a PostgreSQL array, made quicker than by the driver."""
    if isinstance(column.type, sa.Uuid):
        items = ["NULL" if value is None else value.hex for value in values]
    elif isinstance(column.type, UtcTime):
        texts = {value: "NULL" if value is None else value.isoformat() for value in set(values)}
        items = [texts[value] for value in values]
    elif isinstance(column.type, sa.BigInteger):
        items = ["NULL" if value is None else str(value) for value in values]
    elif isinstance(column.type, sa.LargeBinary):
        items = [rf'"\\x{value.hex()}"' for value in values]
    else:
        words = {value: "NULL" if value is None else _quoted(value) for value in set(values)}
        items = [words[value] for value in values]
    return "{" + ",".join(items) + "}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# What the tables of the views are made of

METADATA: Final = sa.MetaData(
    naming_convention={"pk": "pk_%(table_name)s", "ix": "ix_%(table_name)s_%(column_0_N_name)s"}
)


def key(name: str, kind: Any = sa.Uuid) -> sa.Column[Any]:
    """A column of the primary key."""
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def uuid(name: str, *, null: bool = False) -> sa.Column[Any]:
    """An id."""
    return sa.Column(name, sa.Uuid, nullable=null)


def text(name: str, *, null: bool = False) -> sa.Column[Any]:
    """A text of any length."""
    return sa.Column(name, sa.Text, nullable=null)


def whole(name: str, *, null: bool = False) -> sa.Column[Any]:
    """A whole number."""
    return sa.Column(name, sa.BigInteger, nullable=null)


def time(name: str, *, null: bool = False) -> sa.Column[Any]:
    """A time."""
    return sa.Column(name, UtcTime, nullable=null)


def json(name: str, *, null: bool = False) -> sa.Column[Any]:
    """A document, as text: what is compared byte for byte must not depend on a database's own formatting."""
    return sa.Column(name, sa.Text, nullable=null, info={"json": True})


def octets(name: str) -> sa.Column[Any]:
    """Bytes."""
    return sa.Column(name, sa.LargeBinary, nullable=False)


def position() -> sa.Column[Any]:
    """Where in the log the row's last fact stands."""
    return sa.Column("position", sa.BigInteger, nullable=False)


def index_where_set(column: str, table: str) -> sa.Index:
    """Of a column that is mostly empty: only the rows that have it."""
    where = sa.text(f"{column} IS NOT NULL")
    return sa.Index(f"ix_{table}_{column}", column, postgresql_where=where, sqlite_where=where)


def learned() -> list[sa.Column[Any]]:
    """When something was true, and when we learned it."""
    return [time("effective_at"), time("recorded_at")]


def changing() -> list[sa.Column[Any]]:
    """When something began, and when it changed last."""
    return [time("recorded_at"), time("changed_at")]
