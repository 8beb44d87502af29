"""CSV files as rows that can be sent: what is wrong with one is said about it, and the rest goes on."""

import csv
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

Noun = Literal["referrals", "conversions", "refunds"]

FIELD_BYTES_MAX: Final = 1 << 20
_WHOLE_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,25}", re.ASCII)


class Row(NamedTuple):
    """A row of the file: its fields as they stand there, and why it can't be sent, if it can't."""

    number: int
    fields: Sequence[str]
    problem: str = ""


class WrongColumns(Exception):
    """The file as a whole is not what it was said to be."""


class Unsendable(Exception):
    """A row can't be put into a request."""


class Target(NamedTuple):
    """Where rows go: the program, the name under which their ids are unique, the kind of conversion."""

    program_id: UUID
    source: str
    kind: str


COLUMNS: Final[dict[Noun, tuple[str, ...]]] = {
    "referrals": ("customer", "partner", "registered_at"),
    "conversions": ("invoice_id", "occurred_at", "customer", "amount_minor", "currency"),
    "refunds": ("refund_id", "invoice_id", "occurred_at", "amount_minor", "currency"),
}
"""The columns that must be there, in any order; others are passed over."""


def header(path: Path, noun: Noun) -> list[str]:
    """The file's column names. Raises WrongColumns when it lacks one that `noun` needs."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        names = [name.strip() for name in next(csv.reader(file), [])]
    missing = [name for name in COLUMNS[noun] if name not in names]
    if missing:
        fits = [other for other, columns in COLUMNS.items() if set(columns) <= set(names)]
        advice = f"; its columns are those of --as {fits[-1]}" if fits else ""
        raise WrongColumns(f"{path} has no column {', '.join(missing)}{advice}")
    return names


def rows(path: Path, names: Sequence[str], *, after: int = 0) -> Iterator[Row]:
    """The rows behind the header, from 1, beginning after row `after`; empty lines are no rows."""
    csv.field_size_limit(FIELD_BYTES_MAX)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        next(reader, None)
        number = 0
        while True:
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                number += 1
                if number > after:
                    yield Row(number, [""] * len(names), f"line {reader.line_num} is no CSV: {error}")
                continue
            if not fields:
                continue
            number += 1
            if number > after:
                yield Row(number, fields, _problem(fields, names))


def _problem(fields: Sequence[str], names: Sequence[str]) -> str:
    if len(fields) != len(names):
        return f"the row has {len(fields)} columns, the header {len(names)}"
    for name, value in zip(names, fields, strict=True):
        if any("\udc80" <= sign <= "\udcff" for sign in value):
            return f"{name}: the bytes are no UTF-8"
    return ""


def count(path: Path, names: Sequence[str]) -> int:
    """How many rows there are, for the progress bar."""
    return sum(1 for _ in rows(path, names))


def digest(path: Path) -> str:
    """The SHA-256 of the file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def item(noun: Noun, names: Sequence[str], row: Row, target: Target) -> dict[str, Any]:
    """The request's item for a row. Raises Unsendable; the server checks all the rest."""
    return _ITEMS[noun](dict(zip(names, row.fields, strict=True)), target)


def _referral(record: dict[str, str], target: Target) -> dict[str, Any]:
    return {
        "program_id": str(target.program_id),
        "customer": record["customer"],
        "partner": record["partner"],
        "via": "registration",
        "effective_at": record["registered_at"],
    }


def _conversion(record: dict[str, str], target: Target) -> dict[str, Any]:
    return {
        "kind": target.kind,
        "program_id": str(target.program_id),
        "source": target.source,
        "external_id": record["invoice_id"],
        "effective_at": record["occurred_at"],
        "customer": record["customer"],
        "amount_minor": _whole_number(record, "amount_minor"),
        "currency": record["currency"],
    }


def _refund(record: dict[str, str], target: Target) -> dict[str, Any]:
    return {
        "kind": "refund",
        "program_id": str(target.program_id),
        "source": target.source,
        "external_id": record["invoice_id"],
        "refund_id": record["refund_id"],
        "effective_at": record["occurred_at"],
        "amount_minor": _whole_number(record, "amount_minor"),
        "currency": record["currency"],
    }


def _whole_number(record: dict[str, str], name: str) -> int:
    if not _WHOLE_NUMBER.fullmatch(record[name]):
        raise Unsendable(f"{name}: {record[name]!r} is no whole number of minor units")
    return int(record[name])


_ITEMS: Final[dict[Noun, Callable[[dict[str, str], Target], dict[str, Any]]]] = {
    "referrals": _referral,
    "conversions": _conversion,
    "refunds": _refund,
}
