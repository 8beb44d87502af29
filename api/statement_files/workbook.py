"""A statement as a workbook (XLSX): amounts and dates are numbers to count with, texts are texts."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, Final

import xlsxwriter  # type: ignore[import-untyped]
from babel import Locale
from xlsxwriter.format import Format  # type: ignore[import-untyped]
from xlsxwriter.worksheet import Worksheet  # type: ignore[import-untyped]

from api.statement_files.content import (
    COLUMNS,
    Written,
    amount_in,
    belongs_to,
    conversion_name,
    facts,
    how_to_verify,
    payout_provider,
    payout_state,
    received_at,
    written,
)
from api.statement_files.figures import decimal_of
from ledger.refusals import StatementTooLong
from projections.statement import Amounts, Statement

LINES_MAX: Final = 1_000_000
"""A sheet has 1,048,576 rows."""
EXACT_MAX: Final = 10**15
"""A workbook's numbers have 15 digits; a larger amount stands there as a text, so that none is changed."""
NO_XML: Final = re.compile("[\ud800-\udfff\ufffe\uffff]")
"""What may not stand in XML at all. (Controls are escaped by the library.)"""
WIDTH_TEXT: Final = 28
WIDTH_AMOUNT: Final = 15

Cell = str | int | datetime | None


class Minor(int):
    """An amount in minor units, to tell it from a plain number."""


def to_xlsx(statement: Statement, locale: Locale) -> bytes:
    """The workbook's bytes: summary, movements, payouts, checkpoint. Raises StatementTooLong."""
    if len(statement.lines) > LINES_MAX:
        raise StatementTooLong(
            f"a workbook holds {LINES_MAX:,} lines at most: ask for csv or json", pointer="/format"
        )
    buffer = BytesIO()
    book = xlsxwriter.Workbook(buffer, {"constant_memory": True})
    of = written(statement, locale)
    made_at = statement.issued_at or statement.period.begins_at
    book.set_properties(
        {
            "title": of.title,
            "subject": of.figures.month(statement.period.period),
            "author": statement.program.name,
            "created": made_at.astimezone(UTC).replace(tzinfo=None),
        }
    )
    writer = _Writer(book, of)
    _summary(writer, of)
    _movements(writer, of)
    _payouts(writer, of)
    _checkpoint(writer, of)
    book.close()
    return buffer.getvalue()


class _Writer:
    """Writes cells by what they are. A text is never read as a formula, a number or an address."""

    def __init__(self, book: xlsxwriter.Workbook, of: Written) -> None:
        self._book = book
        self._of = of
        self.plain: Format = book.add_format({"valign": "top"})
        self.head: Format = book.add_format({"bold": True, "bottom": 1, "text_wrap": True})
        self.title: Format = book.add_format({"bold": True, "font_size": 16})
        amount = {"num_format": of.figures.cell_amount(), "valign": "top"}
        self._amount: Format = book.add_format(amount)
        self._amount_text: Format = book.add_format({"align": "right", "valign": "top"})
        self._date: Format = book.add_format(
            {"num_format": of.figures.cell_date(), "align": "left", "valign": "top"}
        )

    def sheet(self, name: str, widths: Sequence[int]) -> Worksheet:
        """A new sheet with columns so wide."""
        sheet = self._book.add_worksheet(re.sub(r"[\[\]:*?/\\']", " ", name)[:31])
        for column, width in enumerate(widths):
            sheet.set_column(column, column, width)
        return sheet

    def row(self, sheet: Worksheet, at: int, cells: Iterable[Cell], style: Format | None = None) -> None:
        """One row, from the first column on."""
        for column, cell in enumerate(cells):
            match cell:
                case None | "":
                    pass
                case Minor():
                    self._write_amount(sheet, at, column, cell)
                case int():
                    sheet.write_number(at, column, cell, style or self.plain)
                case datetime():
                    sheet.write_datetime(at, column, self._of.figures.local(cell), self._date)
                case str():
                    sheet.write_string(at, column, NO_XML.sub("\ufffd", cell), style or self.plain)

    def _write_amount(self, sheet: Worksheet, at: int, column: int, amount: Minor) -> None:
        if abs(amount) < EXACT_MAX:
            value: Any = decimal_of(amount, self._of.statement.currency)
            sheet.write_number(at, column, value, self._amount)
        else:
            sheet.write_string(at, column, self._of.figures.amount(amount), self._amount_text)


