"""Statements as files: every language has every word, figures are exact, the same is the same bytes."""

import io
import re
import string
from datetime import UTC, datetime
from decimal import Decimal
from typing import get_args

import msgspec
import openpyxl  # type: ignore[import-untyped]
import pytest
from babel import Locale
from hypothesis import given, settings
from hypothesis import strategies as st

from api.statement_files import workbook
from api.statement_files.content import COLUMNS, amount_in, file_name
from api.statement_files.figures import Figures, decimal_of
from api.statement_files.locales import chosen, offered
from api.statement_files.words import languages, words_of
from api.statement_files.workbook import to_xlsx
from ledger.payout import PayoutStatus
from ledger.refusals import InvalidField, StatementTooLong
from projections.statement import Amounts, Difference, LineKind
from tests.support.statements import sample_statement

replace = msgspec.structs.replace
ENGLISH = Locale("en")


def texts(value):
    """Every text in a structure."""
    match value:
        case str():
            return [value]
        case dict():
            return [text for item in value.values() for text in texts(item)]
        case msgspec.Struct():
            return texts(msgspec.structs.asdict(value))


def placeholders(value):
    return [
        sorted({name for _, name, _, _ in string.Formatter().parse(text) if name}) for text in texts(value)
    ]


# Words


@pytest.mark.parametrize("language", languages())
def test_every_language_says_all_of_it(language):
    """The type refuses a file that lacks a text; what is left are the kinds, states and plurals."""
    words = words_of(language)

    assert all(text.strip() for text in texts(words))
    assert set(words.kinds) == set(get_args(LineKind))
    assert set(words.states) == set(get_args(PayoutStatus))
    assert set(words.providers) == {"stripe", "bank"}
    whole, many = {Locale(language).plural_form(n) for n in range(200)}, set(words.movements)
    assert whole <= many or "other" in many
    assert len({words.summary, words.lines, words.payouts, words.checkpoint}) == 4, "names of sheets"


@pytest.mark.parametrize("language", languages())
def test_the_same_is_put_in_in_every_language(language):
    def without_plurals(words):
        return placeholders(replace(words, movements={}))

    assert without_plurals(words_of(language)) == without_plurals(words_of("en"))
    assert all("{count}" in text for text in words_of(language).movements.values())


def test_languages_that_we_offer():
    assert set(languages()) >= {"en", "de", "fr", "es", "pt", "nl", "it", "pl"}


@pytest.mark.parametrize(
    ("number", "said"),
    [(1, "1 operacja"), (2, "2 operacje"), (5, "5 operacji"), (1_022, "1\u00a0022 operacje")],
)
def test_plurals_are_the_languages_own(number, said):
    assert Figures(Locale("pl"), "PLN", "UTC").plural(words_of("pl").movements, number) == said


# Which language


@pytest.mark.parametrize(
    ("asked", "of_partner", "accepted", "found"),
    [
        (None, None, None, "en"),
        (None, "de-AT", "fr", "de_AT"),
        ("fr", "de-AT", "es", "fr"),
        (None, None, "sv, es;q=0.8, fr;q=0.9", "fr"),
        (None, None, "es;q=0, *;q=0.5, it;q=0.001", "it"),
        (None, "sv-SE", None, "en"),
        (None, None, "de;q=x,,;q=1,fr;q=0.3", "fr"),
        ("pt-BR", None, None, "pt_BR"),
    ],
)
def test_the_request_counts_then_the_partner_then_what_the_caller_accepts(asked, of_partner, accepted, found):
    assert str(chosen(asked, of_partner, accepted)) == found


@pytest.mark.parametrize("asked", ["", "sv", "english", "de_DE", "../en", "*", "x" * 300])
def test_a_language_that_we_do_not_offer_is_refused_by_name(asked):
    with pytest.raises(InvalidField, match="en, es, fr") as refused:
        chosen(asked, None, None)

    assert refused.value.pointer == "/locale"


