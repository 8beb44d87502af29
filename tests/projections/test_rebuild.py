"""Rebuilds: the same bytes again, or a loud refusal that names the place."""

import threading
from typing import Any

import pytest
import sqlalchemy as sa

from ledger.store.application import Ledger
from ledger.store.database import Database
from projections import bulk, position, tables
from projections.balances import Balances
from projections.journal import Journal
from projections.rebuild import RebuildDiffers, RebuildNotAllowed, RebuildOvertaken, rebuild
from projections.runner import Runner
from projections.shadow import SUFFIX
from projections.view import position_name
from projections.views import VIEWS, UnknownView
from tests.projections.world import World, conversion, partner

TABLES = list(tables.METADATA.tables.values())


@pytest.fixture
def lived(world, runner):
    """A world in which something happened in every table of money and conversions."""
    for number in range(1, 40):
        world.sale(number)
        world.accrue(number, 2_000, of=number % 5)
    for number in range(1, 20):
        world.refund(number, 2_500)
        world.reverse_held(number, 500, of=number % 5)
        world.mature(number, 1_500, of=number % 5)
    world.reserve(conversion(99), 2_000, withheld=100, of=1)
    world.confirm(conversion(99), 2_000, of=1)
    runner.catch_up()
    return world


def everything(rows):
    return {table.name: rows(table) for table in TABLES}


def schema(ledger):
    """Every table, index, constraint and trigger, as the database describes it."""
    postgresql = (
        "SELECT 'index', tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        " UNION SELECT 'constraint', conrelid::regclass::text, conname || pg_get_constraintdef(oid)"
        " FROM pg_constraint WHERE conrelid <> 0 AND connamespace = 'public'::regnamespace"
        " UNION SELECT 'trigger', tgrelid::regclass::text, pg_get_triggerdef(oid) || tgenabled::text"
        " FROM pg_trigger WHERE NOT tgisinternal"
        " UNION SELECT 'column', table_name, column_name || data_type || is_nullable || ordinal_position"
        " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2, 3"
    )
    sqlite = "SELECT type, tbl_name, replace(sql, '\"', '') FROM sqlite_master ORDER BY 1, 2, 3"
    with ledger.database.read() as connection:
        statement = postgresql if ledger.database.is_postgresql else sqlite
        return [tuple(row) for row in connection.execute(sa.text(statement))]


@pytest.mark.parametrize("batch_events", [7, 20_000])
def test_a_rebuild_gives_the_same_bytes_and_the_same_schema(lived, ledger, rows, batch_events):
    """In other batches too, and as often as one likes."""
    before, schema_before = everything(rows), schema(ledger)
    seen = []
    for _ in range(3):
        report = rebuild(ledger, [], lambda *done: seen.append(done), batch_events=batch_events)

        assert report.differences == ()
        assert report.rows["journal"] == len(before["journal"])
        assert (report.position, report.events) == (137, 136 + 79)
        assert everything(rows) == before
        assert schema(ledger) == schema_before
    assert seen[-1] == (137, 137)
    assert all(done <= total for done, total in seen)


def test_one_view_is_rebuilt_alone(lived, ledger, rows):
    """Only the facts that it is made of are read."""
    before = everything(rows)
    report = rebuild(ledger, ["journal", "balances"])

    assert report.views == ("journal", "balances")
    assert report.events == 39 + 19 + 19 + 2
    assert everything(rows) == before
    with pytest.raises(UnknownView, match="no view is called ledger"):
        rebuild(ledger, ["ledger"])


