"""Months are closed and statements read through the front door, by finance and by their partners."""

import csv
import io
from uuid import UUID

import msgspec
import openpyxl  # type: ignore[import-untyped]
import pytest
from babel import Locale

from api.schemas.statements import StatementSchema
from api.statement_files import pdf
from api.statement_files.pdf import to_pdf
from api.statement_files.workbook import to_xlsx
from ledger.audit.revshare_verify import parse_key, verify
from projections.audit_log import Sequencer
from projections.checkpoints import CheckpointMaker
from projections.statement import Statement
from tests.api.house import House, problem, sale

MAY = "2026-05"


class Shop:
    """A program with two partners, of which one earned in May."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.program = house.program()
        self.partner, self.other = house.partner(self.program), house.partner(self.program, "shade")
        house.referred(self.program)
        house.post("/v1/conversions", sale(self.program, "=1", effective_at="2026-05-30T09:00:00Z"))
        house.catch_up()

    def close(self, period: str = MAY, **options):
        """Close a month."""
        return self.house.post(f"/v1/programs/{self.program}/periods", {"period": period}, **options)

    def closed(self) -> str:
        """Close May: the id of its one statement."""
        assert self.close().status_code == 201
        self.house.catch_up()
        (row,) = self.house.get("/v1/statements").json["items"]
        return str(row["statement_id"])

    def seal(self) -> None:
        """Seal all there is."""
        Sequencer(self.house.ledger).catch_up()
        CheckpointMaker(self.house.ledger, self.house.signer).step(now_wanted=True)


@pytest.fixture
def shop(house: House) -> Shop:
    """The shop before anything was closed."""
    return Shop(house)


def test_finance_closes_a_month_and_its_statements_are_issued(shop: Shop):
    """201 and then 200, with the same totals; June is not over, April was before all."""
    house = shop.house
    first = shop.close()
    house.catch_up()
    again = shop.close()

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json["totals"] == again.json["totals"] != []
    assert (first.json["statements_issued"], first.json["statements_complete"]) == (1, True)
    assert again.json["statements_issued"] == 0
    listed = house.get(f"/v1/programs/{shop.program}/periods").json["items"]
    assert [(each["period"], each["statements"]) for each in listed] == [(MAY, 1)]
    assert house.get(first.headers["location"]).json == listed[0]
    assert listed[0]["closed_by"].startswith("key:")
    assert problem(shop.close("2026-06")) == (409, "period-not-over")
    assert problem(shop.close("2026-08")) == (409, "earlier-period-open")
    assert problem(shop.close("2026-04")) == (422, "invalid-field")
    assert problem(shop.close("May")) == (422, "invalid-field")
    for never in ("2026-06", "%00", "9999-12"):
        assert problem(house.get(f"/v1/programs/{shop.program}/periods/{never}")) == (404, "not-found")


def test_a_closing_that_takes_too_long_goes_on_when_it_is_sent_again(shop: Shop, monkeypatch):
    """It says so; the month is closed all the same."""
    monkeypatch.setattr("api.resources.statements.ISSUE_S_MAX", 0.0)
    begun = shop.close()
    monkeypatch.undo()
    done = shop.close()

    assert (begun.status_code, begun.json["statements_complete"], begun.json["statements_issued"]) == (
        201,
        False,
        0,
    )
    assert (done.status_code, done.json["statements_complete"], done.json["statements_issued"]) == (
        200,
        True,
        1,
    )


def test_a_month_with_something_unseen_is_refused_for_now(shop: Shop, monkeypatch):
    """503, and when to come again."""
    monkeypatch.setattr("api.resources.statements.WAIT_S", 0)
    house = shop.house
    house.post("/v1/conversions", sale(shop.program, "2", effective_at="2026-05-30T09:00:00Z"))

    refused = shop.close()

    assert problem(refused) == (503, "views-behind")
    assert refused.headers["retry-after"] == "1"


def test_a_statement_is_read_in_each_format(shop: Shop):
    """JSON by its schema, CSV with a row for each balance and line; by `format` or by Accept."""
    house, statement_id = shop.house, shop.closed()
    shop.seal()
    path = f"/v1/statements/{statement_id}"

    answer = house.get(path)
    as_csv, accepted = house.get(f"{path}?format=csv"), house.get(path, headers={"Accept": "text/csv"})

    told = answer.json
    assert StatementSchema().validate(told) == {}
    statement = msgspec.convert(told, Statement)
    assert (statement.number, statement.version, statement.period.period) == ("acme-000001", 1, MAY)
    assert statement.partner.partner_id == UUID(shop.partner)
    assert statement.checkpoint is not None
    assert [line.external_id for line in statement.lines] == ["=1", "=1"]
    assert (as_csv.headers["content-type"], accepted.text) == ("text/csv", as_csv.text)
    rows = list(csv.DictReader(io.StringIO(as_csv.text)))
    assert [row["row"] for row in rows] == ["opening", "reward_accrued", "reward_matured", "closing"]
    assert rows[1]["external_id"] == "'=1"  # no spreadsheet takes it for a formula
    assert rows[-1]["available_minor"] == str(statement.closing.available_minor) != "0"
    assert problem(house.get(f"{path}?format=doc")) == (400, "invalid-query")
    assert house.get(path, headers={"Accept": "image/png"}).headers["content-type"] == "application/json"
    assert answer.headers["etag"] != as_csv.headers["etag"]


def test_a_long_statement_is_the_same_in_pieces(house: House, monkeypatch):
    """What is streamed says what is sent at once."""
    shop = Shop(house)
    statement_id = shop.closed()
    whole = [house.get(f"/v1/statements/{statement_id}?format={each}").content for each in ("json", "csv")]
    monkeypatch.setattr("api.resources.statements.CHUNK_LINES", 0)
    monkeypatch.setattr("api.statement_formats.CHUNK_LINES", 1)
    monkeypatch.setattr("projections.statements.deriving.PIECE_LINES", 1)

    pieces = [house.get(f"/v1/statements/{statement_id}?format={each}").content for each in ("json", "csv")]

    assert pieces == whole


def test_a_partner_reads_its_own_statements_alone(shop: Shop):
    """Another's are not there; months are finance's."""
    house, statement_id = shop.house, shop.closed()
    shop.seal()
    mine = house.key("partner:read", partner_id=UUID(shop.partner))
    theirs = house.key("partner:read", partner_id=UUID(shop.other))
    of_month = f"program_id={shop.program}&period=2026-06"

    assert len(house.get("/v1/statements", mine).json["items"]) == 1
    assert house.get("/v1/statements", theirs).json["items"] == []
    for path in ("", "/proof"):
        assert house.get(f"/v1/statements/{statement_id}{path}", mine).status_code == 200
        assert problem(house.get(f"/v1/statements/{statement_id}{path}", theirs)) == (404, "not-found")
    preview = f"/v1/partners/{shop.partner}/statement-preview?{of_month}"
    assert house.get(preview, mine).status_code == 200
    assert problem(house.get(preview, theirs)) == (404, "not-found")
    assert problem(shop.close(key=mine)) == (403, "forbidden")
    assert problem(house.post(f"/v1/statements/{statement_id}/correct", {"reason": "x"}, mine))[0] == 403
    assert problem(house.get(f"/v1/programs/{shop.program}/periods", mine))[0] == 403


def test_lists_ask_by_program_period_currency_and_time(shop: Shop):
    """And by when they were issued; one alone is not there before its issue, and the same bytes after it."""
    house = shop.house
    statement = f"/v1/statements/{shop.closed()}"

    def count(query: str) -> int:
        return len(house.get(f"/v1/statements?{query}").json["items"])

    assert count(f"program_id={shop.program}&period={MAY}&currency=GBP&partner_id={shop.partner}") == 1
    assert count("period=2026-04") == count("currency=EUR") == count(f"partner_id={shop.other}") == 0
    before, then = "2026-06-01T11:59:59Z", "2026-06-01T12:00:00Z"
    for time in ("effective_as_of", "recorded_as_of"):
        assert count(f"{time}={before}") == 0
        assert count(f"{time}={then}") == 1
        assert problem(house.get(f"{statement}?{time}={before}")) == (404, "not-found")
        assert house.get(f"{statement}?{time}={then}").content == house.get(statement).content
        assert problem(house.get(f"{statement}?{time}=soon")) == (400, "invalid-query")
    assert count(f"effective_as_of={before}&recorded_as_of={then}") == 0
    assert count(f"effective_as_of={then}&recorded_as_of={then}") == 1


def test_a_preview_says_that_it_is_one(shop: Shop):
    """A closed month has statements instead."""
    house = shop.house
    path = f"/v1/partners/{shop.partner}/statement-preview?program_id={shop.program}&period="

    open_month = house.get(path + MAY)
    shop.close()

    assert (open_month.json["number"], open_month.json["version"]) == ("preview", 0)
    assert open_month.json["content_sha256"] is open_month.json["checkpoint"] is None
    assert open_month.json["closing"]["available_minor"] > 0
    assert house.get(f"{path}{MAY}&format=csv").status_code in (200, 422)
    assert problem(house.get(path + MAY)) == (422, "invalid-field")
    assert problem(house.get(path + "9999-12")) == (422, "invalid-field")


def test_a_preview_is_told_as_it_was(shop: Shop):
    """By what was known then, of a month that was closed since, too; by what was true, but not before it."""
    house = shop.house
    path = f"/v1/partners/{shop.partner}/statement-preview?program_id={shop.program}&period={MAY}"
    open_month = house.get(path).content
    known = house.clock().isoformat().replace("+00:00", "Z")
    house.clock.forward(seconds=1)
    shop.close()

    as_known = house.get(f"{path}&recorded_as_of={known}")
    unknown = house.get(f"{path}&recorded_as_of=2026-04-01T00:00:00Z").json
    at_first = house.get(f"{path}&recorded_as_of={known}&effective_as_of=2026-05-01T00:00:00Z").json

    assert as_known.content == open_month
    assert unknown["lines"] == at_first["lines"] == []
    assert as_known.json["lines"] != []
    early = house.get(f"{path}&recorded_as_of={known}&effective_as_of=2026-04-30T23:59:59Z")
    assert problem(early) == (422, "invalid-field")
    assert "/effective_as_of" in early.text
    assert problem(house.get(f"{path}&recorded_as_of=yesterday")) == (400, "invalid-query")


def test_a_correction_that_would_change_nothing_is_refused(shop: Shop):
    """With its reason and name."""
    statement_id = shop.closed()

    refused = shop.house.post(f"/v1/statements/{statement_id}/correct", {"reason": "Just so"})

    assert problem(refused) == (409, "nothing-to-correct")


def test_a_statement_comes_with_proofs_once_it_is_sealed(shop: Shop):
    """The single-file verifier says yes to what the door gives."""
    house, statement_id = shop.house, shop.closed()
    unsealed = house.get(f"/v1/statements/{statement_id}/proof")
    shop.seal()

    export = house.get(f"/v1/statements/{statement_id}/proof")

    assert problem(unsealed) == (409, "not-sealed")
    assert export.headers["content-type"] == "application/x-ndjson"
    key = parse_key(house.get("/v1/audit/key").json["verifier_key"])
    result = verify(io.BytesIO(export.content), key)
    assert result.facts == 5  # two lines, the closing, the issue, what the partner applied with
    shop.seal()
    assert house.get(f"/v1/statements/{statement_id}/proof").content == export.content
    mine = house.key("partner:read", partner_id=UUID(shop.partner))
    assert house.get(f"/v1/statements/{statement_id}/proof", mine).content == export.content


XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def test_a_statement_is_a_pdf_and_a_workbook_in_the_partners_language(shop: Shop):
    """By `format` or Accept, under the statement's number; `locale` names another language for once."""
    house = shop.house
    house.post(f"/v1/partners/{shop.partner}/locale", {"locale": "de-AT"})
    house.catch_up()
    path = f"/v1/statements/{shop.closed()}"
    shop.seal()

    pdf, again = house.get(f"{path}?format=pdf"), house.get(path, headers={"Accept": "application/pdf"})
    xlsx, french = house.get(path, headers={"Accept": XLSX}), house.get(f"{path}?format=xlsx&locale=fr")

    statement = msgspec.convert(house.get(path).json, Statement)
    assert statement.partner.locale == house.get(f"/v1/partners/{shop.partner}").json["locale"] == "de-AT"
    assert pdf.headers["content-type"] == "application/pdf"
    assert 'filename="acme-000001.pdf"' in pdf.headers["content-disposition"]
    assert "Accept-Language" in pdf.headers["vary"]
    assert pdf.content == again.content == to_pdf(statement, Locale("de", "AT"))
    assert (xlsx.headers["content-type"], xlsx.content) == (XLSX, to_xlsx(statement, Locale("de", "AT")))
    assert french.content == to_xlsx(statement, Locale("fr"))
    assert problem(house.get(f"{path}?format=pdf&locale=sv")) == (400, "invalid-query")


