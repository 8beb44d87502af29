"""A statement as a PDF: for archives and for screen readers, its figures right, its bytes always the same."""

import io
import re
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pikepdf
import pypdf
import pytest
from babel import Locale

from api.statement_files import pdf
from api.statement_files.content import amount_in, columns_used
from api.statement_files.figures import Figures
from api.statement_files.pdf import TypesettingFailed, to_pdf
from api.statement_files.words import languages, words_of
from ledger import processors
from ledger.refusals import StatementTooLong
from projections.statement import Difference
from tests.support.statements import sample_statement

replace = msgspec.structs.replace
ENGLISH = Locale("en")


def pages(made):
    """The text of each page, without the places where words may break."""
    return [page.extract_text().replace("\u200b", "") for page in pypdf.PdfReader(io.BytesIO(made)).pages]


def opened(made):
    return pikepdf.open(io.BytesIO(made))


def kinds_of(element):
    """The kinds of structure elements below one, each with how often it stands there."""
    found: dict[str, int] = {}
    stack = [element]
    while stack:
        node = stack.pop()
        if isinstance(node, pikepdf.Array):
            stack.extend(node)
        elif isinstance(node, pikepdf.Dictionary):
            kind = str(node.get("/S", ""))
            found[kind] = found.get(kind, 0) + 1
            if "/K" in node:
                stack.append(node.K)
    return found


def named(name):
    statement = sample_statement(1)
    return replace(statement, partner=replace(statement.partner, name=name))


def test_it_says_that_it_is_for_archives_and_screen_readers_and_has_what_that_takes():
    """PDF/A-3a and PDF/UA-1: tags, a language, a title, fonts inside, no date but the statement's own."""
    made = opened(to_pdf(sample_statement(80), Locale("de", "AT")))

    with made.open_metadata() as metadata:
        assert (metadata["pdfaid:part"], metadata["pdfaid:conformance"]) == ("3", "A")
        assert metadata["pdfuaid:part"] == "1"
        assert metadata["dc:title"] == "Abrechnung shop-000042"
        assert metadata["xmp:CreateDate"].startswith("2024-02-03T00:00:00")
    assert made.Root.MarkInfo.Marked
    assert str(made.Root.Lang) == "de-AT"
    assert made.Root.ViewerPreferences.DisplayDocTitle
    kinds = kinds_of(made.Root.StructTreeRoot.K)
    assert kinds["/H1"] == 1
    assert kinds["/Table"] == 3
    assert kinds["/TR"] == 80 + 3 + 2 + 1 + 6 + 1 + 2, "lines, balances, header; summary; payouts"
    assert kinds["/TH"] == 8 + 4 + 8
    fonts = [font for font in made.objects if isinstance(font, pikepdf.Dictionary) and "/FontName" in font]
    assert {str(font.FontName).split("+")[1] for font in fonts} <= {
        "LibertinusSerif-Regular",
        "LibertinusSerif-Bold",
        "DejaVuSansMono",
    }
    assert all({"/FontFile", "/FontFile2", "/FontFile3"} & set(font.keys()) for font in fonts)


@pytest.mark.parametrize("language", languages())
def test_its_figures_are_the_statements(language):
    """Every balance, payout and movement, in every language; the header on every page of lines."""
    statement, locale = sample_statement(80), Locale(language)
    figures, words = Figures(locale, "GBP", statement.program.time_zone), words_of(language)

    first, *rest = pages(to_pdf(statement, locale))

    for column in columns_used(statement):
        opening, closing = amount_in(statement.opening, column), amount_in(statement.closing, column)
        name = re.escape(getattr(words.balances, column))
        amounts = (re.escape(figures.amount(each)) for each in (opening, closing - opening, closing))
        assert re.search(r"\s+".join([name, *amounts]), first)
    assert f"{figures.amount(5_00)} GBP" in first
    assert "".join(rest).count(figures.amount(20_00)) >= 2 * 80
    assert all(words.description in page for page in rest)
    assert words.page.format(page=1, pages=1 + len(rest)) in first
    for line in statement.lines:
        assert line.external_id is None or f"shop/{line.external_id} " in "".join(rest)


def test_the_same_statement_is_the_same_bytes_in_any_folder(tmp_path, monkeypatch):
    first = to_pdf(sample_statement(), Locale("fr"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    monkeypatch.setenv("LANG", "ja_JP.UTF-8")

    assert to_pdf(sample_statement(), Locale("fr")) == first


@pytest.mark.parametrize(
    "name",
    [
        "#panic(1) *x* _y_ `z` $m$ <b> @ref // not /* a */ comment",
        '= Heading\\ #{sys.inputs} [x] "q" \\u{41} ~ -- ---',
        "Łódź Ağaoğlu ΑΒΓ Жук ₹ ₺",
    ],
)
def test_a_name_is_printed_as_it_is_and_never_read_as_markup(name):
    text = pages(to_pdf(named(name), ENGLISH))[0]

    assert name.replace(" ", "") in re.sub(r"\s", "", text)


def test_a_sign_without_a_glyph_is_written_as_its_number():
    """Nobody's statement fails for it, and nothing is left out: the fonts that come along have no kanji."""
    text = pages(to_pdf(named("日 Acme\x07\ufeff\ue000 😀"), ENGLISH))[0]

    assert "[U+65E5] Acme[U+0007][U+FEFF][U+E000] [U+1F600]" in text


def test_a_preview_says_that_it_is_none_and_a_correction_what_it_corrects():
    preview = sample_statement(
        number="preview",
        version=0,
        issued_at=None,
        checkpoint=None,
        content_sha256=None,
        issued_position=None,
    )
    text = pages(to_pdf(preview, ENGLISH))[0]
    assert "this is no statement yet" in text
    assert "No checkpoint covers this statement yet" in text
    assert "Number" not in text
    corrected = sample_statement(
        version=2, corrects="shop-000041", reason="typo", differs=(Difference("/closing", "1", "2"),)
    )

    text = pages(to_pdf(corrected, ENGLISH))[0]

    assert re.search(r"In place of\s+shop-000041", text)
    assert "What this version says otherwise" in text


def test_an_empty_month_says_so():
    text = "".join(pages(to_pdf(sample_statement(lines=0, payouts=()), ENGLISH)))

    assert "No payouts in this period." in text


def test_a_statement_that_is_too_long_is_refused_with_what_to_ask_for(monkeypatch):
    monkeypatch.setattr(pdf, "LINES_MAX", 5)

    with pytest.raises(StatementTooLong, match="xlsx"):
        to_pdf(sample_statement(3), ENGLISH)


def test_a_typesetter_that_fails_is_told(monkeypatch, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('no fonts today')")
    monkeypatch.setattr(pdf, "TYPESETTER", broken)

    monkeypatch.setattr(pdf, "WAIT_S", 0.01)

    for _ in range(2):  # the first one gives its turn back
        with pytest.raises(TypesettingFailed, match="no fonts today"):
            to_pdf(sample_statement(), ENGLISH)


def test_the_typesetter_may_use_processors_that_its_server_keeps_from(monkeypatch, tmp_path):
    telling = tmp_path / "telling.py"
    telling.write_text("import os; print(sorted(os.sched_getaffinity(0)), end='')")
    monkeypatch.setattr(pdf, "TYPESETTER", telling)

    def kept():
        processors.keep_to(processors.GIVEN[0])
        return to_pdf(sample_statement(), ENGLISH)

    with ThreadPoolExecutor(1) as pool:
        said = pool.submit(kept).result()

    assert said.decode() == str(list(processors.GIVEN))
