"""Values as a database takes them in bulk, made straight from the log's JSON: for rebuilds.

Ids and times stay the text that they are in the log until the row is made: no UUID, no object for a row.
"""

import struct
import types
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_
from typing import Annotated, Any, Final, Literal, Protocol, Union, get_args, get_origin
from uuid import UUID

import msgspec
import sqlalchemy as sa

from ledger.events.base import Fact
from projections import bulk
from projections.columns import time_to_text

Rows = Sequence[Sequence[Any]]
MEMO_MAX: Final = 50_000


class Memo(dict[Any, Any]):
    """What was made of a value, so that it need not be made again; emptied before it grows large."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, value: Any) -> Any:
        if len(self) >= MEMO_MAX:
            self.clear()
        made = self[value] = self._make(value)
        return made


class Form(Protocol):
    """How one database takes values and rows in bulk."""

    time_type: type[Any]
    """What a time is decoded as."""
    stream_column: str
    """What to select for a stream's id, to give to `stream`."""

    def uuid(self, value: str | None) -> Any:
        """An id, from the log's text."""

    def stream(self, value: Any) -> Any:
        """An id, from the column of the log."""

    def made(self, value: UUID) -> Any:
        """An id that was made here."""

    def time(self, value: Any) -> Any:
        """A time, from what `time_type` is."""

    def whole(self, value: int | None) -> Any:
        """A whole number."""

    def text(self, value: str | None) -> Any:
        """A text."""

    def insert(self, connection: sa.Connection, name: str, columns: Sequence[str], rows: Rows) -> None:
        """Add rows to a table, each the values of these columns."""


_NULL: Final = b"\xff\xff\xff\xff"
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LENGTH: Final = struct.Struct(">i").pack
_WHOLE: Final = struct.Struct(">iq").pack


def packed_text(value: str | None) -> bytes:
    """A text in COPY's binary format: its length, then its bytes."""
    if value is None:
        return _NULL
    encoded = value.encode()
    return _LENGTH(len(encoded)) + encoded


class Packed:
    """PostgreSQL: the binary format of COPY. Each value is its length, then its bytes."""

    time_type = datetime
    stream_column = "uuid_send(originator_id)"

    def uuid(self, value: str | None) -> bytes:
        """16 bytes."""
        return _NULL if value is None else b"\0\0\0\x10" + bytes.fromhex(value.replace("-", ""))

    def stream(self, value: bytes) -> bytes:
        """16 bytes, which came from the log as such."""
        return b"\0\0\0\x10" + value

    def made(self, value: UUID) -> bytes:
        """16 bytes."""
        return b"\0\0\0\x10" + value.bytes

    def time(self, value: datetime | None) -> bytes:
        """Microseconds since 2000."""
        return _NULL if value is None else _WHOLE(8, (value - _EPOCH) // _MICROSECOND)

    def whole(self, value: int | None) -> bytes:
        """8 bytes."""
        return _NULL if value is None else _WHOLE(8, value)

    def text(self, value: str | None) -> bytes:
        """UTF-8."""
        return packed_text(value)

    def insert(self, connection: sa.Connection, name: str, columns: Sequence[str], rows: Rows) -> None:
        """One COPY."""
        head = len(columns).to_bytes(2, "big")
        bulk.copy_packed(connection, name, columns, b"".join([head + b"".join(row) for row in rows]))


class Stored:
    """SQLite: the values as its tables hold them."""

    time_type = str
    stream_column = "originator_id"

    def uuid(self, value: str | None) -> str | None:
        """32 hexadecimal digits."""
        return None if value is None else value.replace("-", "")

    def stream(self, value: str) -> str:
        """32 hexadecimal digits, which came from the log as such."""
        return value

    def made(self, value: UUID) -> str:
        """32 hexadecimal digits."""
        return value.hex

    def time(self, value: str | None) -> str | None:
        """UTC, always with microseconds. In the log the microseconds and the zone may be others."""
        if value is None or (len(value) == _TIME_WIDTH and value[-1] == "Z"):
            return value
        if len(value) == _SECONDS_WIDTH and value[-1] == "Z":
            return value[:-1] + ".000000Z"
        return time_to_text(datetime.fromisoformat(value))

    def whole(self, value: int | None) -> int | None:
        """As it is."""
        return value

    def text(self, value: str | None) -> str | None:
        """As it is."""
        return value

    def insert(self, connection: sa.Connection, name: str, columns: Sequence[str], rows: Rows) -> None:
        """One statement for all rows."""
        bulk.insert_stored(connection, name, columns, rows)


_TIME_WIDTH: Final = len("2026-01-31T12:00:00.000000Z")
_SECONDS_WIDTH: Final = len("2026-01-31T12:00:00Z")


def form_of(*, postgresql: bool) -> Form:
    """The form of a database."""
    return Packed() if postgresql else Stored()


# The log's JSON with no more of a fact than its rows need


def stored_struct(kind: type[Fact], names: Sequence[str], form: Form) -> type[Any]:
    """What a stored fact is decoded as: its time, and these fields; those that it lacks are None."""
    known = {field.name: field for field in msgspec.structs.fields(kind)}
    fields: list[Any] = []
    for name in names:
        field = known.get(name)
        if field is None:
            fields.append((name, None, None))
        elif field.required:
            fields.append((name, _slim_type(field.type, form)))
        else:
            default = msgspec.Raw(b"[]") if field.default == () else field.default
            fields.append((name, _slim_type(field.type, form), default))
    fact = msgspec.defstruct(f"Slim{kind.__name__}", fields, kw_only=True, gc=False)
    return msgspec.defstruct("Stored", [("recorded_at", form.time_type), ("fact", fact)], gc=False)


def _slim_type(kind: Any, form: Form) -> Any:
    """Ids are text, times what the form takes; what has parts of its own stays JSON."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return reduce(or_, (_slim_type(part, form) for part in get_args(kind)))
    if origin is Annotated:
        return _slim_type(get_args(kind)[0], form)
    if origin is Literal or kind is UUID:
        return str
    if kind is datetime:
        return form.time_type
    return kind if kind in (int, str, type(None)) else msgspec.Raw
