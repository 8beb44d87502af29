"""`revshare audit`: the key to keep, a checkpoint now, and a part that seals by itself."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from api.audit_key import NoAuditKey, audit_signer
from ledger.audit import notes
from ledger.store.application import Ledger
from ledger.store.database import Database
from ledger.store.migrations import migrate
from tests.support.commands import invoke
from tests.support.databases import sqlite_url
from tests.support.world import World


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An installation with a few facts."""
    url = sqlite_url(tmp_path / "revshare.db")
    migrate(url)
    world = World(url)
    world.program()
    world.close()
    return {**os.environ, "DATABASE_URL": url, "VAR_DIR": str(tmp_path / "var"), "AUDIT_INTERVAL_S": "1"}


def test_a_checkpoint_is_signed_with_the_key_that_is_printed(environment, tmp_path):
    verifier = notes.parse_verifier(invoke(environment, "audit", "key").stdout.strip())

    done = invoke(environment, "audit", "checkpoint")

    text, _ = notes.open_note(done.stdout, [verifier])
    checkpoint = notes.parse_checkpoint(text)
    assert checkpoint.size == 2
    assert (tmp_path / "var" / "checkpoints" / "000000000002.txt").read_text() == done.stdout
    assert invoke(environment, "audit", "checkpoint").stdout == done.stdout
    assert oct((tmp_path / "var" / "audit-key.pem").stat().st_mode)[-3:] == "600"


def test_a_log_that_was_cut_is_not_signed(environment):
    invoke(environment, "audit", "checkpoint")
    with Database(environment["DATABASE_URL"]).write() as connection:
        connection.execute(sa.text("DELETE FROM audit_bundles"))

    done = invoke(environment, "audit", "checkpoint")

    assert done.exit_code == 1
    assert "tampered" in done.stderr


def test_the_part_seals_what_comes_and_stops_when_told(environment, tmp_path):
    part = subprocess.Popen([sys.executable, "-m", "api.cli.run", "audit", "run"], env=environment)
    kept = tmp_path / "var" / "checkpoints"
    try:
        _wait(lambda: kept.is_dir() and list(kept.iterdir()))
        ledger = Ledger(Database(environment["DATABASE_URL"]))
        world = World(environment["DATABASE_URL"])
        world.program(reference="another")
        _wait(lambda: (kept / "000000000004.txt").exists())
        world.close()
        ledger.close()
    finally:
        part.send_signal(signal.SIGTERM)
    assert part.wait(timeout=20) == 0


def test_a_file_that_holds_no_key_is_named(tmp_path):
    path = tmp_path / "key.pem"
    path.write_text("nothing")

    with pytest.raises(NoAuditKey, match=r"key\.pem"):
        audit_signer(path, None)
    assert audit_signer(tmp_path / "new.pem", "ledger.example/log").verifier.name == "ledger.example/log"


def _wait(done):
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)
