"""Arrays for PostgreSQL in its binary format, packed at once: the driver would take each element on its own.

The format is that of `array_send` in PostgreSQL's sources: number of dimensions, whether there are NULLs, the
type of the elements, the length and lower bound of the dimension; then each element, its length before it.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEAD: Final = Struct(">iiIii")
_LENGTH: Final = Struct(">i").pack
_NULL: Final = _LENGTH(-1)
_BIGINT: Final = Struct(">iq").pack
_UUID_LENGTH: Final = _LENGTH(16)


class Uuids(NamedTuple):
    """A packed uuid[]."""

    packed: bytes


class Bigints(NamedTuple):
    """A packed bigint[]."""

    packed: bytes


class Texts(NamedTuple):
    """A packed text[]."""

    packed: bytes


class Byteas(NamedTuple):
    """A packed bytea[]."""

    packed: bytes


def uuids(values: Sequence[UUID]) -> Uuids:
    """A uuid[]."""
    return Uuids(_array("uuid", [_UUID_LENGTH + value.int.to_bytes(16, "big") for value in values]))


def bigints(values: Sequence[int | None]) -> Bigints:
    """A bigint[]; None is NULL. Raises struct.error beyond 64 bits."""
    made = {value: _NULL if value is None else _BIGINT(8, value) for value in set(values)}
    return Bigints(_array("int8", [made[value] for value in values], nulls=None in made))


def texts(values: Sequence[str]) -> Texts:
    """A text[], in UTF-8."""
    made = {value: _prefixed(value.encode()) for value in set(values)}
    return Texts(_array("text", [made[value] for value in values]))


def byteas(values: Sequence[bytes]) -> Byteas:
    """A bytea[]."""
    return Byteas(_array("bytea", [_LENGTH(len(value)) + value for value in values]))


def _prefixed(value: bytes) -> bytes:
    return _LENGTH(len(value)) + value


def _array(element: str, elements: list[bytes], *, nulls: bool = False) -> bytes:
    kind = psycopg.postgres.types[element].oid
    return _HEAD.pack(1, nulls, kind, len(elements), 1) + b"".join(elements)


class _Packed(Dumper):
    """Hands the packed bytes on."""

    format = Format.BINARY

    def dump(self, obj: Any) -> bytes:
        packed: bytes = obj.packed
        return packed


def _register(cls: type, element: str) -> None:
    dumper = type(f"{cls.__name__}Dumper", (_Packed,), {"oid": psycopg.postgres.types[element].array_oid})
    psycopg.adapters.register_dumper(cls, dumper)


for _cls, _element in ((Uuids, "uuid"), (Bigints, "int8"), (Texts, "text"), (Byteas, "bytea")):
    _register(_cls, _element)