def test_without_a_language_of_its_own_a_partner_gets_what_the_caller_accepts(shop: Shop):
    """A preview, too, under the month's name; and what is too long says what to ask for."""
    house = shop.house
    preview = f"/v1/partners/{shop.partner}/statement-preview?program_id={shop.program}&period={MAY}"

    made = house.get(f"{preview}&format=xlsx", headers={"Accept-Language": "sv, es;q=0.7"})

    assert openpyxl.load_workbook(io.BytesIO(made.content)).worksheets[0]["A1"].value == "Liquidación"
    assert 'filename="preview-acme-brightside-2026-05.xlsx"' in made.headers["content-disposition"]


def test_a_statement_too_long_for_a_pdf_says_what_to_ask_for(shop: Shop, monkeypatch):
    """422, and nothing half written."""
    monkeypatch.setattr("api.statement_files.pdf.LINES_MAX", 1)

    refused = shop.house.get(f"/v1/statements/{shop.closed()}?format=pdf")

    assert problem(refused) == (422, "statement-too-long")
    assert "xlsx" in refused.json["detail"]
    assert "content-disposition" not in refused.headers, "no file to save"


def test_a_typesetter_that_fails_leaves_no_file_to_save(shop: Shop, monkeypatch, tmp_path):
    """500, as a problem."""
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('no fonts today')")
    monkeypatch.setattr("api.statement_files.pdf.TYPESETTER", broken)

    failed = shop.house.get(f"/v1/statements/{shop.closed()}?format=pdf")

    assert problem(failed) == (500, "internal-error")
    assert "content-disposition" not in failed.headers


def test_a_pdf_whose_turn_does_not_come_is_refused_for_now(shop: Shop, monkeypatch):
    """503, when to come again, and no file; other formats wait for nobody."""
    monkeypatch.setattr(pdf, "WAIT_S", 0.01)
    path = f"/v1/statements/{shop.closed()}?format="

    with pdf._our_turn():
        refused, workbook = shop.house.get(f"{path}pdf"), shop.house.get(f"{path}xlsx")
    made = shop.house.get(f"{path}pdf")

    assert problem(refused) == (503, "typesetter-busy")
    assert refused.headers["retry-after"] == "5"
    assert "content-disposition" not in refused.headers
    assert (workbook.status_code, made.status_code) == (200, 200)
