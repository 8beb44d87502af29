"""The store on both databases: units all or none, races, `within`, paging, bytes that come back."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from eventsourcing.persistence import IntegrityError, StoredEvent

from ledger.events.base import Fact, Recorded
from ledger.events.conversion import ConversionRecorded
from ledger.events.referral import ReferralLinkTouched
from ledger.refusals import LostRace
from ledger.store.application import ATTEMPTS_MAX, Change, Decider, Ledger
from ledger.store.database import Database, engine_url
from ledger.store.mapper import FactMapper, UnknownTopic
from ledger.store.recorder import EventRecorder

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROGRAM = uuid4()


def touch(number: int) -> ReferralLinkTouched:
    """A small fact that tells itself apart from others."""
    return ReferralLinkTouched(program_id=PROGRAM, partner_id=PROGRAM, code=f"code-{number}")


def envelope(stream: UUID, version: int, number: int = 0) -> Recorded:
    """A fact at a place of a stream."""
    return Recorded(stream, version, NOW, "test", touch(number))


def remember(state: tuple[Fact, ...], fact: Fact) -> tuple[Fact, ...]:
    """An evolve that keeps everything."""
    return (*state, fact)


EVERYTHING: Decider[tuple[Fact, ...]] = Decider((), remember)


@pytest.fixture(params=[False], ids=["direct"])
def ledger(request: pytest.FixtureRequest, database_url: str) -> Iterator[Ledger]:
    """A ledger on each database."""
    made = Ledger(Database(database_url), group_commit=request.param, clock=lambda: NOW)
    yield made
    made.close()


BOTH_WAYS = pytest.mark.parametrize("ledger", [False, True], ids=["direct", "grouped"], indirect=True)
"""With group commit and without."""


def stored(ledger: Ledger) -> list[tuple[UUID, int]]:
    """The streams and versions of the log, in order."""
    with ledger.database.read() as connection:
        return [(row[0], row[1]) for row in ledger.log.read_log(connection, after=0, limit=100_000)]


@BOTH_WAYS
class TestUnits:
    """Many units in one transaction, each all or none."""

    def test_each_unit_is_told_its_positions(self, ledger):
        a, b, c = uuid4(), uuid4(), uuid4()

        outcome = ledger.append_units(
            [[envelope(a, 1)], [envelope(b, 1), envelope(b, 2), envelope(c, 1)], [envelope(a, 2)]]
        )

        flat = [position for unit in outcome for position in unit]
        assert [len(unit) for unit in outcome] == [1, 3, 1]
        assert flat == sorted(set(flat))
        assert stored(ledger) == [(a, 1), (b, 1), (b, 2), (c, 1), (a, 2)]
        assert [event.position for event in ledger.history(b)] == flat[1:3]

    def test_a_unit_with_a_taken_version_is_left_out_whole_and_the_rest_is_stored(self, ledger):
        taken, fresh, other = uuid4(), uuid4(), uuid4()
        ledger.append_units([[envelope(taken, 1, 1)]])

        outcome = ledger.append_units(
            [
                [envelope(fresh, 1), envelope(taken, 1, 2), envelope(taken, 2)],
                [envelope(taken, 1, 3)],
                [envelope(other, 1)],
            ]
        )

        assert outcome[0] is None
        assert outcome[1] is None
        assert outcome[2] is not None
        assert stored(ledger) == [(taken, 1), (other, 1)]
        assert [event.fact for event in ledger.history(taken)] == [touch(1)]

    @pytest.mark.parametrize("sizes", [(1, 1), (2, 1), (1, 2), (2, 2)])
    def test_of_two_units_of_one_call_that_want_the_same_version_the_first_gets_it(self, ledger, sizes):
        stream = uuid4()
        units = [[envelope(stream, v, 10 * n) for v in range(1, 1 + s)] for n, s in enumerate(sizes)]

        outcome = ledger.append_units(units)

        assert outcome[0] is not None
        assert outcome[1] is None
        assert [event.fact for event in ledger.history(stream)] == [touch(0)] * sizes[0]

    def test_a_refused_unit_does_not_take_its_other_versions_from_later_ones(self, ledger):
        taken, wanted = uuid4(), uuid4()
        ledger.append_units([[envelope(taken, 1)]])

        outcome = ledger.append_units(
            [[envelope(wanted, 1, 1), envelope(taken, 1)], [envelope(wanted, 1, 2)]]
        )

        assert outcome[0] is None
        assert outcome[1] is not None
        assert [event.fact for event in ledger.history(wanted)] == [touch(2)]

    def test_nothing_to_store_stores_nothing(self, ledger):
        assert ledger.append_units([]) == []
        assert ledger.append_units([[]]) == [[]]
        assert ledger.append([], by="test") == []
        assert stored(ledger) == []

    def test_ten_thousand_in_one_call_all_come_back_in_order(self, ledger):
        units = [[envelope(uuid4(), 1, n)] for n in range(10_000)]

        outcome = ledger.append_units(units)

        positions = [unit[0] for unit in outcome]
        assert positions == sorted(positions)
        assert stored(ledger) == [(unit[0].originator_id, 1) for unit in units]

    def test_changes_get_consecutive_versions_one_time_and_one_author(self, ledger):
        stream, other = uuid4(), uuid4()
        ledger.append([Change(stream, 0, [touch(0)])], by="first")

        recorded = ledger.append(
            [Change(stream, 1, [touch(1), touch(2)]), Change(other, 0, [touch(3)])], by="second"
        )

        assert [(r.originator_id, r.originator_version, r.by) for r in recorded] == [
            (stream, 2, "second"),
            (stream, 3, "second"),
            (other, 1, "second"),
        ]
        assert {r.recorded_at for r in recorded} == {NOW}
        assert ledger.history(stream)[1:] == recorded[:2]

    def test_changes_upon_an_old_version_lose_the_race_whole(self, ledger):
        stream, other = uuid4(), uuid4()
        ledger.append([Change(stream, 0, [touch(0)])], by="first")

        assert (
            ledger.append([Change(other, 0, [touch(1)]), Change(stream, 0, [touch(1)])], by="second") is None
        )
        assert stored(ledger) == [(stream, 1)]


class TestWithin:
    """What runs in the transaction of an append shares its fate."""

    @staticmethod
    def mark(connection: sa.Connection) -> None:
        """Write something beside the events."""
        connection.execute(sa.text("INSERT INTO positions (name, position) VALUES ('test', 7)"))

    @staticmethod
    def marked(ledger: Ledger) -> bool:
        """Whether what was written beside is there."""
        with ledger.database.read() as connection:
            found = connection.execute(sa.text("SELECT count(*) FROM positions WHERE name = 'test'"))
            return bool(found.scalar_one())

    def test_events_and_what_is_written_beside_them_are_stored_together(self, ledger):
        outcome = ledger.append_units([[envelope(uuid4(), 1)], [envelope(uuid4(), 1)]], within=self.mark)

        assert None not in outcome
        assert len(stored(ledger)) == 2
        assert self.marked(ledger)

    def test_it_sees_the_events_and_runs_without_any_too(self, ledger):
        heads = []
        outcome = ledger.append_units(
            [[envelope(uuid4(), 1)]], within=lambda connection: heads.append(ledger.log.head(connection))
        )
        ledger.append_units([], within=self.mark)

        assert heads == outcome[0]
        assert self.marked(ledger)

    def test_an_error_in_it_stores_nothing(self, ledger):
        def fail(connection: sa.Connection) -> None:
            self.mark(connection)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            ledger.append_units([[envelope(uuid4(), 1)]], within=fail)

        assert stored(ledger) == []
        assert not self.marked(ledger)

    @pytest.mark.parametrize("racing", [1, 2], ids=["single", "of-two"])
    def test_what_runs_ahead_of_the_lock_is_undone_with_a_unit_that_lost(self, ledger, racing):
        """It sees nothing of the events yet; without any it is stored alone."""
        taken, heads = uuid4(), []
        ledger.append_units([[envelope(taken, 1)]])

        def before(connection: sa.Connection) -> None:
            heads.append(ledger.log.head(connection))
            self.mark(connection)

        unit = [envelope(taken, 1, 1), envelope(taken, 2)][:racing]
        assert ledger.append_units([[envelope(uuid4(), 1)], unit], before=before) == [None, None]
        assert stored(ledger) == [(taken, 1)]
        assert not self.marked(ledger)

        first = heads[0]
        ledger.append_units([[envelope(uuid4(), 1)]], before=lambda c: heads.append(ledger.log.head(c)))
        ledger.append_units([], before=self.mark)
        assert heads == [first, first]
        assert len(stored(ledger)) == 2
        assert self.marked(ledger)

    @pytest.mark.parametrize("racing", [1, 2], ids=["single", "of-two"])
    def test_one_unit_that_lost_a_race_undoes_all_and_it_is_not_run(self, ledger, racing):
        taken = uuid4()
        ledger.append_units([[envelope(taken, 1)]])
        runs: list[Any] = []
        unit = [envelope(taken, 1, 1), envelope(taken, 2)][:racing]

        outcome = ledger.append_units([[envelope(uuid4(), 1)], unit], within=runs.append)

        assert outcome == [None, None]
        assert runs == []
        assert stored(ledger) == [(taken, 1)]
        assert ledger.append([Change(taken, 0, [touch(1)])], by="test", within=self.mark) is None
        assert not self.marked(ledger)


@BOTH_WAYS
class TestTheLibrarysWayIn:
    """`EventStore.put`, which is what the library's own save ends in."""

    def test_put_stores_and_get_gives_back(self, ledger):
        stream = uuid4()

        positions = ledger.events.put([envelope(stream, 1, 1), envelope(stream, 2, 2)])

        assert len(positions) == 2
        assert [event.fact for event in ledger.events.get(stream)] == [touch(1), touch(2)]
        assert ledger.events.put([]) == []

    def test_put_raises_the_librarys_error_and_stores_nothing_when_a_version_is_taken(self, ledger):
        stream, other = uuid4(), uuid4()
        ledger.events.put([envelope(stream, 1)])

        with pytest.raises(IntegrityError):
            ledger.events.put([envelope(other, 1), envelope(stream, 1, 1)])

        assert stored(ledger) == [(stream, 1)]


