"""Finance's reports through the door: the same rows as JSON and as CSV, and what a query may ask."""

import csv
import io
import sys

import pyarrow.parquet as pq
import pytest

from projections.journal_export.formats import FORMATS
from tests.api.house import House, pointers, problem, sale
from tests.support.ledger_tools import bean_check

CSV = {"Accept": "text/csv"}


@pytest.fixture
def earned(house: House) -> House:
    """One partner earned 20% of 100.00 GBP, which has matured."""
    program_id = house.program()
    house.partner(program_id)
    house.referred(program_id)
    assert house.post("/v1/conversions", sale(program_id, amount_minor=10_000)).status_code == 201
    house.clock.forward(days=1)
    house.catch_up()
    return house


def read(text: str) -> list[dict[str, str]]:
    """The rows of a CSV answer."""
    return list(csv.DictReader(io.StringIO(text)))


def test_the_trial_balance_of_a_matured_reward(earned):
    """Expense against payable; the reward went through accrued, which is zero again."""
    answer = earned.get("/v1/reports/trial-balance")
    as_csv = earned.get("/v1/reports/trial-balance", headers=CSV)

    rows = answer.json["items"]
    assert {
        row["account"]: (row["debit_minor"], row["credit_minor"], row["balance_minor"]) for row in rows
    } == {
        "commission_expense": (2_000, 0, 2_000),
        "commission_accrued": (2_000, 2_000, 0),
        "commission_payable": (0, 2_000, -2_000),
    }
    assert as_csv.headers["content-type"] == "text/csv"
    assert [{**row, "program_id": "", "program": "", "partner_id": "", "partner": ""} for row in rows] == [
        {name: int(value) if name.endswith("_minor") else value for name, value in row.items()}
        for row in read(as_csv.text)
    ]


def test_a_report_names_program_and_partner_and_is_of_what_is_asked_for(earned):
    """By partner; of a partner that has nothing; as it was before anything happened."""
    [program] = earned.get("/v1/programs").json["items"]
    [partner] = earned.get("/v1/partners").json["items"]

    def asked(query: str) -> list[dict[str, object]]:
        return list(earned.get("/v1/reports/trial-balance", query_string=query).json["items"])

    assert {(row["program"], row["partner"]) for row in asked("by=partner")} == {("acme", "brightside")}
    assert {(row["program"], row["partner"]) for row in asked("by=program")} == {("acme", None)}
    assert len(asked(f"partner_id={partner['partner_id']}&program_id={program['program_id']}")) == 3
    assert asked("partner_id=00000000-0000-0000-0000-000000000001") == []
    assert asked("currency=EUR") == []
    assert asked("effective_as_of=2026-01-01T00:00:00Z") == []
    assert asked("recorded_as_of=2026-01-01T00:00:00Z") == []


def test_the_roll_forward_of_a_matured_reward(earned):
    """May: nothing, then the reward, accrued and matured; June begins with it."""
    rows = earned.get("/v1/reports/roll-forward", query_string="from=2026-05&to=2026-06").json["items"]
    as_csv = earned.get(
        "/v1/reports/roll-forward", query_string="from=2026-05&to=2026-06&balance=owed", headers=CSV
    )

    told = {
        (row["period"], row["balance"]): {
            name.removesuffix("_minor"): amount
            for name, amount in row.items()
            if name.endswith("_minor") and amount
        }
        for row in rows
    }
    assert told == {
        ("2026-05", "owed"): {"accrued": 2_000, "closing": 2_000},
        ("2026-05", "accrued"): {"accrued": 2_000, "matured": -2_000},
        ("2026-05", "payable"): {"matured": 2_000, "closing": 2_000},
        ("2026-06", "owed"): {"opening": 2_000, "closing": 2_000},
        ("2026-06", "payable"): {"opening": 2_000, "closing": 2_000},
    }
    assert [(row["period"], row["partner"], row["closing_minor"]) for row in read(as_csv.text)] == [
        ("2026-05", "brightside", "2000"),
        ("2026-06", "brightside", "2000"),
    ]


def test_a_month_begins_in_the_program_s_time_zone(earned):
    """31 May, 11:00 UTC, is the first of June in Kiritimati."""
    [program] = earned.get("/v1/programs").json["items"]
    late = sale(program["program_id"], "INV-2", effective_at="2026-05-31T11:00:00Z")
    assert earned.post("/v1/conversions", late).status_code == 201
    earned.catch_up()

    def accrued() -> dict[str, int]:
        query = "from=2026-05&to=2026-06&balance=owed"
        rows = earned.get("/v1/reports/roll-forward", query_string=query).json["items"]
        return {row["period"]: row["accrued_minor"] for row in rows}

    assert accrued() == {"2026-05": 4_000, "2026-06": 0}
    calendar = {"every": "month", "day": 31, "time_zone": "Pacific/Kiritimati", "hour": 6}
    settings = {"schedule": calendar}
    changed = earned.post(f"/v1/programs/{program['program_id']}/payout-settings", settings)
    assert changed.status_code in (200, 201), changed.text
    earned.catch_up()
    assert accrued() == {"2026-05": 2_000, "2026-06": 2_000}


