"""Events stay as they were written: nothing changes or removes one, on either database, in any role."""

import sqlite3
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa
from eventsourcing.persistence import StoredEvent
from sqlalchemy import make_url

from ledger.store.database import Database
from ledger.store.recorder import make_recorder
from tests.support.databases import conninfo

APPEND = (
    "INSERT INTO stored_events (originator_id, originator_version, topic, state) VALUES (%s, %s, 'topic', %s)"
)
INSERT = (
    "INSERT INTO stored_events (originator_id, originator_version, topic, state)"
    " VALUES (gen_random_uuid(), 1, 'topic', '{}')"
)
SOON = "SET LOCAL lock_timeout = '1s'"
NEVER = "stored events are never changed or removed"

CHANGES = [
    "UPDATE stored_events SET topic = 'other'",
    "UPDATE stored_events SET originator_version = originator_version + 1",
    "DELETE FROM stored_events",
    "DELETE FROM stored_events WHERE originator_version = 1",
    "INSERT INTO stored_events (originator_id, originator_version, topic, state)"
    " SELECT originator_id, originator_version, 'other', state FROM stored_events WHERE true"
    " ON CONFLICT (originator_id, originator_version) DO UPDATE SET topic = excluded.topic",
]
REPLACEMENTS = [
    "INSERT OR REPLACE INTO stored_events (originator_id, originator_version, topic, state)"
    " SELECT originator_id, originator_version, 'other', state FROM stored_events",
    "REPLACE INTO stored_events"
    " SELECT notification_id, '{other}', 1, 'other', x'00' FROM stored_events LIMIT 1",
    "UPDATE OR REPLACE stored_events SET originator_version = 1",
]


def stored_rows(connection: sa.Connection) -> list[tuple[object, ...]]:
    statement = sa.text("SELECT * FROM stored_events ORDER BY notification_id")
    return [tuple(row) for row in connection.execute(statement)]


@pytest.fixture
def database(database_url):
    """A database with two events of one stream."""
    database = Database(database_url)
    stream = uuid4()
    make_recorder(database).append([[StoredEvent(stream, version, "topic", b"{}")] for version in (1, 2)])
    yield database
    database.close()


@pytest.mark.parametrize("change", CHANGES)
def test_no_statement_changes_or_removes_an_event(database, change):
    """UPDATE, DELETE and upserts are refused with a clear message, and the rows stay."""
    with database.read() as connection:
        before = stored_rows(connection)

    with pytest.raises(sa.exc.DBAPIError, match=NEVER), database.write() as connection:
        connection.exec_driver_sql(change)

    with database.read() as connection:
        assert stored_rows(connection) == before
        assert len(before) == 2


def test_an_append_that_meets_a_taken_version_is_left_out_quietly(database):
    """The triggers do not get in the way of ON CONFLICT DO NOTHING, which every append uses."""
    recorder = make_recorder(database)
    stream = uuid4()
    event = StoredEvent(stream, 1, "topic", b"{}")

    first, again = recorder.append([[event]]), recorder.append([[event]])

    assert first[0] is not None
    assert again == [None]


@pytest.mark.parametrize("recursive_triggers", ["ON", "OFF"])
@pytest.mark.parametrize("statement", REPLACEMENTS)
def test_sqlite_refuses_to_replace_whatever_the_connection_is_set_to(
    sqlite_database_url, statement, recursive_triggers
):
    """REPLACE removes the old row silently; it is refused even where DELETE triggers do not hear of it."""
    connection = sqlite3.connect(make_url(sqlite_database_url).database or "", isolation_level=None)
    connection.execute(f"PRAGMA recursive_triggers={recursive_triggers}")
    for version in (1, 2):
        connection.execute(APPEND.replace("%s", "?"), (uuid4().hex, version, b"{}"))
    before = connection.execute("SELECT * FROM stored_events").fetchall()

    for _ in range(2):  # the refusal itself leaves nothing behind that would let a second attempt pass
        with pytest.raises(sqlite3.IntegrityError, match=NEVER):
            connection.execute(statement.format(other=uuid4().hex))

    assert connection.execute("SELECT * FROM stored_events").fetchall() == before
    connection.close()


def test_sqlite_still_reports_a_taken_version_to_a_plain_insert(sqlite_database_url):
    """An INSERT without a conflict clause fails as it does without triggers; OR IGNORE leaves it out."""
    connection = sqlite3.connect(make_url(sqlite_database_url).database or "", isolation_level=None)
    statement, row = APPEND.replace("%s", "?"), (uuid4().hex, 1, b"{}")
    connection.execute(statement, row)

    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE constraint failed"):
        connection.execute(statement, row)
    connection.execute(statement.replace("INSERT", "INSERT OR IGNORE"), row)

    assert connection.execute("SELECT count(*) FROM stored_events").fetchone() == (1,)
    connection.close()