class TestExecute:
    """Load, decide, append, and again when somebody else was first."""

    def test_it_gives_the_state_after_and_what_is_new(self, ledger):
        stream = uuid4()
        ledger.execute(stream, EVERYTHING, lambda _: [touch(1)], by="test")

        loaded, new = ledger.execute(stream, EVERYTHING, lambda _: [touch(2)], by="test")

        assert loaded == ((touch(1), touch(2)), 2)
        assert [event.fact for event in new] == [touch(2)]
        assert ledger.load(stream, EVERYTHING) == loaded

    def test_deciding_nothing_stores_nothing(self, ledger):
        assert ledger.execute(uuid4(), EVERYTHING, lambda _: [], by="test") == (((), 0), [])
        assert stored(ledger) == []

    def test_a_lost_race_is_decided_again_upon_what_the_winner_stored(self, ledger):
        stream = uuid4()
        seen: list[int] = []

        def decide(state: tuple[Fact, ...]) -> list[Fact]:
            if not seen:
                ledger.append([Change(stream, 0, [touch(1)])], by="winner")
            seen.append(len(state))
            return [touch(2)]

        loaded, _ = ledger.execute(stream, EVERYTHING, decide, by="loser")

        assert seen == [0, 1]
        assert loaded == ((touch(1), touch(2)), 2)

    def test_who_always_loses_is_told_so_in_the_end(self, ledger):
        stream = uuid4()

        def decide(state: tuple[Fact, ...]) -> list[Fact]:
            ledger.append([Change(stream, len(state), [touch(0)])], by="winner")
            return [touch(1)]

        with pytest.raises(LostRace):
            ledger.execute(stream, EVERYTHING, decide, by="loser")

        assert len(ledger.history(stream)) == ATTEMPTS_MAX


