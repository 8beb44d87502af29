"""A statement as CSV: one table, whose last cell tells whether all of it is there."""

import csv
import io

import pytest

from api import statement_formats
from api.statement_formats import CSV_COLUMNS, as_csv
from tests.support.statements import sample_statement


def is_whole(text: str) -> bool:
    """As docs/statements.md has it: the last row is the closing one, and its last cell counts the lines."""
    rows = list(csv.DictReader(io.StringIO(text)))
    return bool(rows) and rows[-1]["row"] == "closing" and rows[-1]["lines"] == str(len(rows) - 2)


@pytest.mark.parametrize("lines", [0, 8, 97])
def test_a_file_that_was_cut_off_is_seen_to_be(lines):
    """Wherever it was cut; the last line feed alone takes nothing with it."""
    text = b"".join(as_csv(sample_statement(lines))).decode()

    assert is_whole(text)
    assert text.endswith(f",{lines + 3}\n")
    assert [length for length in range(len(text) - 1) if is_whole(text[:length])] == []


def test_it_is_one_table(monkeypatch):
    """Every row has every column, and the count stands in one cell only."""
    monkeypatch.setattr(statement_formats, "CHUNK_LINES", 2)

    rows = list(csv.reader(io.StringIO(b"".join(as_csv(sample_statement())).decode())))

    assert rows[0] == list(CSV_COLUMNS)
    assert {len(row) for row in rows} == {len(CSV_COLUMNS)}
    assert [row[-1] for row in rows] == ["lines", *[""] * 7, "6"]
