"""`revshare doctor`: well when all is well; otherwise it names what is wrong and what to do."""

import sqlite3
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.cli import doctor
from ledger.audit.notes import Signer
from ledger.commands import CreateProgram, IssueApiKey
from ledger.desk import Desk
from ledger.store.application import Ledger
from ledger.store.database import Database
from payouts.webhooks.events import ProviderEvent
from payouts.webhooks.inbox import Inbox
from projections.audit_log import Sequencer
from projections.checkpoints import CheckpointMaker
from tests.support.commands import invoke
from tests.support.house import answers, environment, started, wait_for


@pytest.fixture
def env(database_url, tmp_path):
    """An installation of its own, on each kind of database."""
    return environment(database_url, tmp_path / "var")


@pytest.fixture
def sqlite_env(sqlite_database_url, tmp_path):
    """The same on SQLite only."""
    return environment(sqlite_database_url, tmp_path / "var")


def failed(done):
    """The checks that failed, by the table's lines."""
    return {line.split("│")[1].strip() for line in done.stdout.splitlines() if "FAILED" in line}


def test_all_is_well_while_everything_runs(env, tmp_path):
    """Every check is ok, and the exit code says so."""
    log = tmp_path / "up.log"
    ledger = Ledger(Database(env["DATABASE_URL"]))
    wish = CreateProgram(reference="shop", name="Shop", type="revenue_share", currency="GBP")
    Desk(ledger).execute(wish, by="cli")
    ledger.close()
    with started(env, "up", log=log) as process:
        wait_for(lambda: answers(env) or process.poll() is not None)
        wait_for(lambda: "stand-in listening" in log.read_text() or process.poll() is not None)
        done = invoke(env, "doctor")

    assert process.returncode == 0, "SIGTERM ends everything well"
    assert done.exit_code == 0, done.stdout + done.stderr + log.read_text()
    for check in (
        "configuration",
        "Stripe key",
        "database",
        "migrations",
        "triggers",
        "zero-sum",
        "stand-in",
    ):
        assert check in done.stdout
    for reader in ("engine", "journal", "balances", "payouts"):
        assert f"lag of {reader}" in done.stdout


def test_parts_that_do_not_run_are_named(env):
    """The database alone is well; API and stand-in are told apart from it."""
    done = invoke(env, "doctor")

    assert done.exit_code == 1
    assert failed(done) == {"API", "stand-in"}
    assert "revshare up" in done.stdout


def test_a_database_without_tables_is_named(sqlite_env, tmp_path):
    """With the command that makes them; and no other command ends in a traceback."""
    empty = {**sqlite_env, "DATABASE_URL": f"sqlite:///{tmp_path}/empty.db"}

    done = invoke(empty, "doctor")
    listed = invoke(empty, "keys", "list")

    assert "migrations" in failed(done)
    assert "revshare migrate" in done.stdout
    assert listed.exit_code == 1
    assert "revshare migrate" in listed.stderr
    assert "Traceback" not in listed.stderr


def test_a_database_that_is_away_is_named(sqlite_env):
    """Reachability is a check of its own."""
    away = {**sqlite_env, "DATABASE_URL": "postgresql://nobody:secret@127.0.0.1:1/nothing"}

    done = invoke(away, "doctor")

    assert "database" in failed(done)
    assert "secret" not in done.stdout


@pytest.mark.parametrize(("verb", "told"), [("DELETE", "DELETE"), ("INSERT", "REPLACE")])
def test_a_dropped_trigger_is_noticed(sqlite_env, verb, told):
    """Without it facts could be changed, and nobody would see."""
    connection = sqlite3.connect(sqlite_env["DATABASE_URL"].removeprefix("sqlite:///"))
    triggers = connection.execute(
        f"SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE TRIGGER%{verb} ON stored_events%'"
    ).fetchall()
    assert triggers
    for (name,) in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    connection.close()

    done = invoke(sqlite_env, "doctor")

    assert "triggers" in failed(done)
    assert f"nothing keeps facts from {told}" in done.stdout


def test_a_grown_database_with_the_memory_of_a_new_one_is_noticed(
    postgresql_database_url, tmp_path, monkeypatch
):
    """Ours has the defaults and a few megabytes: well, until that counts as grown."""
    env = environment(postgresql_database_url, tmp_path / "var")
    assert "database memory" not in failed(invoke(env, "doctor"))

    monkeypatch.setattr(doctor, "GROWN_BYTES", 2**20)
    defaults = invoke(env, "doctor")
    monkeypatch.setattr(doctor, "DEFAULT_WAL", 2**20)
    monkeypatch.setattr(doctor, "DEFAULT_BUFFERS", 2**20)
    given_more = invoke(env, "doctor")

    assert "database memory" in failed(defaults)
    assert "shared_buffers 128MB" in defaults.stdout
    assert "database memory" not in failed(given_more)