class TestBytes:
    """What is stored is what comes back."""

    FACT = ConversionRecorded(
        program_id=PROGRAM,
        source="shop",
        external_id="Größe \U0001f4b7 \\ \" ' %s %b",
        kind="sale",
        customer="c" * 200,
        amount_minor=10**13,
        currency="GBP",
        effective_at=datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC),
    )

    def test_the_state_of_a_fact_comes_back_byte_for_byte(self, ledger):
        stream = uuid4()
        recorded = Recorded(stream, 1, NOW, "key:1", self.FACT)
        written = ledger.facts.to_stored_event(recorded)
        [[position]] = ledger.append_units([[recorded]])

        with ledger.database.read() as connection:
            [row] = ledger.log.read_streams(connection, [stream])
            [same] = ledger.log.read_log(connection, after=0, limit=1)
            [tail] = ledger.log.read_tails(connection, {stream: 0})

        assert row == same == tail == (stream, 1, "ConversionRecorded@1", written.state, position)
        assert ledger.decode(row) == Recorded(stream, 1, NOW, "key:1", self.FACT, position)
        assert ledger.log.select_events(stream)[0].state == written.state

    def test_any_bytes_survive_the_database(self, ledger):
        stream, state = uuid4(), bytes(range(256)) * 40
        recorder: EventRecorder = ledger.log

        recorder.insert_events([StoredEvent(stream, 1, "Raw@1", state)])

        with ledger.database.read() as connection:
            assert [row[3] for row in recorder.read_streams(connection, [stream])] == [state]

    @pytest.mark.parametrize("topic", ["Nothing@1", "ConversionRecorded@999", "Conversion", "a:B", ""])
    def test_a_topic_that_is_not_ours_is_said_by_name(self, topic):
        with pytest.raises(UnknownTopic, match=topic or "^$"):
            FactMapper({}).decode(uuid4(), 1, topic, b"{}", 1)


