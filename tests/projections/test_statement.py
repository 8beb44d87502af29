"""Statements as data: what a sample holds adds up, and its bytes come back as they were."""

import msgspec

from projections.statement import Statement
from tests.support.statements import sample_statement


def test_opening_and_lines_make_closing_in_every_column():
    statement = sample_statement(5)

    for column in statement.opening.__struct_fields__:
        moved = sum(getattr(line.moved, column) for line in statement.lines)
        assert getattr(statement.opening, column) + moved == getattr(statement.closing, column)


def test_json_gives_back_the_statement():
    statement = sample_statement()

    assert msgspec.json.decode(msgspec.json.encode(statement), type=Statement) == statement
    assert not statement.is_preview
    assert sample_statement(number="preview").is_preview
