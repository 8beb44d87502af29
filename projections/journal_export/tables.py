"""The journal's lines as a table: CSV, and Parquet for analysts. Amounts are whole minor units in both."""

import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from projections.columns import time_to_text
from projections.journal_export.selection import Entry, Progress, Selection
from projections.spreadsheet import csv_text

ENTRIES_AT_ONCE: Final = 1_000
ROW_GROUP_LEGS = 50_000
"""How many lines a row group of Parquet has at the least, but for the last one."""
COLUMNS: Final = (
    *("position", "leg", "event_id", "event_version", "topic", "day", "effective_at", "recorded_at"),
    *("account", "amount_minor", "currency", "program_id", "program", "partner_id", "partner"),
    *("posting_version", "reward_id", "payout_id", "conversion_id"),
)


class ParquetMissing(Exception):
    """Parquet is written by pyarrow, which is large and not installed with revshare."""


def csv_lines(selection: Selection, progress: Progress) -> Iterator[bytes]:
    """One line a leg, with a header; times are RFC 3339 in UTC, `day` is that of the program's time zone."""
    yield csv_text([COLUMNS]).encode()
    entries = selection.entries(progress)
    while some := list(islice(entries, ENTRIES_AT_ONCE)):
        yield csv_text(map(_written, row) for entry in some for row in _rows(entry)).encode()


def parquet(selection: Selection, progress: Progress) -> Iterator[bytes]:
    """The same as Parquet, a row group at a time. Raises ParquetMissing before anything is read."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ParquetMissing("Parquet needs pyarrow: pip install 'revshare[parquet]'") from None
    return _parquet(selection, progress, pa, pq)


def _parquet(selection: Selection, progress: Progress, pa: Any, pq: Any) -> Iterator[bytes]:
    schema = _schema(pa)
    sink = _Sink()
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, compression="zstd") as writer:
        for rows in _groups(selection, progress):
            columns: dict[str, Sequence[Any]] = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True))
            for name in ("event_id", "program_id", "partner_id", "reward_id", "payout_id", "conversion_id"):
                columns[name] = [None if each is None else str(each) for each in columns[name]]
            writer.write_table(pa.table(columns, schema=schema))
            yield sink.taken()
    yield sink.taken()


def _schema(pa: Any) -> Any:
    word, time = pa.dictionary(pa.int32(), pa.string()), pa.timestamp("us", tz="UTC")
    kinds = {
        **dict.fromkeys(("position", "event_version", "amount_minor"), pa.int64()),
        **dict.fromkeys(("leg", "posting_version"), pa.int32()),
        **dict.fromkeys(
            ("topic", "account", "currency", "program_id", "program", "partner_id", "partner"), word
        ),
        **dict.fromkeys(("effective_at", "recorded_at"), time),
        "day": pa.date32(),
    }
    nullable = ("reward_id", "payout_id", "conversion_id")
    return pa.schema(
        [pa.field(name, kinds.get(name, pa.string()), nullable=name in nullable) for name in COLUMNS]
    )


def _groups(selection: Selection, progress: Progress) -> Iterator[list[tuple[Any, ...]]]:
    rows: list[tuple[Any, ...]] = []
    for entry in selection.entries(progress):
        rows.extend(_rows(entry))
        if len(rows) >= ROW_GROUP_LEGS:
            yield rows
            rows = []
    if rows:
        yield rows


def _rows(entry: Entry) -> Iterator[tuple[Any, ...]]:
    for number, (account, minor, currency) in enumerate(entry.legs, start=1):
        yield (
            *(entry.position, number, entry.event_id, entry.event_version, entry.topic, entry.day),
            *(entry.effective_at.astimezone(UTC), entry.recorded_at.astimezone(UTC)),
            *(account, minor, currency, entry.program.id, entry.program.reference),
            *(entry.partner.id, entry.partner.reference, entry.posting_version),
            *(entry.reward_id, entry.payout_id, entry.conversion_id),
        )


def _written(value: Any) -> Any:
    return time_to_text(value) if isinstance(value, datetime) else value


class _Sink(io.RawIOBase):
    """What pyarrow writes to: it is handed on piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._length = 0

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """How much was written in all."""
        return self._length

    def write(self, data: Any) -> int:
        """Keep a piece."""
        piece = bytes(data)
        self._pieces.append(piece)
        self._length += len(piece)
        return len(piece)

    def taken(self) -> bytes:
        """What was written since the last time."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)