class TestDurability:
    """The settings under the promise that an answer comes only after the commit is on disk."""

    def test_sqlite_writes_ahead_and_waits_for_the_disk(self, sqlite_database_url):
        database = Database(sqlite_database_url)
        for transaction in (database.read, database.write):
            with transaction() as connection:
                assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
                assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2  # FULL
                assert connection.exec_driver_sql("PRAGMA recursive_triggers").scalar_one() == 1
        database.close()

    def test_postgresql_waits_for_the_disk(self, postgresql_database_url):
        database = Database(postgresql_database_url)
        for transaction in (database.read, database.write):
            with transaction() as connection:
                for setting in ("synchronous_commit", "fsync", "full_page_writes"):
                    assert connection.exec_driver_sql(f"SHOW {setting}").scalar_one() == "on"
        logged = "SELECT relpersistence FROM pg_class WHERE relname = 'stored_events'"
        with database.read() as connection:
            assert connection.exec_driver_sql(logged).scalar_one() == "p"
        database.close()

    def test_connections_that_a_restart_closed_are_replaced_before_they_are_used(
        self, postgresql_database_url, monkeypatch
    ):
        """A connection that rested is asked first; the pool is renewed as a whole."""
        monkeypatch.setattr("ledger.store.database.PING_AFTER_S", 0)
        ledger = Ledger(Database(postgresql_database_url), clock=lambda: NOW)
        ledger.append_units([[envelope(uuid4(), 1)]])
        killer = Database(postgresql_database_url)
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        with killer.write() as connection:
            connection.exec_driver_sql(f"{others} AND pid <> pg_backend_pid()")

        assert ledger.append_units([[envelope(uuid4(), 1)]]) != [None]
        assert len(stored(ledger)) == 2
        killer.close()
        ledger.close()

    def test_other_databases_are_refused_by_name(self):
        with pytest.raises(ValueError, match="mysql"):
            engine_url("mysql://localhost/revshare")
