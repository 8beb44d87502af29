"""`revshare balances`: the same rows as CSV, JSON and table, now and as they were known before."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from api.cli.balances import COLUMNS
from api.cli.demo_setup import TERMS
from ledger import ids
from ledger.commands import (
    AcceptAgreement,
    ApplyAsPartner,
    ApprovePartner,
    CreateProgram,
    PublishTerms,
    RecordReferral,
    RecordSale,
)
from ledger.desk import Desk
from ledger.engine import RewardEngine
from ledger.intake import Intake
from ledger.store.application import Ledger
from ledger.store.database import Database
from projections.runner import Runner
from tests.support.commands import invoke

SINCE = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def env(database_url, tmp_path):
    """A program with two partners; acme earned 20% of 10.03, held for 30 days that have passed."""
    ledger = Ledger(Database(database_url))
    desk = Desk(ledger)
    wish = CreateProgram(reference="shop", name="Shop", type="revenue_share", currency="GBP")
    program_id = desk.execute(wish, by="cli").id
    desk.execute(PublishTerms(program_id=program_id, terms=TERMS, effective_at=SINCE), by="cli")
    for name in ("zeta", "acme"):
        partner_id = desk.execute(ApplyAsPartner(reference=name, name=name), by="cli").id
        desk.execute(ApprovePartner(partner_id=partner_id), by="cli")
        accepted = AcceptAgreement(
            program_id=program_id, partner_id=partner_id, terms_version=1, accepted_by="x", effective_at=SINCE
        )
        desk.execute(accepted, by="cli")
    referral = RecordReferral(program_id=program_id, customer="c1", partner="acme", effective_at=SINCE)
    desk.execute(referral, by="cli")
    sale = RecordSale(
        program_id=program_id,
        source="shop",
        external_id="1",
        customer="c1",
        amount_minor=1003,
        currency="GBP",
        effective_at=SINCE + timedelta(days=1),
    )
    assert [result.status for result in Intake(ledger).record([sale], by="cli")] == ["new"]
    RewardEngine(ledger).drain()
    Runner(ledger).catch_up()
    ledger.close()
    return {"DATABASE_URL": database_url, "VAR_DIR": str(tmp_path / "var")}


EXPECTED = [
    ["acme", "GBP", 201, 0, 201, 0, 0, 0],
    ["zeta", "GBP", 0, 0, 0, 0, 0, 0],
]


def test_csv_and_json_hold_the_same_rows(env):
    """A row a partner, sorted; whoever earned nothing yet is there with zeros."""
    as_csv = invoke(env, "balances", "--program", "shop", "--format", "csv")
    as_json = invoke(env, "balances", "--program", str(ids.program_id("shop")), "--format", "json")

    read = list(csv.reader(io.StringIO(as_csv.stdout)))
    assert read[0] == list(COLUMNS)
    assert [[*row[:2], *map(int, row[2:])] for row in read[1:]] == EXPECTED
    assert [[row[name] for name in COLUMNS] for row in json.loads(as_json.stdout)] == EXPECTED


def test_the_table_is_for_people(env):
    """The default."""
    done = invoke(env, "balances", "--program", "shop")

    assert done.exit_code == 0
    assert "in transit" in done.stdout
    assert "│ acme" in done.stdout


def test_balances_as_they_were_known_before(env):
    """Before anything was recorded there was nothing; in the future there is all of it."""
    before = invoke(
        env, "balances", "--program", "shop", "--format", "json", "--as-of", "2025-06-01T00:00:00Z"
    )
    after = invoke(
        env, "balances", "--program", "shop", "--format", "json", "--as-of", "2999-01-01T00:00+01:00"
    )

    assert {row["earned"] for row in json.loads(before.stdout)} == {0}
    assert [[row[name] for name in COLUMNS] for row in json.loads(after.stdout)] == EXPECTED


def test_balances_of_what_was_true_then(env):
    """The sale of the second of January is told today: true in June, known only now."""
    shown = ("balances", "--program", "shop", "--format", "json")
    true = invoke(env, *shown, "--effective-as-of", "2025-06-01T00:00:00Z")
    early = invoke(env, *shown, "--effective-as-of", "2025-01-01T12:00:00Z")
    unknown = invoke(env, *shown, "--recorded-as-of", "2025-06-01T00:00:00Z")

    assert [[row[name] for name in COLUMNS] for row in json.loads(true.stdout)] == EXPECTED
    assert {row["earned"] for row in json.loads(early.stdout)} == {0}
    assert {row["earned"] for row in json.loads(unknown.stdout)} == {0}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--program", "nobody"), "no program"),
        (("--program", "shop", "--as-of", "2025-06-01T00:00:00"), "zone"),
        (("--program", "shop", "--as-of", "yesterday"), "RFC 3339"),
        (("--program", "shop", "--effective-as-of", "yesterday"), "--effective-as-of yesterday"),
    ],
)
def test_what_cannot_be_shown_is_said(env, arguments, said):
    """And nothing goes to standard output."""
    done = invoke(env, "balances", *arguments)

    assert done.exit_code in (1, 2)
    assert said in done.stderr
    assert done.stdout == ""