def test_a_closed_month_is_what_was_closed(earned):
    """A sale of May that is told after its closing is June's, as JSON and as CSV; by its date it is May's."""
    [program] = earned.get("/v1/programs").json["items"]
    earned.clock.forward(days=3)
    closed = earned.post(f"/v1/programs/{program['program_id']}/periods", {"period": "2026-05"})
    assert closed.status_code == 201, closed.text
    late = sale(program["program_id"], "INV-2", effective_at="2026-05-30T11:00:00Z")
    assert earned.post("/v1/conversions", late).status_code == 201
    earned.catch_up()

    def accrued(query: str = "") -> dict[str, int]:
        asked = f"from=2026-05&to=2026-06&balance=owed{query}"
        rows = earned.get("/v1/reports/roll-forward", query_string=asked).json["items"]
        as_csv = earned.get("/v1/reports/roll-forward", query_string=asked, headers=CSV)
        found = {row["period"]: row["accrued_minor"] for row in rows}
        assert found == {row["period"]: int(row["accrued_minor"]) for row in read(as_csv.text)}
        return found

    assert accrued() == accrued("&basis=books") == {"2026-05": 2_000, "2026-06": 2_000}
    assert accrued(f"&program_id={program['program_id']}") == {"2026-05": 2_000, "2026-06": 2_000}
    assert accrued("&basis=effective") == {"2026-05": 4_000, "2026-06": 0}


def test_the_ageing_of_a_payable(earned):
    """Two days old at first; a hundred days later it is over ninety."""

    def aged(query: str) -> dict[str, int]:
        [row] = earned.get("/v1/reports/ageing", query_string=query).json["items"]
        assert row["balance"] == "payable"
        assert row["partner"] == "brightside"
        return {name: amount for name, amount in row.items() if name.endswith("_minor") and amount}

    assert aged("") == {"days_0_30_minor": 2_000, "total_minor": 2_000}
    assert aged("effective_as_of=2026-06-29T23:00:00Z") == {"days_0_30_minor": 2_000, "total_minor": 2_000}
    assert aged("effective_as_of=2026-06-30T00:00:00Z") == {"days_31_60_minor": 2_000, "total_minor": 2_000}
    assert aged("effective_as_of=2026-09-01T00:00:00Z") == {"days_over_90_minor": 2_000, "total_minor": 2_000}
    [row] = read(earned.get("/v1/reports/ageing", headers=CSV).text)
    assert (row["currency"], row["days_0_30_minor"]) == ("GBP", "2000")
    for nothing in ("balance=clawback", "balance=accrued", "effective_as_of=0001-01-01T00:00:00Z"):
        assert earned.get("/v1/reports/ageing", query_string=nothing).json == {"items": []}
    assert earned.get("/v1/reports/ageing", query_string="effective_as_of=9999-12-31T23:59:59Z").json["items"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("from=2026-05", "/to"),
        ("from=2026-13&to=2026-12", "/from"),
        ("from=2026-05&to=2026-04", "/to"),
        ("from=2000-01&to=2026-12", "/to"),
        ("from=2026-05&to=2026-05&balance=shoe", "/balance"),
        ("from=2026-05&to=2026-05&basis=shoe", "/basis"),
    ],
)
def test_a_wrong_period_is_named(sqlite_house, query, pointer):
    """400, and which parameter."""
    refused = sqlite_house.get("/v1/reports/roll-forward", query_string=query)

    assert problem(refused) == (400, "invalid-query")
    assert pointers(refused) == [pointer]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("by=shoe", "/by"), ("currency=eur", "/currency"), ("effective_as_of=now", "/effective_as_of")],
)
def test_a_wrong_query_is_named(sqlite_house, query, pointer):
    """400, and which parameter."""
    refused = sqlite_house.get("/v1/reports/trial-balance", query_string=query)

    assert problem(refused) == (400, "invalid-query")
    assert pointers(refused) == [pointer]


@pytest.mark.parametrize("name", FORMATS)
def test_the_journal_is_downloaded_in_each_format(earned, tmp_path, name):
    """As a file with a name; what came before the month is an opening entry."""
    answer = earned.get("/v1/journal/export", query_string=f"format={name}&from=2026-05&to=2026-06")

    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == FORMATS[name].media_type
    assert answer.headers["content-disposition"] == f'attachment; filename="journal.{FORMATS[name].ending}"'
    file = tmp_path / "journal"
    file.write_bytes(answer.content)
    if name == "beancount":
        assert bean_check(file) == ""
    if name == "csv":
        assert [int(row["amount_minor"]) for row in read(answer.text)] == [2_000, -2_000, 2_000, -2_000]
    if name == "parquet":
        assert pq.read_table(file).num_rows == 4


def test_a_format_that_is_not_installed_is_said(sqlite_house, monkeypatch):
    """501, with what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused = sqlite_house.get("/v1/journal/export", query_string="format=parquet")

    assert problem(refused) == (501, "format-not-installed")
    assert "revshare[parquet]" in refused.json["detail"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("", "/format"), ("format=shoe", "/format"), ("format=csv&from=2026-05&to=2026-04", "/to")],
)
def test_a_wrong_export_is_named(sqlite_house, query, pointer):
    """400, and which parameter."""
    refused = sqlite_house.get("/v1/journal/export", query_string=query)

    assert problem(refused) == (400, "invalid-query")
    assert pointers(refused) == [pointer]