@pytest.mark.parametrize("replication_role", ["origin", "replica"])
@pytest.mark.parametrize("change", [*CHANGES, "TRUNCATE stored_events", "TRUNCATE stored_events CASCADE"])
def test_postgresql_refuses_even_a_superuser_who_silences_triggers(
    postgresql_database_url, change, replication_role
):
    """session_replication_role = replica switches ordinary triggers off, but not ours."""
    with psycopg.connect(postgresql_database_url, autocommit=True) as connection:
        connection.execute(APPEND, (uuid4(), 1, b"{}"))
        connection.execute(f"SET session_replication_role = {replication_role}")

        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=NEVER):
            connection.execute(change)

        assert connection.execute("SELECT count(*) FROM stored_events").fetchone() == (1,)


def test_the_restricted_role_appends_and_reads(restricted_url):
    """The application's own recorder works under it, lock and all."""
    database = Database(restricted_url)
    recorder = make_recorder(database)
    stream = uuid4()

    positions = recorder.append([[StoredEvent(stream, 1, "topic", b"{}")]])

    assert positions[0] is not None
    assert [event.originator_version for event in recorder.select_events(stream)] == [1]
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO positions (name, position) VALUES ('reader', 1)")
        connection.exec_driver_sql("UPDATE positions SET position = 2")
    database.close()


@pytest.mark.parametrize(
    "attempt",
    [
        *CHANGES,
        "TRUNCATE stored_events",
        "ALTER TABLE stored_events ADD COLUMN note text",
        "ALTER TABLE stored_events DISABLE TRIGGER ALL",
        "ALTER TABLE stored_events OWNER TO CURRENT_USER",
        "DROP TRIGGER stored_events_no_change ON stored_events",
        "DROP TABLE stored_events",
        "DROP TABLE stored_events_lock",
        "BEGIN; LOCK TABLE stored_events_lock IN EXCLUSIVE MODE",
        "DROP TRIGGER stored_events_in_turn ON stored_events",
        "CREATE OR REPLACE FUNCTION refuse_change_of_events() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN OLD; END'",
        "CREATE RULE past AS ON INSERT TO stored_events DO INSTEAD NOTHING",
        "SELECT setval('stored_events_notification_id_seq', 1)",
        "SET session_replication_role = replica",
        "UPDATE alembic_version SET version_num = 'none'",
    ],
)
def test_the_restricted_role_can_do_nothing_else_to_events(restricted_url, attempt):
    """Not change, not empty, not alter, not own: PostgreSQL itself says no, before any trigger."""
    with psycopg.connect(conninfo(restricted_url), autocommit=True) as connection:
        connection.execute(APPEND, (uuid4(), 1, b"{}"))

        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=r"permission denied|must be owner"):
            connection.execute(attempt)


@pytest.mark.parametrize("holds", ["SELECT lock_stored_events()", INSERT])
def test_who_has_the_lock_keeps_every_other_writer_out_until_it_commits(
    restricted_url, postgresql_database_url, holds
):
    """Lent by the function or taken by a plain insert; so positions come in commit order."""
    with psycopg.connect(restricted_url) as app, psycopg.connect(postgresql_database_url) as other:
        app.execute(holds)
        other.execute(SOON)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute(INSERT)
        other.rollback()
        app.commit()

        other.execute(INSERT)


def test_upkeep_of_the_log_keeps_no_writer_waiting(restricted_url, postgresql_database_url):
    """VACUUM and ANALYZE take this lock of a table, for as long as they run."""
    with psycopg.connect(postgresql_database_url) as upkeep, psycopg.connect(restricted_url) as app:
        upkeep.execute("LOCK TABLE stored_events IN SHARE UPDATE EXCLUSIVE MODE")
        app.execute(SOON)

        app.execute("SELECT append_stored_events(%s, %s, %s, %s)", ([uuid4()], [1], ["topic"], [b"{}"]))


def test_a_writer_keeps_no_upkeep_of_the_log_waiting(restricted_url, postgresql_database_url):
    with (
        psycopg.connect(restricted_url) as app,
        psycopg.connect(postgresql_database_url, autocommit=True) as upkeep,
    ):
        app.execute(INSERT)
        upkeep.execute("SET lock_timeout = '1s'")

        upkeep.execute("VACUUM (ANALYZE) stored_events")
