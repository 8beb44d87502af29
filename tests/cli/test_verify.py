"""`revshare verify`: sound ends with 0; anything wrong is named, and ends with 1."""

import json
import os
import subprocess
import sys

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


def test_a_changed_checkpoint_is_put_right_by_its_copy(env, tmp_path):
    """What is wrong is shown, then mended; a second time there is nothing to do."""
    kept = tmp_path / "var" / "checkpoints"
    change(env, "UPDATE audit_checkpoints SET note = 'nothing', position = 1")
    asked = ("audit", "repair", "--kept", str(kept), "--reason", "edited by hand")

    looked = invoke(env, *asked, "--dry-run")
    still = invoke(env, "verify", "--no-views")
    done = invoke(env, *asked)
    after = invoke(env, "verify", "--kept", str(kept))
    again = invoke(env, *asked)

    assert (looked.exit_code, still.exit_code, done.exit_code, after.exit_code) == (0, 1, 0, 0)
    assert "position" in looked.stdout
    assert "nothing" in looked.stdout
    assert "1 checkpoints were put right" in done.stdout
    assert "every stored checkpoint is as it was signed" in again.stdout
    change(env, "UPDATE audit_bundles SET first_position = first_position + 1")
    refused = invoke(env, *asked)
    assert refused.exit_code == 1
    assert "nothing was changed" in refused.stderr


def change(env, statement):
    database = Database(env["DATABASE_URL"])
    with database.write() as connection:
        connection.exec_driver_sql(statement)
    database.close()


def test_another_key_and_an_empty_folder(env, tmp_path):
    """Nothing kept is no proof, and no key is not any key."""
    other = invoke({**env, "VAR_DIR": str(tmp_path / "other")}, "audit", "key").stdout.strip()

    assert "is not signed by the key" in invoke(env, "verify", "--key", other).stdout
    assert invoke(env, "verify", "--key", "nonsense").exit_code == 2
    (tmp_path / "empty").mkdir()
    assert invoke(env, "verify", "--kept", str(tmp_path / "empty")).exit_code == 2
    assert invoke(env, "verify", "--kept", str(tmp_path / "nowhere")).exit_code == 2


def test_an_auditor_checks_an_export_with_one_file(env, tmp_path):
    """The verifier runs apart from the house, in a folder of its own, and says yes or names what is wrong."""
    apart, export, part = tmp_path / "revshare_verify.py", tmp_path / "log.jsonl", tmp_path / "part.jsonl"
    apart.write_text(invoke(env, "audit", "verifier").stdout)
    key = invoke(env, "audit", "key").stdout.strip()
    [kept] = (tmp_path / "var" / "checkpoints").iterdir()

    done = invoke(env, "audit", "export", str(export))
    assert done.exit_code == 0, done.stderr
    assert "5 facts in" in done.stderr
    assert invoke(env, "audit", "export", str(part), "--partner", "acme").exit_code == 0
    assert invoke(env, "audit", "export", str(export)).exit_code == 2, "no file is written over"

    def check(*arguments):
        command = [sys.executable, "-I", str(apart), *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    yes = check(str(export), "--key", key, "--kept", str(kept), "--totals")
    assert (yes.returncode, yes.stdout) == (
        0,
        f"yes: 5 facts of the tree of 5 leaves of {key.split('+')[0]}\n"
        f"signed by the key of {key.split('+')[0]}, held to 1 kept checkpoint, of up to 5 leaves\n"
        "not checked: whether what the facts say is so\n",
    )
    assert check(str(part), "--key", key).stdout.startswith("yes: 0 facts")
    assert check(str(export)).returncode == 2
    assert check(str(tmp_path / "nowhere"), "--key", key).returncode == 2
    export.write_bytes(export.read_bytes().replace(b"acme", b"amce"))
    no = check(str(export), "--key", key)
    assert no.returncode == 1
    assert no.stdout.startswith("no: line 4 (index 2, position 3): its leaf is")


def test_without_a_checkpoint_nothing_is_exported(database_url, tmp_path):
    made = {**os.environ, "DATABASE_URL": database_url, "VAR_DIR": str(tmp_path / "var")}

    done = invoke(made, "audit", "export", str(tmp_path / "log.jsonl"))

    assert done.exit_code == 1
    assert "revshare audit checkpoint" in done.stderr
    assert list(tmp_path.glob("log*")) == []
