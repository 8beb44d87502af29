"""Migrations: many processes may ask for the newest schema at once, and asking again changes nothing."""

import subprocess
import sys

import pytest
import sqlalchemy as sa

from ledger.store.database import Database
from ledger.store.migrations import migrate, pending_revisions
from tests.support.databases import postgresql_database, sqlite_url

PROCESSES = 6


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request, tmp_path):
    """The URL of a database in which nothing is yet."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path / "new" / "revshare.db")
        return
    with postgresql_database(request.getfixturevalue("postgres_url")) as url:
        yield url


def test_processes_that_migrate_at_once_all_succeed(empty_url):
    """Six cold starts on an empty database: one does the work, the others wait and find it done."""
    program = "import sys; from ledger.store.migrations import migrate; migrate(sys.argv[1])"
    started = [
        subprocess.Popen([sys.executable, "-c", program, empty_url], stderr=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    errors = [process.communicate(timeout=120)[1] for process in started]

    assert [process.returncode for process in started] == [0] * PROCESSES, errors
    assert pending_revisions(empty_url) == []


def test_migrating_again_changes_nothing(database_url):
    """What a migrated database holds stays."""
    database = Database(database_url)
    with database.write() as connection:
        connection.execute(sa.text("INSERT INTO positions (name, position) VALUES ('reader', 7)"))

    migrate(database_url)

    with database.read() as connection:
        kept = connection.execute(sa.text("SELECT name, position FROM positions WHERE position > 0")).all()
    database.close()

    assert [tuple(row) for row in kept] == [("reader", 7)]


def test_an_empty_database_says_what_it_lacks(empty_url):
    """Oldest first, from the event store on."""
    pending = pending_revisions(empty_url)

    assert pending[0] == "0001"
    assert pending == sorted(pending)
