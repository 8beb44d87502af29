"""Reports as JSON or CSV: written to a file that is in memory only while it is small, then sent from it.

So the database is asked and left before the first byte goes out, however slowly the caller takes it, and a
report that fails is a problem and not half an answer.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import Any, Final

import falcon
import msgspec

from api.answers import JSON
from projections.spreadsheet import csv_text

CSV: Final = "text/csv"
IN_MEMORY_BYTES: Final = 1 << 20
ROWS_AT_ONCE: Final = 1_000
Rows = Iterable[dict[str, Any]]


def as_csv(rows: Rows, columns: Sequence[str]) -> Iterator[bytes]:
    """The rows as CSV with a header line, some at a time; what is null is empty."""
    pending: list[Iterable[object]] = [columns]
    for some in _some(rows):
        pending += [map(row.get, columns) for row in some]
        yield csv_text(pending).encode()
        pending = []
    yield csv_text(pending).encode()


def as_json(rows: Rows) -> Iterator[bytes]:
    """The rows as `{"items": […]}`, a row a line."""
    yield b'{"items": ['
    before = b""
    for some in _some(rows):
        yield before + b",\n".join(map(msgspec.json.encode, some))
        before = b",\n"
    yield b"]}\n"


def send_report(req: falcon.Request, resp: falcon.Response, rows: Rows, columns: Sequence[str]) -> None:
    """Answer with all rows: as JSON, or with `Accept: text/csv` as CSV."""
    wants_csv = CSV in (req.get_header("Accept") or "")
    resp.append_header("Vary", "Accept")
    resp.content_type = CSV if wants_csv else JSON
    send_chunks(resp, as_csv(rows, columns) if wants_csv else as_json(rows))


def send_chunks(resp: falcon.Response, chunks: Iterable[bytes]) -> None:
    """Answer with these bytes; the whole is made before the first of it is sent."""
    file = SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - falcon closes it when it is sent
    try:
        for chunk in chunks:
            file.write(chunk)
        length = file.tell()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    resp.set_header("Cache-Control", "no-store")
    resp.set_stream(file, length)


def _some(rows: Rows) -> Iterator[list[dict[str, Any]]]:
    remaining = iter(rows)
    while some := list(islice(remaining, ROWS_AT_ONCE)):
        yield some
