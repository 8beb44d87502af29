"""Reading the store on both databases: the log and streams, a page at a time, by us and by the library."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from eventsourcing.persistence import IntegrityError

from ledger.events.access import ApiKeyRevoked
from ledger.events.base import Recorded
from ledger.store.application import Ledger
from ledger.store.database import Database, driver
from tests.ledger.test_store import EVERYTHING, NOW, PROGRAM, envelope, stored


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """A ledger on each database."""
    made = Ledger(Database(database_url), clock=lambda: NOW)
    yield made
    made.close()


class TestReading:
    """The log and streams, a page at a time."""

    @pytest.fixture
    def streams(self, ledger: Ledger) -> list[UUID]:
        """Three streams of three facts each, woven into each other."""
        streams = [uuid4() for _ in range(3)]
        for version in (1, 2, 3):
            ledger.append_units([[envelope(stream, version, version)] for stream in streams])
        return streams

    def test_the_log_is_read_in_pages_behind_a_position(self, ledger, streams):
        seen, after = [], 0
        with ledger.database.read() as connection:
            while rows := ledger.log.read_log(connection, after=after, limit=2):
                assert len(rows) <= 2
                seen += rows
                after = rows[-1][4]
            head = ledger.log.head(connection)

        assert [(row[0], row[1]) for row in seen] == [(s, v) for v in (1, 2, 3) for s in streams]
        assert after == head == ledger.log.max_notification_id()

    def test_the_log_can_be_read_up_to_a_position_and_by_topic(self, ledger, streams):
        program = uuid4()
        revoked = Recorded(program, 1, NOW, "test", ApiKeyRevoked(reason="other"))
        ledger.append_units([[revoked]])
        with ledger.database.read() as connection:
            everything = ledger.log.read_log(connection, after=0, limit=100)
            upto = ledger.log.read_log(connection, after=0, limit=100, stop=everything[4][4])
            by_topic = ledger.log.read_log(connection, after=0, limit=100, topics=["ApiKeyRevoked@1"])
            both = ledger.log.read_log(
                connection, after=0, limit=100, stop=everything[4][4], topics=["ApiKeyRevoked@1"]
            )

        assert upto == everything[:5]
        assert by_topic == everything[-1:]
        assert both == []
        assert type(everything[0][0]) is UUID
        assert type(everything[0][3]) is bytes

    def test_many_streams_are_read_at_once_up_to_a_position(self, ledger, streams):
        with ledger.database.read() as connection:
            everything = ledger.log.read_log(connection, after=0, limit=100)
            found = ledger.streams(connection, [*streams, uuid4()])
            early = ledger.streams(connection, streams, until=everything[4][4])

        assert {stream: len(events) for stream, events in found.items()} == dict.fromkeys(streams, 3)
        assert all([e.originator_version for e in events] == [1, 2, 3] for events in found.values())
        assert [len(early[stream]) for stream in streams] == [2, 2, 1]

    def test_many_streams_are_read_at_once(self, ledger):
        streams = [uuid4() for _ in range(1_001)]
        ledger.append_units([[envelope(stream, 1)] for stream in streams])

        loaded = ledger.load_many([*streams, PROGRAM], EVERYTHING)

        assert all(loaded[stream].version == 1 for stream in streams)
        assert loaded[PROGRAM] == ((), 0)

    def test_tails_hold_what_is_behind_the_version_known(self, ledger, streams):
        with ledger.database.read() as connection:
            rows = ledger.log.read_tails(connection, {streams[0]: 1, streams[1]: 3, streams[2]: 0})

        found = [(row[0], row[1]) for row in rows if row[0] == streams[0]]
        assert found == [(streams[0], 2), (streams[0], 3)]
        assert [row[1] for row in rows if row[0] == streams[2]] == [1, 2, 3]
        assert not [row for row in rows if row[0] == streams[1]]

    def test_a_span_holds_what_is_behind_one_version_up_to_another(self, ledger, streams):
        with ledger.database.read() as connection:
            rows = ledger.log.read_span(connection, streams[0], after=1, until=2)
            whole = ledger.log.read_span(connection, streams[0], after=0, until=99)

        assert [(ledger.decode(row).originator_id, row[1]) for row in rows] == [(streams[0], 2)]
        assert [row[1] for row in whole] == [1, 2, 3]

    def test_the_library_reads_the_log_by_notifications(self, ledger, streams):
        log = ledger.log.select_notifications(start=None, limit=100)
        third = log[2].id

        assert [(n.originator_id, n.originator_version) for n in log] == stored(ledger)
        assert ledger.log.select_notifications(start=third, limit=2) == log[2:4]
        assert ledger.log.select_notifications(third, 2, inclusive_of_start=False) == log[3:5]
        assert ledger.log.select_notifications(third, 100, stop=log[4].id) == log[2:5]
        assert ledger.log.select_notifications(log[-1].id + 1, 10) == []
        assert ledger.log.select_notifications(1, 10, topics=["nothing"]) == []
        section = ledger.notification_log.select(start=third, limit=2)
        assert [n.id for n in section] == [n.id for n in log[2:4]]

    def test_the_library_reads_one_stream_in_both_directions(self, ledger, streams):
        def versions(**how: Any) -> list[int]:
            return [event.originator_version for event in ledger.log.select_events(streams[0], **how)]

        assert versions() == [1, 2, 3]
        assert versions(gt=1) == [2, 3]
        assert versions(lte=2) == [1, 2]
        assert versions(gt=1, lte=2) == [2]
        assert versions(desc=True, limit=2) == [3, 2]

    def test_an_empty_log_says_so(self, ledger):
        assert ledger.log.max_notification_id() is None
        assert ledger.load(uuid4(), EVERYTHING) == ((), 0)

    def test_there_are_no_subscriptions(self, ledger):
        with pytest.raises(IntegrityError, match="poll"):
            ledger.log.subscribe(gt=0)


def test_a_glance_begins_no_transaction(database_url: str) -> None:
    """Each statement sees what is there then, on a connection that goes back as it was: a later transaction
    of it still is one."""
    database = Database(database_url, pool_size=1)
    count = sa.text("SELECT count(*) FROM positions WHERE name LIKE 'glance-%'")
    add = sa.text("INSERT INTO positions (name, position) VALUES (:name, 0)")
    with database.glance() as glance:
        before = glance.execute(count).scalar_one()
        with database.write() as other:
            other.execute(add, {"name": "glance-1"})
        after = glance.execute(count).scalar_one()
    with database.write() as connection:
        connection.execute(add, {"name": "glance-2"})
        connection.rollback()
    with database.read() as connection:
        first = connection.execute(count).scalar_one()
        with database.write() as other:
            other.execute(add, {"name": "glance-3"})
        # A reading transaction of SQLite sees one moment; on PostgreSQL each statement sees its own.
        second = connection.execute(count).scalar_one()
    database.close()

    assert (before, after, first) == (0, 1, 1)
    assert second == (2 if database.is_postgresql else 1)


def test_a_transaction_after_a_glance_is_one_by_whatever_way_it_begins(database_url: str) -> None:
    """The connection that a glance left behind takes back all of what is broken off, and sees one moment
    where that is asked for by the driver."""
    database = Database(database_url, pool_size=1)
    count = sa.text("SELECT count(*) FROM positions WHERE name LIKE 'after-%'")
    add = sa.text("INSERT INTO positions (name, position) VALUES (:name, 0)")

    def glance() -> int:
        with database.glance() as connection:
            return int(connection.execute(count).scalar_one())

    assert glance() == 0
    with database.engine.connect() as straight:
        straight.execute(add, {"name": "after-1"})
        straight.rollback()
    assert glance() == 0
    with database.read() as connection:
        if database.is_postgresql:
            driver(connection).execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        first = connection.execute(count).scalar_one()
        with database.write() as other:
            other.execute(add, {"name": "after-2"})
        second = connection.execute(count).scalar_one()

    assert (first, second, glance()) == (0, 0, 1)
    database.close()
