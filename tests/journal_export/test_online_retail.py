"""The real data: a year of invoices and refunds. Exports pass both tools; sums are those of plain SQL."""

import csv
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.cli.demo_setup import TERMS
from ledger import ids
from ledger.commands import (
    AcceptAgreement,
    ApplyAsPartner,
    ApprovePartner,
    CreateProgram,
    PublishTerms,
    RecordReferral,
    RecordRefund,
    RecordSale,
)
from ledger.desk import Desk
from ledger.engine import RewardEngine
from ledger.intake import Intake
from ledger.month import Month
from ledger.referral_intake import ReferralIntake
from ledger.store.application import Ledger
from ledger.store.database import Database
from projections.journal_export.formats import FORMATS, Name
from projections.journal_export.selection import Selection
from projections.months import zones_of
from projections.reports.ageing import ageing
from projections.reports.calendars import of_zones
from projections.reports.roll_forward import roll_forward
from projections.reports.scope import Scope
from projections.reports.trial_balance import trial_balance
from projections.runner import Runner
from tests.support import ledger_tools
from tests.support.databases import postgresql_database, sqlite_copy

DATA = Path(__file__).resolve().parents[1] / "data" / "online_retail"
PROGRAM = ids.program_id("online-retail")
FIRST, LAST = Month(2010, 12), Month(2012, 1)
# 20% of each invoice, rounded half up, in the month of the invoice; and of what is left of it in the end.
ACCRUED = """
SELECT partner, substr(invoices.occurred_at, 1, 7), sum((2 * invoices.amount_minor + 5) / 10)
FROM invoices JOIN referrals ON referrals.customer = invoices.customer GROUP BY 1, 2
"""
EARNED = """
SELECT partner, sum((2 * (invoices.amount_minor - coalesce(refunded, 0)) + 5) / 10)
FROM invoices JOIN referrals ON referrals.customer = invoices.customer
LEFT JOIN (SELECT invoice_id, sum(amount_minor) AS refunded FROM refunds GROUP BY invoice_id) AS given_back
       ON given_back.invoice_id = invoices.invoice_id
GROUP BY partner
"""


def rows_of(name: str) -> list[dict[str, str]]:
    """The rows of a file."""
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def sql() -> Iterator[sqlite3.Connection]:
    """The CSV files as tables."""
    connection = sqlite3.connect(":memory:")
    for name in ("invoices", "refunds", "referrals"):
        rows = rows_of(name)
        columns = ", ".join(f"{c} INTEGER" if c == "amount_minor" else f"{c} TEXT" for c in rows[0])
        connection.execute(f"CREATE TABLE {name} ({columns})")
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO {name} VALUES ({marks})", [list(row.values()) for row in rows])
    yield connection
    connection.close()


def told(ledger: Ledger) -> Ledger:
    """A ledger in which all of it has happened, and has matured; nobody was paid."""
    desk = Desk(ledger)
    wish = CreateProgram(
        reference="online-retail", name="Online Retail", type="revenue_share", currency="GBP"
    )
    assert desk.execute(wish, by="cli").id == PROGRAM
    since = "2010-01-01T00:00:00Z"
    desk.execute(_made(PublishTerms, program_id=PROGRAM, terms=TERMS, effective_at=since), by="cli")
    referrals = rows_of("referrals")
    for name in sorted({row["partner"] for row in referrals}):
        partner_id = desk.execute(ApplyAsPartner(reference=name, name=f'"{name}"; Ltd'), by="cli").id
        desk.execute(ApprovePartner(partner_id=partner_id), by="cli")
        agreed = {"partner_id": partner_id, "terms_version": 1, "accepted_by": "x", "effective_at": since}
        desk.execute(_made(AcceptAgreement, program_id=PROGRAM, **agreed), by="cli")
    brought = [
        _made(
            RecordReferral,
            program_id=PROGRAM,
            customer=row["customer"],
            partner=row["partner"],
            effective_at=row["registered_at"],
        )
        for row in referrals
    ]
    assert {result.status for result in ReferralIntake(desk).record(brought, by="cli")} == {"new"}
    items = [*map(_sale, rows_of("invoices")), *map(_refund, rows_of("refunds"))]
    assert {result.status for result in Intake(ledger).record(items, by="cli")} == {"new"}
    RewardEngine(ledger).drain()
    Runner(ledger).catch_up()
    return ledger


