"""`revshare journal export` and `reports voucher`: files that are whole, and mistakes that are named."""

import csv
import io
import sys
from datetime import timedelta

import pyarrow.parquet as pq
import pytest

from ledger import ids
from ledger.commands import RecordSale
from ledger.engine import RewardEngine
from ledger.intake import Intake
from ledger.period import ClosePeriod
from ledger.store.application import Ledger
from ledger.store.database import Database
from projections.journal_export.formats import NAMES
from projections.runner import Runner
from projections.statements.closing import close_period
from tests.cli.test_balances import SINCE, env
from tests.support import ledger_tools
from tests.support.commands import invoke

__all__ = ["env"]
MAPPING = """
default = "9999"
[accounts]
commission_expense = "6100"
commission_accrued = "2310"
commission_payable = "2320"
[programs.shop]
commission_expense = "6150"
"""


@pytest.mark.parametrize("name", NAMES)
def test_the_journal_is_written_whole(env, tmp_path, name):
    """In each format; bean-check accepts its own."""
    file = tmp_path / "journal"
    done = invoke(
        env, "journal", "export", "--format", name, "--from", "2025-02", "--program", "shop", str(file)
    )

    assert done.exit_code == 0, done.stderr
    assert "the journal is in" in done.stderr
    assert sorted(tmp_path.glob("journal*")) == [file]
    if name == "beancount":
        assert ledger_tools.bean_check(file) == ""
    if name in ("hledger", "beancount"):
        assert "Opening balances" in file.read_text()
    if name == "parquet":
        assert pq.read_table(file)["amount_minor"].to_pylist() == [201, -201]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--format", "shoe", "FILE"), "--format shoe"),
        (("--format", "csv", "--from", "2025-02", "--to", "2025-01", "FILE"), "before the first"),
        (("--format", "csv", "--from", "soon", "FILE"), "--from soon"),
        (("--format", "csv", "--program", "nobody", "--currency", "shoe", "FILE"), "--currency shoe"),
        (("--format", "csv", "THERE"), "is there already"),
        (("--format", "csv", "NOWHERE"), "No such file"),
    ],
)
def test_a_wrong_wish_is_named_and_leaves_nothing(env, tmp_path, arguments, said):
    """And a file that was there stays as it was."""
    there = tmp_path / "there"
    there.write_text("mine")
    places = {"FILE": tmp_path / "new", "THERE": there, "NOWHERE": tmp_path / "no" / "new"}
    done = invoke(env, "journal", "export", *(str(places.get(word, word)) for word in arguments))

    assert done.exit_code == 2
    assert said in done.stderr.replace("\n", " ")
    assert there.read_text() == "mine"
    assert not (tmp_path / "new").exists()


def test_parquet_without_pyarrow_says_what_to_install(env, tmp_path, monkeypatch):
    """It is an extra; nothing is left behind."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = invoke(env, "journal", "export", "--format", "parquet", str(tmp_path / "new"))

    assert done.exit_code == 1
    assert "revshare[parquet]" in done.stderr
    assert list(tmp_path.glob("new*")) == []


def test_a_month_as_a_voucher(env, tmp_path):
    """February: held becomes payable; January: expense against held. Each entry balances."""
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(MAPPING)
    done = invoke(
        env, "reports", "voucher", "--mapping", str(mapping), "--from", "2025-01", "--to", "2025-03"
    )

    assert done.exit_code == 0, done.stderr
    assert [tuple(row.values()) for row in csv.DictReader(io.StringIO(done.stdout))] == [
        ("2025-01-31", "2310", "", "2.01", "GBP", "commission_accrued 2025-01", "revshare-2025-01-GBP"),
        ("2025-01-31", "6150", "2.01", "", "GBP", "commission_expense 2025-01", "revshare-2025-01-GBP"),
        ("2025-02-28", "2310", "2.01", "", "GBP", "commission_accrued 2025-02", "revshare-2025-02-GBP"),
        ("2025-02-28", "2320", "", "2.01", "GBP", "commission_payable 2025-02", "revshare-2025-02-GBP"),
    ]


def test_the_voucher_of_a_closed_month_is_the_same_bytes_for_ever(env, tmp_path):
    """A sale of January, told after its closing, is in the voucher of February; by its date in January's."""
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(MAPPING)

    def voucher(month: str, *more: str) -> str:
        asked = ("--mapping", str(mapping), "--from", month, "--to", month, *more)
        done = invoke(env, "reports", "voucher", *asked)
        assert done.exit_code == 0, done.stderr
        return done.stdout

    before = voucher("2025-01")
    close_and_tell_late(env["DATABASE_URL"])

    assert voucher("2025-01") == before
    # 2.01 became payable in February; 20.00 of the late sale were accrued and became payable.
    assert [row["debit"] for row in csv.DictReader(io.StringIO(voucher("2025-02")))] == ["2.01", "", "20.00"]
    assert "22.01" in voucher("2025-01", "--basis", "effective")


def close_and_tell_late(database_url: str) -> None:
    """January is closed, and then a sale of it is told."""
    ledger = Ledger(Database(database_url))
    close_period(ledger, ClosePeriod(program_id=ids.program_id("shop"), period="2025-01"), by="key:finance")
    late = RecordSale(
        program_id=ids.program_id("shop"),
        source="shop",
        external_id="late",
        customer="c1",
        amount_minor=10_000,
        currency="GBP",
        effective_at=SINCE + timedelta(days=3),
    )
    assert [result.status for result in Intake(ledger).record([late], by="cli")] == ["new"]
    RewardEngine(ledger).drain()
    Runner(ledger).catch_up()
    ledger.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[accounts", "no TOML"),
        ('[accounts]\ncommission_expense = "1"', "accounts.commission_payable"),
        ('default = "1"\n[accounts]\nshoes = "1"', "accounts.shoes"),
        (None, "can't be read"),
    ],
)
def test_a_wrong_mapping_is_named(env, tmp_path, text, said):
    """Each mistake with the account that it is about."""
    mapping = tmp_path / "mapping.toml"
    if text is not None:
        mapping.write_text(text)
    done = invoke(
        env, "reports", "voucher", "--mapping", str(mapping), "--from", "2025-01", "--to", "2025-01"
    )

    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stdout == ""