def test_books_that_do_not_balance_are_noticed(sqlite_env):
    """A leg without its other side."""
    connection = sqlite3.connect(sqlite_env["DATABASE_URL"].removeprefix("sqlite:///"))
    columns = connection.execute("PRAGMA table_info(journal)").fetchall()
    known = {"amount_minor": 100, "currency": "GBP", "account": "commission_payable"}
    values = [known.get(column[1], "1" * 32 if column[1].endswith("_id") else 1) for column in columns]
    connection.execute(f"INSERT INTO journal VALUES ({', '.join('?' * len(values))})", values)
    connection.commit()
    connection.close()

    done = invoke(sqlite_env, "doctor")

    assert "zero-sum" in failed(done)
    assert "GBP" in done.stdout


def test_webhooks_left_to_a_human_are_named(sqlite_env):
    """With their reason; and one that nobody works on."""
    ledger = Ledger(Database(sqlite_env["DATABASE_URL"]))
    inbox = Inbox(ledger.database, ledger.clock)
    event = ProviderEvent("evt_7", "transfer.created", "snapshot", "tr_7", None, False, ledger.clock())
    inbox.store(event, b"{}", "t=1")
    [taken] = inbox.take(1, timedelta(0))
    inbox.finish(taken, "held", "paid twice?")
    slow = Inbox(ledger.database, lambda: datetime.now(UTC) - timedelta(minutes=5))
    slow.store(msgspec.structs.replace(event, event_id="evt_8"), b"{}", "t=1")
    ledger.close()

    done = invoke(sqlite_env, "doctor")

    assert {"webhooks", "webhook worker"} <= failed(done)
    assert "evt_7: paid twice?" in done.stdout
    assert "revshare payouts work" in done.stdout


def test_wrong_settings_are_named(sqlite_env):
    """Before anything is tried with them."""
    done = invoke({**sqlite_env, "PORT": "no"}, "doctor")

    assert done.exit_code == 1
    assert failed(done) == {"configuration"}
    assert "PORT" in done.stdout


def test_a_reader_that_stands_still_is_noticed(sqlite_env):
    """A fact that has waited for long means that nobody reads."""
    past = datetime.now(UTC) - timedelta(hours=1)
    ledger = Ledger(Database(sqlite_env["DATABASE_URL"]), clock=lambda: past)
    Desk(ledger).execute(IssueApiKey(name="old", scopes=("admin",)), by="cli")
    ledger.close()

    done = invoke(sqlite_env, "doctor")

    assert {"lag of engine", "lag of directory", "lag of audit log", "checkpoints"} <= failed(done)
    assert "revshare engine" in done.stdout
    assert "revshare audit run" in done.stdout


def test_a_log_that_is_sealed_and_not_signed_is_noticed(sqlite_env):
    """The sequencer keeps up; its head waits for a signature, as that of a log does which was changed."""
    past = datetime.now(UTC) - timedelta(hours=1)
    ledger = Ledger(Database(sqlite_env["DATABASE_URL"]), clock=lambda: past)
    Desk(ledger).execute(IssueApiKey(name="old", scopes=("admin",)), by="cli")
    Sequencer(ledger).catch_up()
    before = failed(invoke(sqlite_env, "doctor"))
    signer = Signer("log", Ed25519PrivateKey.from_private_bytes(b"k" * 32))
    assert CheckpointMaker(ledger, signer).step() is not None
    after = failed(invoke(sqlite_env, "doctor"))
    ledger.close()

    assert "lag of audit log" not in before
    assert "checkpoints" in before
    assert "checkpoints" not in after


def test_a_target_that_lacks_a_checkpoint_is_noticed_and_can_be_tried_at_once(sqlite_env, tmp_path):
    """It is mended, and tried without waiting for its time."""
    past = datetime.now(UTC) - timedelta(hours=1)
    ledger = Ledger(Database(sqlite_env["DATABASE_URL"]), clock=lambda: past)
    Desk(ledger).execute(IssueApiKey(name="old", scopes=("admin",)), by="cli")
    Sequencer(ledger).catch_up()
    signer = Signer("log", Ed25519PrivateKey.from_private_bytes(b"k" * 32))
    assert CheckpointMaker(ledger, signer).step() is not None
    ledger.close()
    in_the_way = tmp_path / "var" / "checkpoints"
    in_the_way.parent.mkdir(exist_ok=True)
    in_the_way.write_text("no folder")

    tried = invoke(sqlite_env, "audit", "deliver")
    lacks = invoke(sqlite_env, "doctor")
    in_the_way.unlink()
    mended = invoke(sqlite_env, "audit", "deliver")
    after = invoke(sqlite_env, "doctor")

    assert (tried.exit_code, mended.exit_code) == (1, 0)
    assert "File exists" in tried.stdout
    assert "target" in failed(lacks)
    assert "target" not in failed(after)
    assert [file.name for file in in_the_way.iterdir()] == ["000000000001.txt"]


def test_two_targets_that_could_be_taken_for_one_another_are_no_configuration(sqlite_env):
    targets = "https://host.example/hook?to=a,https://host.example/hook?to=b"

    done = invoke({**sqlite_env, "AUDIT_TARGETS": targets}, "doctor")

    assert failed(done) == {"configuration"}
    assert "two targets are called" in " ".join(done.stdout.split())
