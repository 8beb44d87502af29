"""Months closed and statements written by command."""

import json
from uuid import UUID

import openpyxl  # type: ignore[import-untyped]
import pytest

from ledger.audit.revshare_verify import main as verify_file
from ledger.period import ClosePeriod
from projections.statements.closing import close_period
from tests.api.house import House
from tests.api.test_statements import MAY, Shop
from tests.support.commands import invoke
from tests.support.served import served


@pytest.fixture
def shop(sqlite_database_url):
    """A program with one partner who earned in May."""
    house = House(sqlite_database_url)
    yield Shop(house), {"DATABASE_URL": sqlite_database_url}
    house.close()


def test_a_month_is_closed_and_its_statements_listed_shown_and_written(shop, tmp_path):
    """From the closing to the file that an auditor checks."""
    of, environment = shop
    with served(of.house.client.app) as address:
        asked = {**environment, "REVSHARE_URL": address, "REVSHARE_API_KEY": of.house.key("finance:approve")}
        closed = invoke(asked, "periods", "close", MAY, "--program", "acme")
        early = invoke(asked, "periods", "close", "2026-06", "--program", "acme")
    of.house.catch_up()
    proof, key = tmp_path / "statement.proof", str(of.house.signer.verifier)
    unsealed = invoke(environment, "statements", "export", "acme-000001", str(proof))
    left = list(tmp_path.glob("statement*"))
    of.seal()

    periods = invoke(environment, "periods", "list", "--program", "acme")
    listed = invoke(environment, "statements", "list", "--program", "acme", "--period", MAY)
    nobody = invoke(environment, "statements", "list", "--partner", "shade")
    before = [
        invoke(environment, "statements", "list", f"--{time}-as-of", "2026-05-31T00:00:00Z")
        for time in ("effective", "recorded")
    ]
    since = invoke(environment, "statements", "list", "--recorded-as-of", "2099-01-01T00:00:00Z")
    as_csv = invoke(environment, "statements", "show", "acme-000001")
    as_json = invoke(environment, "statements", "show", "acme-000001", "--format", "json")
    written = invoke(environment, "statements", "export", "acme-000001", str(proof))
    again = invoke(environment, "statements", "export", "acme-000001", str(proof))

    assert closed.exit_code == 0
    assert "1 statements issued" in closed.stderr
    assert "2026-05 is closed" in closed.stdout
    assert (early.exit_code, "2026-06 ends at" in early.stderr) == (1, True)
    assert (unsealed.exit_code, "no checkpoint covers" in unsealed.stderr) == (1, True)
    assert left == []
    assert MAY in periods.stdout
    assert "acme-000001" in listed.stdout
    assert "acme-000001" not in nobody.stdout
    assert [(done.exit_code, "acme-000001" in done.stdout) for done in before] == [(0, False)] * 2
    assert "acme-000001" in since.stdout
    assert as_csv.stdout.splitlines()[1].startswith("acme-000001,1,2026-05,brightside,GBP,opening")
    assert json.loads(as_json.stdout)["number"] == "acme-000001"
    assert written.exit_code == 0
    assert (again.exit_code, "is there already" in again.stderr) == (2, True)
    assert verify_file([str(proof), "--key", key]) == 0


def test_all_closed_months_are_listed(shop, monkeypatch):
    """Page by page."""
    of, environment = shop
    monkeypatch.setattr("api.cli.statements.LIMIT", 1)
    months = ("2026-03", "2026-04", MAY)
    for month in months:
        wish = ClosePeriod(program_id=UUID(str(of.program)), period=month)
        close_period(of.house.ledger, wish, by="cli", wait_s=0)
    of.house.catch_up()

    listed = invoke(environment, "periods", "list", "--program", "acme")

    assert [month for month in months if month in listed.stdout] == list(months)


def test_a_file_is_written_as_its_ending_says(shop, tmp_path):
    """A PDF and a workbook in the language that is asked for."""
    of, environment = shop
    of.closed()
    pdf, xlsx = tmp_path / "may.pdf", tmp_path / "may.xlsx"

    written = [
        invoke(environment, "statements", "export", "acme-000001", str(file), "--locale", "nl")
        for file in (pdf, xlsx)
    ]
    no_language = (str(tmp_path / "x.pdf"), "--locale", "sv")
    wrong = invoke(environment, "statements", "export", "acme-000001", *no_language)

    assert [done.exit_code for done in written] == [0, 0]
    assert pdf.read_bytes().startswith(b"%PDF-1.7")
    assert openpyxl.load_workbook(xlsx).sheetnames[0] == "Overzicht"
    assert (wrong.exit_code, "en, es, fr" in wrong.stderr) == (1, True)
    assert not (tmp_path / "x.pdf").exists()


def test_a_month_that_is_none_is_refused_by_its_option(shop):
    _, environment = shop

    refused = invoke(environment, "statements", "list", "--period", "May")

    assert (refused.exit_code, "--period May: must be a month" in refused.stderr) == (2, True)


def test_a_file_in_a_folder_that_is_not_there_is_refused_by_name(shop, tmp_path):
    of, environment = shop
    of.closed()

    refused = invoke(environment, "statements", "export", "acme-000001", str(tmp_path / "none" / "a.csv"))

    assert (refused.exit_code, "none/a.csv" in refused.stderr) == (2, True)


def test_a_statement_that_is_not_there(shop):
    """By number or id."""
    _, environment = shop
    for which in ("acme-000009", "00000000-0000-0000-0000-000000000001"):
        shown = invoke(environment, "statements", "show", which)
        assert (shown.exit_code, "no statement has" in shown.stderr) == (1, True)