@given(st.text(max_size=40), st.text(max_size=60))
@settings(deadline=None)
def test_no_header_breaks_it(tag, header):
    assert chosen(None, tag, header).language in languages()


# Figures


@pytest.mark.parametrize(
    ("tag", "currency", "minor", "said"),
    [
        ("en", "GBP", -123456789, "-1,234,567.89"),
        ("de", "EUR", 123450, "1.234,50"),
        ("fr", "EUR", 123456789, "1\u202f234\u202f567,89"),
        ("en-IN", "INR", 123456789, "12,34,567.89"),
        ("de-CH", "CHF", 123456789, "1'234'567.89"),
        ("fr-CH", "CHF", -123456789, "-1'234'567,89"),
        ("en", "JPY", 1234567, "1,234,567"),
        ("de", "KWD", 1234567, "1.234,567"),
        ("en", "MMK", 12345, "123.45"),
        ("en", "GBP", 0, "0.00"),
        ("en", "GBP", 2**63 - 1, "92,233,720,368,547,758.07"),
    ],
)
def test_amounts_are_written_as_the_language_does_with_the_currencys_decimals(tag, currency, minor, said):
    """MMK has two decimals by ISO 4217 and none by habit: no cent is rounded away."""
    locale = offered(tag)

    assert locale is not None
    assert Figures(locale, currency, "UTC").amount(minor) == said


@settings(deadline=None)
@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(["JPY", "EUR", "KWD", "CLF"]))
def test_amounts_are_exact(minor, currency):
    digits = {"JPY": 0, "EUR": 2, "KWD": 3, "CLF": 4}[currency]

    assert decimal_of(minor, currency) * 10**digits == minor
    written = Figures(ENGLISH, currency, "UTC").amount(minor)
    assert int(re.sub("[,.]", "", written)) == minor


def test_days_are_those_of_the_programs_clock():
    figures = Figures(Locale("de"), "EUR", "Europe/Berlin")

    assert figures.day(datetime(2024, 1, 31, 23, 30, tzinfo=UTC)) == "01.02.2024"
    assert figures.month("2024-01") == "Januar 2024"


# Workbooks


def opened(statement, locale=ENGLISH):
    return openpyxl.load_workbook(io.BytesIO(to_xlsx(statement, locale)))


def test_a_workbooks_amounts_are_numbers_that_add_up():
    statement = sample_statement(50)

    _, lines, payouts, _ = opened(statement).worksheets

    first = 6
    for at, column in enumerate(COLUMNS):
        cells = [lines.cell(row, first + at) for row in range(2, lines.max_row + 1)]
        *moved, closing = [Decimal(str(cell.value)) for cell in cells]
        assert sum(moved) == closing == decimal_of(amount_in(statement.closing, column), "GBP")
        assert {cell.number_format for cell in cells} == {"#,##0.00"}
    assert [payouts.cell(2, column).value for column in (7, 8, 9)] == [25, 5, 20]


def test_a_workbooks_dates_are_dates_of_the_programs_clock():
    _, lines, payouts, _ = opened(sample_statement(1), Locale("de")).worksheets

    assert lines["A3"].value == datetime(2024, 1, 2, 1, 0)  # noqa: DTZ001
    assert lines["A3"].number_format == "dd.mm.yyyy"
    assert payouts["D2"].is_date


@pytest.mark.parametrize(("state", "said"), [("paid", True), ("reversed", True), ("returned", False)])
def test_money_that_the_bank_sent_back_was_received_on_no_day(state, said):
    statement = sample_statement(1)
    statement = replace(statement, payouts=(replace(statement.payouts[0], state=state),))

    payouts = opened(statement).worksheets[2]

    assert payouts["D2"].is_date
    assert payouts["F2"].is_date == said
    assert (payouts["F2"].value is not None) == said


