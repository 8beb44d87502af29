"""`revshare import` through a real server: nothing counts twice, stops half-way or is lost in silence."""

import csv
import json
import threading
from collections import Counter

import pytest
import sqlalchemy as sa

from api.cli import importer
from api.cli.client import Client, Unreachable
from api.cli.csv_rows import Target, WrongColumns
from api.cli.importer import Import
from ledger import ids
from ledger.commands import CreateProgram, IssueApiKey
from ledger.desk import Desk
from ledger.store.application import Ledger
from ledger.store.database import Database
from tests.support.commands import invoke
from tests.support.databases import sqlite_copy
from tests.support.house import base_url, crash, environment, serving

HEADER = "invoice_id,occurred_at,customer,country,amount_minor,currency\n"
SOURCE = "shop"


def sale(number, amount="100", time="2025-01-01T00:00:00Z", currency="GBP"):
    """A row of invoices."""
    return f"inv-{number},{time},customer-{number % 7},United Kingdom,{amount},{currency}\n"


@pytest.fixture(scope="module")
def house(migrated_sqlite, tmp_path_factory):
    """A server that the tests share: each has a program of its own. Its environment and its ledger."""
    folder = tmp_path_factory.mktemp("house")
    env = environment(sqlite_copy(migrated_sqlite, folder), folder / "var")
    ledger = Ledger(Database(env["DATABASE_URL"]))
    wish = IssueApiKey(name="test", scopes=("conversions:write",))
    env["REVSHARE_API_KEY"] = Desk(ledger).execute(wish, by="cli").secret or ""
    env["REVSHARE_URL"] = base_url(env)
    yield env, ledger
    ledger.close()


@pytest.fixture(scope="module")
def shared_server(house, tmp_path_factory):
    """The API, ready."""
    with serving(house[0], tmp_path_factory.mktemp("log") / "serve.log"):
        yield


@pytest.fixture
def own(sqlite_database_url, tmp_path, house):
    """The environment of a server that a test may stop, and its ledger."""
    env = environment(sqlite_database_url, tmp_path / "var")
    ledger = Ledger(Database(sqlite_database_url))
    wish = IssueApiKey(name="test", scopes=("conversions:write",))
    env["REVSHARE_API_KEY"] = Desk(ledger).execute(wish, by="cli").secret or ""
    yield env, ledger
    ledger.close()


def program_in(ledger, reference):
    """A program in pounds."""
    wish = CreateProgram(reference=reference, name="Shop", type="revenue_share", currency="GBP")
    return Desk(ledger).execute(wish, by="cli").id


@pytest.fixture
def program(house, request):
    """The reference of a program that no other test uses."""
    program_in(house[1], request.node.name)
    return request.node.name


@pytest.fixture
def target(program):
    """Where its conversions go."""
    return Target(ids.program_id(program), SOURCE, "sale")


@pytest.fixture
def client(house, shared_server):
    """A client of the shared server that gives up at once."""
    return client_of(house[0], patience_s=0)


def client_of(env, **more):
    """A client of the server of an environment."""
    return Client(base_url(env), env["REVSHARE_API_KEY"], **more)


@pytest.fixture
def small_batches(monkeypatch):
    """Batches of ten rows, so that a small file takes several."""
    monkeypatch.setattr(importer, "BATCH_ROWS", 10)


def facts(ledger):
    """How many facts there are."""
    with ledger.database.read() as connection:
        return connection.execute(sa.text("SELECT count(*) FROM stored_events")).scalar_one()


def invoices(folder, count, name="invoices.csv"):
    """A file of so many invoices."""
    path = folder / name
    path.write_text(HEADER + "".join(sale(number) for number in range(count)), encoding="utf-8")
    return path


def test_a_second_import_changes_nothing(house, client, program, tmp_path):
    """Ids come from the file: the same rows are the same conversions."""
    env, ledger = house
    path = invoices(tmp_path, 50)
    before = facts(ledger)
    arguments = ("import", str(path), "--as", "conversions", "--program", program)

    first = invoke(env, *arguments)
    after = facts(ledger)
    second = invoke(env, *arguments)

    assert (first.exit_code, second.exit_code) == (0, 0), first.stderr + second.stderr
    assert after == before + 50
    assert facts(ledger) == after
    assert not (tmp_path / "invoices.csv.import-state.json").exists()
    assert not (tmp_path / "invoices.csv.rejected.csv").exists()


WRONG = {
    "one column too many": "inv-a,2025-01-01T00:00:00Z,customer-1,UK,100,GBP,surplus\n",
    "a column too few": "inv-b,2025-01-01T00:00:00Z,customer-1,UK,100\n",
    "no whole number": sale(1001, amount="12.50"),
    "no number": sale(1002, amount="NaN"),
    "beyond int64": sale(1003, amount="9223372036854775808"),
    "negative": sale(1004, amount="-5"),
    "zero": sale(1005, amount="0"),
    "no time": sale(1006, time="yesterday"),
    "no zone": sale(1007, time="2025-01-01T00:00:00"),
    "far future": sale(1008, time="2999-01-01T00:00:00Z"),
    "unknown currency": sale(1009, currency="XXQ"),
    "another currency": sale(1010, currency="EUR"),
    "no id": sale(1011).replace("inv-1011", ""),
    "no UTF-8": sale(1012).replace("customer", "\udcff"),
}


