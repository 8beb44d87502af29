"""`revshare keys`: shown once, kept as a hash, closed for ever."""

import pytest

from ledger.desk import Desk
from ledger.store.application import Ledger
from ledger.store.database import Database
from projections.runner import Runner
from tests.support.commands import invoke


@pytest.fixture
def env(database_url, tmp_path):
    """An installation."""
    return {"DATABASE_URL": database_url, "VAR_DIR": str(tmp_path / "var")}


@pytest.fixture
def ledger(database_url):
    """Its ledger."""
    ledger = Ledger(Database(database_url))
    yield ledger
    ledger.close()


def test_a_key_from_its_issue_to_its_end(env, ledger):
    """Standard output holds the key and nothing else; the list never does."""
    scopes = ("--scope", "finance:read", "--scope", "finance:approve")

    issued = invoke(env, "keys", "issue", "--name", "month end", "--person", "dana", *scopes)
    token = issued.stdout.strip()
    opened = Desk(ledger).authenticate(token)
    assert opened is not None
    Runner(ledger).catch_up()
    listed = invoke(env, "keys", "list")
    revoked = invoke(env, "keys", "revoke", str(opened.key_id), "--reason", "rotated")
    Runner(ledger).catch_up()
    listed_after = invoke(env, "keys", "list")

    assert opened.scopes == ("finance:read", "finance:approve")
    assert str(opened.key_id) in listed.stdout
    assert "month end" in listed.stdout
    assert "dana" in listed.stdout
    assert opened.person == "dana"
    assert token not in listed.stdout
    assert revoked.exit_code == 0
    assert Desk(ledger).authenticate(token) is None
    assert "rotated" in listed_after.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("issue", "--name", "x", "--scope", "everything"),
        ("issue", "--name", "x", "--scope", "partner:read", "--partner", "nobody"),
        ("revoke", "5f0c0c0e-0000-4000-8000-000000000000"),
    ],
)
def test_what_makes_no_sense_is_refused(env, arguments):
    """With a sentence, not a traceback."""
    done = invoke(env, "keys", *arguments)

    assert done.exit_code in (1, 2)
    assert done.stderr.startswith("error: ")
    assert done.stdout == ""
