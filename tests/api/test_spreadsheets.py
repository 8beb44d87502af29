"""Every CSV that a spreadsheet may open: whatever partners call themselves, no cell is a formula."""

import csv
import io
from typing import Any

import pytest

from api.cli import balances
from api.reports import as_csv
from payouts import reconciliations
from projections.reports import voucher
from tests.api.house import House, sale

CSV = {"Accept": "text/csv"}
FORMULA = "=1+cmd|' /C calc'!A0"
PROGRAM = "@SUM(1)"


@pytest.fixture
def house_of_formulas(house: House) -> House:
    """A partner and a program are called like formulas, and so is a sale that earned something in May."""
    program_id = house.program(PROGRAM)
    house.partner(program_id, FORMULA)
    house.referred(program_id, FORMULA)
    house.post("/v1/conversions", sale(program_id, "+1", effective_at="2026-05-30T09:00:00Z"))
    house.catch_up()
    return house


def no_formula(text: str) -> list[dict[str, str]]:
    """The rows, in which nothing but whole numbers begins with a sign."""
    rows = list(csv.DictReader(io.StringIO(text)))
    cells = [cell for row in rows for cell in row.values()]
    assert rows
    assert [cell for cell in cells if cell[:1] in set("=+-@\t\r\n") - {""} and not is_whole(cell)] == []
    return rows


def is_whole(cell: str) -> bool:
    """Whether a cell is an amount."""
    return cell.removeprefix("-").isdecimal()


def test_a_statements_number_partner_and_lines(house_of_formulas: House):
    """The statement is numbered by the program's reference."""
    house = house_of_formulas
    [program] = house.get("/v1/programs").json["items"]
    assert (
        house.post(f"/v1/programs/{program['program_id']}/periods", {"period": "2026-05"}).status_code == 201
    )
    house.catch_up()
    [statement] = house.get("/v1/statements").json["items"]

    rows = no_formula(house.get(f"/v1/statements/{statement['statement_id']}?format=csv").text)

    assert {(row["number"], row["partner"]) for row in rows} == {(f"'{statement['number']}", f"'{FORMULA}")}
    assert statement["number"].startswith("@")
    assert rows[1]["external_id"] == "'+1"


@pytest.mark.parametrize("path", ["/v1/reports/trial-balance?by=partner", "/v1/journal/export?format=csv"])
def test_a_reports_and_the_journals_parties(house_of_formulas: House, path: str):
    """Amounts below zero stay numbers."""
    rows = no_formula(house_of_formulas.get(path, headers=CSV).text)

    amount = "amount_minor" if "amount_minor" in rows[0] else "balance_minor"
    assert {(row["program"], row["partner"]) for row in rows} == {(f"'{PROGRAM}", f"'{FORMULA}")}
    assert any(int(row[amount]) < 0 for row in rows)


def test_the_ids_beside_them_are_to_the_letter(house_of_formulas: House):
    """By them a machine joins the journal's lines."""
    rows = no_formula(house_of_formulas.get("/v1/journal/export?format=csv").text)
    [partner] = house_of_formulas.get("/v1/partners").json["items"]

    assert {row["partner_id"] for row in rows} == {partner["partner_id"]}


def test_a_vouchers_accounts():
    """As the mapping has them."""
    line: dict[str, Any] = dict.fromkeys(voucher.COLUMNS, "") | {"account": "=6100", "debit": "20.00"}

    [row] = no_formula(b"".join(as_csv([line], voucher.COLUMNS)).decode())

    assert (row["account"], row["debit"]) == ("'=6100", "20.00")


def test_balances_of_the_command_line():
    """The partner alone is a text of others."""
    row = dict.fromkeys(balances.COLUMNS, -5) | {"partner": FORMULA, "currency": "GBP"}

    [read] = no_formula(balances.as_csv([row]))

    assert (read["partner"], read["available"]) == (f"'{FORMULA}", "-5")


def test_a_reconciliations_reasons():
    """What a human wrote, and what the provider calls its things."""
    item: dict[str, Any] = dict.fromkeys(reconciliations.CSV_COLUMNS) | {
        "resolution": FORMULA,
        "theirs_minor": -7,
        "differs": [],
    }

    [read] = no_formula(reconciliations.as_csv([item]))

    assert (read["resolution"], read["theirs_minor"]) == (f"'{FORMULA}", "-7")
