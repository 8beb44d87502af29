"""`revshare migrate`, `rebuild` and `version`: the commands that keep an installation well."""

import pytest

from ledger.commands import CreateProgram
from ledger.desk import Desk
from ledger.store.application import Ledger
from ledger.store.database import Database
from projections.runner import Runner
from tests.support.commands import invoke


@pytest.fixture
def env(database_url, tmp_path):
    """An installation with one program in its views."""
    ledger = Ledger(Database(database_url))
    wish = CreateProgram(reference="shop", name="Shop", type="revenue_share", currency="GBP")
    Desk(ledger).execute(wish, by="cli")
    Runner(ledger).catch_up()
    ledger.close()
    return {"DATABASE_URL": database_url, "VAR_DIR": str(tmp_path / "var")}


def test_migrating_makes_the_tables_once(tmp_path):
    """The second time there is nothing to do."""
    env = {"DATABASE_URL": f"sqlite:///{tmp_path}/new.db", "VAR_DIR": str(tmp_path)}

    first, second = invoke(env, "migrate"), invoke(env, "migrate")

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "migrated: 0001" in first.stderr
    assert "nothing to do" in second.stderr


def test_a_view_is_rebuilt_and_found_identical(env):
    """All of them, or those that are named."""
    everything, one = invoke(env, "rebuild"), invoke(env, "rebuild", "directory")

    assert (everything.exit_code, one.exit_code) == (0, 0), everything.stderr + one.stderr
    assert "identical" in everything.stdout
    assert "directory: 1 facts" in one.stdout


def test_a_view_that_differs_from_the_log_fails_loudly(env):
    """And nothing is swapped, unless that is said."""
    database = Database(env["DATABASE_URL"])
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE programs SET name = 'Tampered'")
    database.close()

    refused = invoke(env, "rebuild", "directory")
    accepted = invoke(env, "rebuild", "directory", "--accept-differences")
    after = invoke(env, "rebuild", "directory")

    assert refused.exit_code == 1
    assert "programs" in refused.stderr
    assert (accepted.exit_code, after.exit_code) == (0, 0)


def test_an_unknown_view_is_named(env):
    """With those that there are."""
    done = invoke(env, "rebuild", "horoscope")

    assert done.exit_code == 2
    assert "horoscope" in done.stderr
    assert "balances" in done.stderr


def test_the_version_is_told():
    """The one that is installed."""
    done = invoke({}, "version")

    assert done.stdout.startswith("revshare ")