def test_a_workbook_is_in_the_partners_language():
    book = opened(sample_statement(1), Locale("de"))

    assert book.sheetnames == ["Übersicht", "Bewegungen", "Auszahlungen", "Prüfpunkt"]
    assert book["Übersicht"]["A1"].value == "Abrechnung shop-000042"
    assert book["Prüfpunkt"]["B2"].value == sample_statement().checkpoint


@pytest.mark.parametrize(
    "name", ["=1+1", "+1", "-1", "@SUM(A1)", "https://x.example", "0012", "{=1}", "\t=1"]
)
def test_a_text_that_looks_like_a_formula_is_a_text(name):
    statement = sample_statement(1)
    line = replace(statement.lines[0], reason=name)
    partner = replace(statement.partner, name=name)

    summary, lines, *_ = opened(replace(statement, partner=partner, lines=(line,))).worksheets

    cells = [cell for row in summary.iter_rows() for cell in row if cell.value == name]
    assert [(cell.data_type, cell.hyperlink) for cell in cells] == [("s", None)]
    assert (lines["D3"].value, lines["D3"].data_type) == (name, "s")


@given(st.text(min_size=1, max_size=50))
@settings(max_examples=50, deadline=None)
def test_any_text_can_be_opened_again(text):
    statement = sample_statement(1)
    shown = "".join("\ufffd" if workbook.NO_XML.match(c) else c for c in text)

    _, lines, *_ = opened(replace(statement, lines=(replace(statement.lines[0], reason=text),))).worksheets

    found = re.sub("_x([0-9A-F]{4})_", lambda code: chr(int(code[1], 16)), lines["D3"].value)
    assert found.replace("\r", "\n") == shown.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize("currency", ["JPY", "EUR", "KWD"])
def test_an_amount_that_a_workbook_could_not_hold_exactly_is_a_text(currency):
    """A workbook's numbers have 15 digits."""
    largest, too_large = 10**15 - 1, 10**15
    statement = sample_statement(
        1, currency=currency, opening=Amounts(earned_minor=largest, pending_minor=-too_large)
    )

    lines = opened(statement).worksheets[1]

    assert Decimal(str(lines["F2"].value)) == decimal_of(largest, currency)
    assert lines["G2"].value == Figures(ENGLISH, currency, "UTC").amount(-too_large)
    assert (lines["F2"].data_type, lines["G2"].data_type) == ("n", "s")


def test_the_same_statement_is_the_same_workbook(tmp_path, monkeypatch):
    first = to_xlsx(sample_statement(20), Locale("fr"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "Asia/Tokyo")

    assert to_xlsx(sample_statement(20), Locale("fr")) == first
    assert to_xlsx(sample_statement(20), Locale("de")) != first


def test_a_workbook_says_what_a_correction_says_otherwise():
    differs = (Difference("/closing/earned_minor", "100", None),)
    statement = sample_statement(1, version=2, corrects="shop-000041", reason="typing error", differs=differs)

    summary = opened(statement).worksheets[0]

    rows = [[cell.value for cell in row[:3]] for row in summary.iter_rows()]
    assert ["In place of", "shop-000041", None] in rows
    assert ["/closing/earned_minor", "100", None] in rows


def test_more_lines_than_a_sheet_has_rows_are_refused(monkeypatch):
    monkeypatch.setattr(workbook, "LINES_MAX", 3)

    with pytest.raises(StatementTooLong, match="csv"):
        to_xlsx(sample_statement(3), ENGLISH)


def test_a_file_name_holds_nothing_but_letters_digits_and_dots():
    assert file_name(sample_statement(), "pdf") == "shop-000042.pdf"
    preview = sample_statement(number="preview", version=0)
    assert file_name(preview, "xlsx") == "preview-shop-acme-2024-01.xlsx"
    named = replace(preview, partner=replace(preview.partner, reference='a/../"b\r\n'))
    assert file_name(named, "pdf") == "preview-shop-a_.._b_-2024-01.pdf"