def test_a_balance_edited_by_hand_is_named(lived, ledger, rows):
    """View, table, key and both values; nothing is swapped, nothing is left behind."""
    tampered = tables.balances.update().where(tables.balances.c.partner_id == partner(3))
    with ledger.database.write() as connection:
        connection.execute(tampered.values(pending_minor=tables.balances.c.pending_minor + 1))
    before, schema_before = everything(rows), schema(ledger)

    with pytest.raises(RebuildDiffers) as refused:
        rebuild(ledger, [])

    difference: Any
    ((view, difference),) = refused.value.differences
    assert (view, difference.table) == ("balances", "balances")
    assert difference.key["currency"] == "GBP"
    assert str(difference.key["partner_id"]).replace("-", "") == partner(3).hex
    assert difference.live == {"pending_minor": difference.rebuilt["pending_minor"] + 1}
    assert "pending_minor is" in str(refused.value)
    assert everything(rows) == before
    assert schema(ledger) == schema_before


@pytest.mark.parametrize("table", [tables.rewards, tables.conversion_facts, tables.conversions])
def test_a_row_that_was_removed_or_added_is_named(lived, ledger, rows, table):
    """The live table lacks it, or has one that the log does not give."""
    key = next(iter(table.primary_key))
    first = rows(table)[0]
    with ledger.database.write() as connection:
        connection.execute(table.delete().where(key == first[key.name]))
    with pytest.raises(RebuildDiffers, match="the live table lacks the row"):
        rebuild(ledger, ["conversions"])

    with ledger.database.write() as connection:
        another = conversion(1_000) if isinstance(key.type, sa.Uuid) else 1_000
        connection.execute(table.insert().values(**first))
        connection.execute(table.insert().values(**{**first, key.name: another}))
    with pytest.raises(RebuildDiffers, match="a row that the log does not give"):
        rebuild(ledger, ["conversions"])


def test_differences_can_be_accepted(lived, ledger, rows):
    """After a fold was corrected, what the log gives takes the live table's place."""
    before = everything(rows)
    with ledger.database.write() as connection:
        connection.execute(tables.balances.update().values(paid_minor=7))
        connection.execute(tables.rewards.delete())

    report = rebuild(ledger, [], accept_differences=True)

    assert {difference.table for _, difference in report.differences} == {"balances", "rewards"}
    assert everything(rows) == before


def test_a_rebuild_while_facts_come_in_and_are_projected(lived, ledger, rows):
    """The live views go on; the swap is at exactly their position."""
    stop = threading.Event()
    running = threading.Thread(target=Runner(ledger, batch_events=5).run, args=(stop,))

    def tell():
        for number in range(1_000, 1_150):
            lived.sale(number)
            lived.accrue(number, 2_000, of=number % 5)

    telling = threading.Thread(target=tell)
    running.start()
    telling.start()
    reports = [rebuild(ledger, [], batch_events=40) for _ in range(4)]
    telling.join()
    stop.set()
    running.join()
    Runner(ledger).catch_up()

    assert all(report.differences == () for report in reports)
    assert len(rows(tables.journal)) == 2 * (39 + 19 * 2 + 2 + 150) + 1
    assert rebuild(ledger, []).differences == ()


def test_what_a_killed_rebuild_left_is_removed(lived, ledger, rows):
    """Its tables and its positions are in nobody's way."""
    before, schema_before = everything(rows), schema(ledger)
    with ledger.database.write() as connection:
        connection.execute(sa.text(f"CREATE TABLE journal{SUFFIX} (position bigint)"))
        connection.execute(sa.text("INSERT INTO positions (name, position) VALUES ('rebuild:journal', 50)"))

    rebuild(ledger, [])

    assert everything(rows) == before
    assert schema(ledger) == schema_before
    with ledger.database.read() as connection:
        names = set(connection.execute(sa.select(position.positions.c.name)).scalars())
    assert names == {position_name(view) for view in VIEWS}


def test_of_two_rebuilds_the_later_one_goes_on(lived, ledger, rows):
    """The earlier one notices that the shadow is no longer its own."""
    before = everything(rows)
    second: list[Any] = []

    def interfere(done, total):
        if not second:
            second.append(None)
            second[0] = rebuild(ledger, ["balances"])

    with pytest.raises(RebuildOvertaken):
        rebuild(ledger, ["balances"], interfere, batch_events=20)

    assert second[0].differences == ()
    assert everything(rows) == before