def test_wrong_rows_are_kept_with_their_reasons_and_the_rest_goes_on(house, client, program, tmp_path):
    """Whatever is wrong with a row, it is in FILE.rejected.csv as it came, and the others count."""
    env, ledger = house
    path = tmp_path / "invoices.csv"
    text = HEADER + sale(1) + "".join(WRONG.values()) + "\n" + sale(2)
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    before = facts(ledger)

    done = invoke(env, "import", str(path), "--as", "conversions", "--program", program)

    assert done.exit_code == 3, done.stderr
    assert "rows were refused" in done.stderr
    assert facts(ledger) == before + 2
    kept = tmp_path / "invoices.csv.rejected.csv"
    with kept.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rejected = list(csv.reader(file))
    assert rejected[0] == [*HEADER.strip().split(","), "reason"]
    assert len(rejected) == 1 + len(WRONG)
    assert all(row[-1].startswith("invalid: ") and len(row[-1]) > 12 for row in rejected[1:])
    by_id = {row[0]: row[-1] for row in rejected[1:]}
    assert "columns" in by_id["inv-a"]
    assert "amount_minor" in by_id["inv-1001"]
    assert "effective_at" in by_id["inv-1007"]
    assert "UTF-8" in by_id["inv-1012"]
    assert next(row for row in rejected if row[0] == "inv-1012")[2] == "\udcff-4"


def test_the_same_id_with_another_amount_is_a_conflict(client, target, tmp_path):
    """What was recorded stays; the row is refused."""
    Import(invoices(tmp_path, 3), "conversions", target, client).run()
    changed = tmp_path / "changed.csv"
    changed.write_text(HEADER + sale(0) + sale(1, amount="999"), encoding="utf-8")

    again = Import(changed, "conversions", target, client)
    counts = again.run()

    assert counts == {"duplicate": 1, "conflict": 1}
    assert "inv-1" in again.rejected.path.read_text()


def test_a_broken_import_goes_on_where_it_was(own, tmp_path, small_batches):
    """The server goes away in the middle: nothing is lost, sent from the start again, or refused twice."""
    env, ledger = own
    target = Target(program_in(ledger, "shop"), SOURCE, "sale")
    path = tmp_path / "invoices.csv"
    rows = [sale(n, amount="x" if n % 10 == 3 else "100") for n in range(60)]
    path.write_text(HEADER + "".join(rows), encoding="utf-8")
    rejected, state = tmp_path / "invoices.csv.rejected.csv", tmp_path / "invoices.csv.import-state.json"
    before = facts(ledger)
    reached: list[int] = []
    with serving(env, tmp_path / "serve.log") as process:
        interrupted = Import(path, "conversions", target, client_of(env, patience_s=0))
        with pytest.raises(Unreachable):
            interrupted.run(lambda done: crash(process) if done == 30 else None)
    with rejected.open("a") as file:
        file.write("half a row that a crash left")
    rows_done = json.loads(state.read_text())["rows_done"]
    with serving(env, tmp_path / "serve.log"):
        counts = Import(path, "conversions", target, client_of(env)).run(reached.append)

    assert rows_done == 30
    assert reached == [30, 40, 50, 60]
    assert facts(ledger) == before + 54
    assert (counts.total(), counts["invalid"]) == (60, 6)
    with rejected.open() as file:
        kept = [row["invoice_id"] for row in csv.DictReader(file)]
    assert kept == ["inv-3", "inv-13", "inv-23", "inv-33", "inv-43", "inv-53"]
    assert not state.exists()


def test_a_server_that_restarts_is_waited_for(own, tmp_path, small_batches):
    """With patience the import does not even stop."""
    env, ledger = own
    target = Target(program_in(ledger, "shop"), SOURCE, "sale")
    waited, counts = threading.Event(), Counter[str]()
    patient = client_of(env, patience_s=60, waiting=lambda _reason: waited.set())
    run = Import(invoices(tmp_path, 60), "conversions", target, patient)
    before = facts(ledger)
    with serving(env, tmp_path / "serve.log") as process:

        def stop_after(done):
            if done == 30:
                crash(process)

        importing = threading.Thread(target=lambda: counts.update(run.run(stop_after)))
        importing.start()
        assert waited.wait(60)
    with serving(env, tmp_path / "serve.log"):
        importing.join(60)

    assert not importing.is_alive()
    assert counts.total() == 60
    assert facts(ledger) == before + 60


def test_a_server_that_lost_everything_gets_everything(client, house, target, tmp_path, small_batches):
    """A state file that a new database knows nothing of is not believed."""
    path = invoices(tmp_path, 30)
    states = []
    first = Import(path, "conversions", target, client)
    first.run(lambda _done: states.append(state_of(path)))
    # The same file on its way to a program without any of it, with a state that says otherwise.
    elsewhere = program_in(house[1], "elsewhere")
    document = {**json.loads(states[-1]), "program_id": str(elsewhere)}
    (tmp_path / "invoices.csv.import-state.json").write_text(json.dumps(document))

    again = Import(path, "conversions", Target(elsewhere, SOURCE, "sale"), client)
    counts = again.run()

    assert again.started_over
    assert counts == {"new": 20, "duplicate": 10}, "the last batch was sent first, to see"


def state_of(path):
    """What the state file says."""
    file = path.with_name(path.name + ".import-state.json")
    return file.read_text() if file.exists() else ""


def test_a_file_of_other_columns_is_refused_as_a_whole(client, target, tmp_path):
    """And what it looks like is said."""
    with pytest.raises(WrongColumns, match="--as conversions"):
        Import(invoices(tmp_path, 1), "referrals", target, client)


def test_a_key_that_opens_nothing_stops_the_import(house, client, program, tmp_path):
    """No row is blamed for it."""
    arguments = ("import", str(invoices(tmp_path, 3)), "--as", "conversions", "--program", program)

    done = invoke({**house[0], "REVSHARE_API_KEY": "rs_wrong"}, *arguments)

    assert done.exit_code == 1
    assert "401" in done.stderr
    assert not (tmp_path / "invoices.csv.rejected.csv").exists()