def _made(kind: Any, **fields: Any) -> Any:
    tag = kind.__struct_config__.tag
    return msgspec.convert({**fields, **({} if tag is None else {"kind": tag})}, kind, strict=False)


def _sale(row: dict[str, str]) -> Any:
    return _made(
        RecordSale,
        program_id=PROGRAM,
        source="shop",
        external_id=row["invoice_id"],
        customer=row["customer"],
        effective_at=row["occurred_at"],
        amount_minor=int(row["amount_minor"]),
        currency=row["currency"],
    )


def _refund(row: dict[str, str]) -> Any:
    return _made(
        RecordRefund,
        program_id=PROGRAM,
        source="shop",
        external_id=row["invoice_id"],
        refund_id=row["refund_id"],
        effective_at=row["occurred_at"],
        amount_minor=int(row["amount_minor"]),
        currency=row["currency"],
    )


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def retail(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """One database of each kind for all tests: they only read."""
    if request.param == "sqlite":
        folder = request.getfixturevalue("tmp_path_factory").mktemp("retail")
        made = told(Ledger(Database(sqlite_copy(request.getfixturevalue("migrated_sqlite"), folder))))
        yield made
        made.close()
        return
    template = request.getfixturevalue("migrated_postgresql")
    with postgresql_database(request.getfixturevalue("postgres_url"), template=template) as url:
        made = told(Ledger(Database(url)))
        yield made
        made.close()


def exported(ledger: Ledger, name: Name, folder: Path, *months: Month) -> Path:
    """A file of the journal."""
    file = folder / f"journal.{FORMATS[name].ending}"
    selection = Selection(ledger, Scope(), *months)
    file.write_bytes(b"".join(FORMATS[name].write(selection, lambda _done, _total: None)))
    return file


def test_bean_check_accepts_the_year_and_a_quarter(retail, tmp_path):
    """Eleven thousand facts and forty partners; assertions at the end of each month of each account."""
    whole = exported(retail, "beancount", tmp_path)
    assert ledger_tools.bean_check(whole) == ""
    assert whole.read_text().count(" balance ") > 40 * 13

    assert (
        ledger_tools.bean_check(exported(retail, "beancount", tmp_path, Month(2011, 4), Month(2011, 6))) == ""
    )


@pytest.mark.hledger
def test_hledger_accepts_the_year(retail, tmp_path, sql):
    """And its own balance report of what can be paid is what plain SQL says that was earned."""
    file = exported(retail, "hledger", tmp_path)
    assert ledger_tools.hledger_check(file) == ""
    payable = "Liabilities:CommissionPayable"
    report = ledger_tools.hledger(file, "balance", payable, "--flat", "-O", "csv").stdout
    found = {
        row["account"].rpartition(":")[2].lower(): int(row["balance"].split(" ")[0].replace(".", ""))
        for row in csv.DictReader(report.splitlines())
        if row["account"].startswith(payable)
    }
    assert {partner: -minor for partner, minor in found.items()} == dict(sql.execute(EARNED).fetchall())


def test_reports_and_lines_are_what_plain_sql_says(retail, tmp_path, sql):
    """Accrued by partner and month; owed in the end, by each of them."""
    earned = dict(sql.execute(EARNED).fetchall())
    accrued = {(partner, month): minor for partner, month, minor in sql.execute(ACCRUED)}
    zones = zones_of(retail)
    with retail.database.read() as connection:
        rolled = list(roll_forward(connection, Scope(), FIRST, LAST, of_zones(zones), balances=["owed"]))
        balances = list(trial_balance(connection, Scope(), "partner"))
        aged = list(ageing(connection, Scope(), zones, retail.clock()))
    with exported(retail, "csv", tmp_path).open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))

    found = {(row["partner"], row["period"]): row["accrued_minor"] for row in rolled if row["accrued_minor"]}
    assert found == accrued
    assert {row["partner"]: row["closing_minor"] for row in rolled if row["period"] == str(LAST)} == earned
    in_the_balance = {
        row["partner"]: -row["balance_minor"] for row in balances if row["account"] == "commission_payable"
    }
    assert in_the_balance == earned
    assert {row["partner"]: row["days_over_90_minor"] for row in aged} == earned
    of_lines = dict.fromkeys(earned, 0)
    for line in lines:
        if line["account"] == "commission_expense":
            of_lines[line["partner"]] += int(line["amount_minor"])
    assert of_lines == earned