def test_a_view_that_depends_on_batches_would_be_found(lived, ledger, monkeypatch):
    """A write that forgets what stood there before gives another table in smaller batches: refused."""

    def forgetful(self, connection, changes, names):
        rows = [(*key, *values) for key, values in changes.items()]
        bulk.upsert(connection, tables.balances, names["balances"], rows)

    monkeypatch.setattr(Balances, "write", forgetful)
    with pytest.raises(RebuildDiffers, match="view balances"):
        rebuild(ledger, [], batch_events=7)


def test_the_guards_of_the_journal_survive_a_rebuild(lived, ledger):
    """No leg can be changed or removed, before or after."""
    for _ in range(2):
        for statement in ("UPDATE journal SET amount_minor = 0", "DELETE FROM journal"):
            with (
                pytest.raises(sa.exc.DBAPIError, match="never changed or removed"),
                ledger.database.write() as connection,
            ):
                connection.execute(sa.text(statement))
        rebuild(ledger, [Journal.name])


def test_postgresql_refuses_an_unbalanced_entry(postgresql_database_url):
    """Whoever adds legs adds them balanced, per position and currency."""
    database = Database(postgresql_database_url)
    one_leg = (
        "INSERT INTO journal SELECT 1, number, 'commission_expense', amount, currency, gen_random_uuid(),"
        " gen_random_uuid(), 1, now(), now() FROM (VALUES (1, 5, 'GBP'), (2, -5, '{}'))"
        " AS legs(number, amount, currency)"
    )
    with pytest.raises(sa.exc.IntegrityError, match="the legs of position 1 sum to"), database.write() as c:
        c.execute(sa.text(one_leg.format("EUR")))
    with database.write() as connection:
        connection.execute(sa.text(one_leg.format("GBP")))
    database.close()


@pytest.mark.parametrize("may_make_tables", [False, True])
def test_a_role_that_owns_no_tables_is_told_which_one_to_use(
    postgresql_database_url, restricted_url, may_make_tables
):
    """At the start, or at the swap: the live tables stay as they are, and nothing is left lying about."""
    owner, app = Ledger(Database(postgresql_database_url)), Ledger(Database(restricted_url))
    told = World(owner)
    told.sale(1)
    told.accrue(1, 2_000)
    Runner(owner).catch_up()
    if may_make_tables:
        with owner.database.write() as connection:
            connection.exec_driver_sql("GRANT CREATE ON SCHEMA public TO PUBLIC")
    before = schema(owner)

    with pytest.raises(RebuildNotAllowed, match="rebuild with the role that migrates"):
        rebuild(app, [])

    assert schema(owner) == before
    with owner.database.read() as connection:
        names = connection.exec_driver_sql("SELECT name FROM positions WHERE name LIKE 'rebuild:%%'")
        assert names.scalars().all() == []
    assert rebuild(owner, []).differences == ()
    app.close()
    owner.close()


def test_a_leg_that_stands_ahead_of_the_journal_is_named(world, ledger, runner, rows):
    """No fact gave it yet, and the swap would drop it without a word."""
    world.accrue(1, 2_000)
    runner.catch_up()
    [debit, credit] = rows(tables.journal)
    with ledger.database.write() as connection:
        ahead = [{**leg, "position": leg["position"] + 1_000} for leg in (debit, credit)]
        connection.execute(sa.insert(tables.journal).values(ahead))

    with pytest.raises(RebuildDiffers, match=r"journal \(position=\d+, leg=1\): the live table has a row"):
        rebuild(ledger, ["journal"])

    assert len(rows(tables.journal)) == 4
    assert len(rebuild(ledger, ["journal"], accept_differences=True).differences) == 1
    assert rows(tables.journal) == [debit, credit]
