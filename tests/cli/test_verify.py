"""`revshare verify`: sound ends with 0; anything wrong is named, and ends with 1."""

import json
import os

import pytest

from ledger.store.database import Database
from projections.runner import Runner
from tests.support.commands import invoke
from tests.support.world import World


@pytest.fixture
def env(database_url, tmp_path):
    """A sealed installation; its checkpoints are kept in a folder."""
    world = World(database_url)
    world.program()
    world.partner("acme")
    Runner(world.ledger).catch_up()
    world.close()
    made = {**os.environ, "DATABASE_URL": database_url, "VAR_DIR": str(tmp_path / "var")}
    assert invoke(made, "audit", "checkpoint").exit_code == 0
    return made


def test_a_sound_ledger(env, tmp_path):
    kept = tmp_path / "var" / "checkpoints"
    key = invoke(env, "audit", "key").stdout.strip()

    done = invoke(env, "verify", "--kept", str(kept), "--key", key)
    again = json.loads(invoke(env, "verify", "--kept", str(kept), "--json").stdout)

    assert done.exit_code == 0, done.stdout
    assert "sound, in" in done.stdout
    assert f"signatures: by {key}" in done.stdout
    assert again["sound"] is True
    assert again["key"] == key
    assert (again["leaves"], again["checkpoints"], again["kept"], again["findings"]) == (5, 1, 1, [])


def test_what_is_wrong_is_named(env):
    database = Database(env["DATABASE_URL"])
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE partners SET name = 'Other'")
    database.close()

    done = invoke(env, "verify")
    told = json.loads(invoke(env, "verify", "--json").stdout)

    assert done.exit_code == 1
    assert "WRONG a view is not what the log gives: view directory, table partners" in done.stdout
    assert "NOT SOUND" in done.stdout
    assert "a log rewritten as a whole would not be seen" in done.stdout
    [finding] = told["findings"]
    assert (finding["kind"], finding["place"]["table"]) == ("view_differs", "partners")
    assert (finding["expected"], finding["found"]) == ({"name": "acme"}, {"name": "Other"})
    assert invoke(env, "verify", "--no-views").exit_code == 0, "the log itself is as it was"


def test_another_key_and_an_empty_folder(env, tmp_path):
    """Nothing kept is no proof, and no key is not any key."""
    other = invoke({**env, "VAR_DIR": str(tmp_path / "other")}, "audit", "key").stdout.strip()

    assert "is not signed by the key" in invoke(env, "verify", "--key", other).stdout
    assert invoke(env, "verify", "--key", "nonsense").exit_code == 2
    (tmp_path / "empty").mkdir()
    assert invoke(env, "verify", "--kept", str(tmp_path / "empty")).exit_code == 2
    assert invoke(env, "verify", "--kept", str(tmp_path / "nowhere")).exit_code == 2