def _amounts(amounts: Amounts) -> list[Cell]:
    return [Minor(amount_in(amounts, column)) for column in COLUMNS]


def _summary(writer: _Writer, of: Written) -> None:
    statement, words, _ = of
    sheet = writer.sheet(words.summary, [WIDTH_TEXT, WIDTH_AMOUNT, WIDTH_AMOUNT, WIDTH_AMOUNT])
    writer.row(sheet, 0, [of.title], writer.title)
    at = 2
    if statement.is_preview:
        writer.row(sheet, 1, [words.preview], writer.head)
    for label, text in facts(of):
        writer.row(sheet, at, [label, text])
        at += 1
    at += 1
    head = [f"{words.balance} ({statement.currency})", words.opening, words.movement, words.closing]
    writer.row(sheet, at, head, writer.head)
    for column in COLUMNS:
        at += 1
        opening, closing = amount_in(statement.opening, column), amount_in(statement.closing, column)
        moved = Minor(closing - opening)
        writer.row(sheet, at, [getattr(words.balances, column), Minor(opening), moved, Minor(closing)])
    writer.row(sheet, at + 2, [words.tax_withheld, Minor(statement.tax_withheld_minor)])
    if statement.differs:
        writer.row(sheet, at + 4, [words.differs, words.was, words.now], writer.head)
    for row, difference in enumerate(statement.differs, start=at + 5):
        writer.row(sheet, row, [difference.pointer, difference.was, difference.now])


def _movements(writer: _Writer, of: Written) -> None:
    statement, words, _ = of
    widths = [12, WIDTH_TEXT, WIDTH_TEXT, 44, 20, *([WIDTH_AMOUNT] * len(COLUMNS)), 38, 12]
    sheet = writer.sheet(words.lines, widths)
    sheet.freeze_panes(1, 0)
    balances = [getattr(words.balances, column) for column in COLUMNS]
    texts = [words.date, words.description, words.conversion, words.reason, words.period]
    writer.row(sheet, 0, [*texts, *balances, words.payout, words.log_position], writer.head)
    writer.row(sheet, 1, [None, words.opening, None, None, None, *_amounts(statement.opening)])
    at = 1
    for line in statement.lines:
        at += 1
        payout = None if line.payout_id is None else str(line.payout_id)
        named = [words.kinds[line.kind], conversion_name(line), line.reason, belongs_to(of, line)]
        writer.row(sheet, at, [line.effective_at, *named, *_amounts(line.moved), payout, line.position])
    writer.row(sheet, at + 1, [None, words.closing, None, None, None, *_amounts(statement.closing)])
    sheet.autofilter(0, 0, at + 1, len(widths) - 1)


def _payouts(writer: _Writer, of: Written) -> None:
    statement, words, _ = of
    sheet = writer.sheet(words.payouts, [38, 16, 18, 12, 12, 12, *([WIDTH_AMOUNT] * 3), WIDTH_TEXT])
    sheet.freeze_panes(1, 0)
    days = [words.intent_at, words.confirmed_at, words.paid_at]
    head = [words.payout, words.state, words.provider, *days, words.amount, words.withheld, words.net]
    writer.row(sheet, 0, [*head, words.reference], writer.head)
    for at, payout in enumerate(statement.payouts, start=1):
        about = [str(payout.payout_id), payout_state(words, payout), payout_provider(words, payout)]
        when = [payout.intent_at, payout.confirmed_at, received_at(payout)]
        amounts = map(Minor, (payout.amount_minor, payout.withheld_minor, payout.net_minor))
        writer.row(sheet, at, [*about, *when, *amounts, payout.reference])
    if not statement.payouts:
        writer.row(sheet, 1, [words.no_payouts])


def _checkpoint(writer: _Writer, of: Written) -> None:
    statement, words, _ = of
    sheet = writer.sheet(words.checkpoint, [WIDTH_TEXT, 110])
    rows: list[list[Cell]] = [
        [words.checkpoint_text if statement.checkpoint else words.checkpoint_pending],
        [words.checkpoint, statement.checkpoint],
        [words.content_hash, statement.content_sha256],
        [words.log_position, statement.issued_position],
        [words.verify, words.verify_text],
    ]
    rows += [[None, command] for command in how_to_verify(statement).splitlines()]
    for at, cells in enumerate(rows):
        writer.row(sheet, at, cells)
