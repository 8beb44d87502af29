"""The audit log on both databases: a leaf for every fact, in log order; checkpoints that only ever grow."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger import ids
from ledger.audit import merkle, notes
from ledger.audit.notes import Signer
from ledger.events.period import PeriodClosed, StatementAmounts, StatementIssued
from ledger.postings import postings
from ledger.store.application import Change
from ledger.store.database import DatabaseUnavailable
from projections import audit_log, checkpoints
from projections.audit_log import Sequencer, entry_of
from projections.checkpoints import CheckpointMaker, LogBroken, latest
from projections.verification import verify_ledger
from tests.support.backup import Backup
from tests.support.world import World, day

ORIGIN = "ledger.example/log"


@pytest.fixture
def world(database_url):
    made = World(database_url)
    yield made
    made.close()


@pytest.fixture
def signer():
    return Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))


@pytest.fixture
def maker(world, signer):
    return CheckpointMaker(world.ledger, signer, interval=timedelta(minutes=1))


def sell(world, count, first=0):
    """Sales of one partner's customer, rewarded."""
    if not first:
        world.program()
        world.touch("customer", world.partner("partner"), day(-1))
    sales = [world.sale(f"order-{n}", "customer", 1_000 + n, day(0)) for n in range(first, first + count)]
    world.send(*sales)
    world.engine.drain()


def issued(program_id, count):
    """A statement like any other."""
    nothing = StatementAmounts(**dict.fromkeys(StatementAmounts.__struct_fields__, 0))
    return StatementIssued(
        program_id=program_id,
        partner_id=UUID(int=count),
        period="2024-01",
        currency="GBP",
        number=f"program-{count:06}",
        count=count,
        statement_version=1,
        details_position=1,
        content_version=1,
        opening=nothing,
        closing=nothing,
        lines=0,
        content_sha256="0" * 64,
    )


def close(world, count):
    """A closed month like any other, the program's first, second …, and its leaf."""
    fact = PeriodClosed(
        program_id=world.program_id,
        period=f"2024-{count:02}",
        begins_at=day(0),
        ends_at=day(1),
        time_zone="UTC",
        through_position=1,
        after_position=0,
        later_after_position=0,
        closed_by="cli",
    )
    world.ledger.append([Change(ids.periods_id(world.program_id), count - 1, [fact])], by="cli")
    Sequencer(world.ledger).catch_up()


def look_without_signing(maker, monkeypatch):
    """A step in which the database goes away before its signature is kept."""

    def unavailable(*_):
        raise DatabaseUnavailable("away")

    with monkeypatch.context() as gone:
        gone.setattr(maker, "_keep", unavailable)
        with pytest.raises(DatabaseUnavailable):
            maker.step()


def rows(world):
    with world.database.read() as connection:
        return world.ledger.log.read_log(connection, after=0, limit=1_000_000)


def stored(world):
    """The stored tree: its size, and its root."""
    with world.database.read() as connection:
        size = audit_log.tree_size(connection)
        return size, merkle.root(audit_log.tiles_of(connection), size)


@pytest.mark.parametrize("batch_events", [1, 7, 256, 4_000])
def test_every_fact_is_a_leaf_in_log_order(world, batch_events):
    sell(world, 150)
    sequencer = Sequencer(world.ledger, batch_events=batch_events)
    sequencer.catch_up()
    sell(world, 150, first=150)

    sequencer.catch_up()

    found = rows(world)
    leaves = [merkle.leaf_hash(entry_of(world.ledger, row)) for row in found]
    assert len(leaves) > 600
    assert stored(world) == (len(leaves), merkle.root_of(leaves))
    with world.database.read() as connection:
        for index in (0, 1, 255, 256, 257, len(found) - 1):
            assert audit_log.index_of(connection, found[index][4]) == index
        assert audit_log.index_of(connection, found[-1][4] + 1) is None
        assert audit_log.index_of(connection, 0) is None


def test_an_entry_has_the_fact_and_its_legs(world):
    """Written out by the format's own words (docs/audit-log.md), not by our code."""
    sell(world, 1)
    [row] = [row for row in rows(world) if row[2].startswith("RewardAccrued@")]
    stream, version, topic, state, place = row

    entry = entry_of(world.ledger, row)

    def short(text):
        return len(text).to_bytes(2, "big") + text.encode()

    expected = b"revshare entry v1\n" + place.to_bytes(8, "big") + stream.bytes + version.to_bytes(8, "big")
    expected += short(topic) + len(state).to_bytes(4, "big") + hashlib.sha256(state).digest()
    legs = postings(world.ledger.decode(row).fact)
    assert [leg.amount_minor for leg in legs] == [200, -200]
    expected += len(legs).to_bytes(2, "big")
    for leg in legs:
        expected += short(leg.account) + short(leg.currency)
        expected += leg.amount_minor.to_bytes(8, "big", signed=True)
        expected += leg.program_id.bytes + leg.partner_id.bytes + (1).to_bytes(4, "big")
    assert entry == expected


def test_two_sequencers_add_each_leaf_once(world):
    sell(world, 100)
    one, two = (Sequencer(world.ledger, batch_events=50) for _ in range(2))

    while one.step() + two.step():
        pass

    leaves = [merkle.leaf_hash(entry_of(world.ledger, row)) for row in rows(world)]
    assert stored(world) == (len(leaves), merkle.root_of(leaves))


def test_two_sequencers_at_the_same_time_add_each_leaf_once(world):
    """Each works its part of the tree out before it may write: what another one wrote meanwhile tells."""
    sell(world, 200)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(Sequencer(world.ledger, batch_events=7).catch_up) for _ in range(2)]:
            done.result()

    leaves = [merkle.leaf_hash(entry_of(world.ledger, row)) for row in rows(world)]
    assert stored(world) == (len(leaves), merkle.root_of(leaves))


def test_it_rests_between_two_batches_unless_it_is_behind(world):
    """So facts that come one by one are sealed together: each batch is a commit that ingest waits for. Where
    nothing happens it looks more often, so that what comes then is sealed soon."""
    sell(world, 100)

    class Stop(threading.Event):
        def __init__(self):
            super().__init__()
            self.rests = []

        def wait(self, timeout=None):
            self.rests.append(timeout)
            if len(self.rests) == 1:
                sell(world, 3, first=100)
            elif len(self.rests) == 3:
                self.set()
            return self.is_set()

    stop = Stop()
    Sequencer(world.ledger, batch_events=50).run(stop)

    # Behind by four batches and a rest of one; then the new sales; then nothing.
    assert stop.rests == [audit_log.REST_S, audit_log.REST_S, audit_log.IDLE_S]
    assert stored(world)[0] == len(rows(world))


class TestCheckpoints:
    def test_a_head_tells_the_position_of_its_own_last_leaf_while_the_sequencer_goes_on(
        self, world, maker, monkeypatch
    ):
        sell(world, 5)
        sequencer = Sequencer(world.ledger)
        sequencer.catch_up()
        sealed = rows(world)[-1][4]
        sell(world, 5, first=5)

        def while_others_work(connection):
            found = latest(connection)
            sequencer.catch_up()
            return found

        with monkeypatch.context() as patch:
            patch.setattr(checkpoints, "latest", while_others_work)
            head = maker.step()

        with world.database.read() as connection:
            signed = latest(connection)
        assert (signed.size, signed.position) == (head.size, sealed)
        assert [str(finding) for finding in verify_ledger(world.ledger).findings] == []
        assert maker.step(now_wanted=True).size > head.size

    """Signed when it is time; never for a tree that is not the continuation of the one before."""

    def test_the_head_is_signed_and_says_how_far_it_goes(self, world, maker, signer):
        sell(world, 3)
        Sequencer(world.ledger).catch_up()

        head = maker.step()

        with world.database.read() as connection:
            row = latest(connection)
        text, _ = notes.open_note(row.note, [signer.verifier])
        assert notes.parse_checkpoint(text) == head
        assert (head.size, head.root) == stored(world)
        assert (row.position, row.cause) == (rows(world)[-1][4], "first")
        assert maker.step() is None, "nothing new: nothing to sign"

    def test_a_new_one_waits_for_its_interval(self, world, maker):
        sell(world, 1)
        sequencer = Sequencer(world.ledger)
        sequencer.catch_up()
        maker.step()
        sell(world, 1, first=1)
        sequencer.catch_up()
        assert maker.step() is None

        world.now += timedelta(minutes=1)

        assert maker.step().size == len(rows(world))

    def test_two_makers_at_once_sign_a_head_once(self, world, maker, signer):
        """The other one's is written and not committed yet, when this one looks whether there is one."""
        sell(world, 3)
        Sequencer(world.ledger).catch_up()
        size, root = stored(world)
        row = {"size": size, "position": rows(world)[-1][4], "root": root, "note": "", "cause": "first"}
        with ThreadPoolExecutor(1) as pool, world.database.write() as other:
            other.execute(sa.insert(audit_log.checkpoints), [row | {"made_at": world.now}])
            made = pool.submit(maker.step)
            assert not wait([made], timeout=0.5).done

            other.commit()
            assert made.result(timeout=20) is None

    def test_a_run_of_statements_is_sealed_once_when_it_is_over(self, world, maker):
        """However many appends it takes, and however often somebody looks."""
        sell(world, 1)
        sequencer = Sequencer(world.ledger)
        sequencer.catch_up()
        maker.step()
        program_id = world.program_id
        causes = []
        for count in range(1, 9):
            world.now += timedelta(seconds=1 if count < 7 else 2)
            if count < 6:
                fact = issued(program_id, count)
                world.ledger.append([Change(ids.statements_id(program_id), count - 1, [fact])], by="cli")
                sequencer.catch_up()
            if maker.step() is not None:
                with world.database.read() as connection:
                    causes.append((count, latest(connection).cause))

        assert causes == [(7, "statement_issued")]

    def test_each_fact_is_looked_at_once(self, world, maker, monkeypatch):
        """However often somebody looks before the interval is over: twice a second, in a minute's facts."""
        sell(world, 1)
        sequencer = Sequencer(world.ledger)
        sequencer.catch_up()
        maker.step()
        looked: list[int] = []
        read_log = world.ledger.log.read_log

        def reading(connection, *, after, limit, stop=None, topics=()):
            looked.extend(range(after + 1, stop + 1) if topics else [])
            return read_log(connection, after=after, limit=limit, stop=stop, topics=topics)

        monkeypatch.setattr(world.ledger.log, "read_log", reading)
        for first in range(1, 5):
            sell(world, 1, first=first)
            sequencer.catch_up()
            assert [maker.step(), maker.step()] == [None, None]

        assert len(looked) == len(set(looked)) == 8, "a sale and its reward, four times"

    def test_what_was_seen_and_not_signed_still_asks(self, world, maker, monkeypatch):
        """The database goes away between the look and the signature."""
        sell(world, 1)
        Sequencer(world.ledger).catch_up()
        maker.step()
        close(world, 1)
        look_without_signing(maker, monkeypatch)

        head = maker.step()

        with world.database.read() as connection:
            signed = latest(connection)
        assert (signed.size, signed.cause) == (head.size, "period_closed")
        assert signed.size == stored(world)[0]
        sell(world, 1, first=1)
        Sequencer(world.ledger).catch_up()
        assert maker.step() is None, "it asks once"

    def test_what_was_seen_asks_no_more_once_it_is_lost(self, world, maker, monkeypatch, tmp_path):
        """A closing is lost with what came behind the backup; the next facts stand where it stood."""
        sell(world, 1)
        Sequencer(world.ledger).catch_up()
        maker.step()
        backup = Backup(world.database, tmp_path)
        close(world, 1)
        look_without_signing(maker, monkeypatch)
        backup.put_back()
        assert maker.step() is None
        sell(world, 1, first=1)
        Sequencer(world.ledger).catch_up()
        assert maker.step() is None

        close(world, 1)

        assert maker.step().size == stored(world)[0]

    @pytest.mark.parametrize(
        "tampering",
        [
            "DELETE FROM audit_bundles",
            "DELETE FROM audit_tiles WHERE level = 0 AND tile = 0",
            "UPDATE audit_tiles SET hashes = (SELECT root FROM audit_checkpoints) WHERE level = 0",
        ],
    )
    def test_a_tree_that_was_changed_is_not_signed(self, world, maker, tampering):
        sell(world, 100)
        sequencer = Sequencer(world.ledger)
        sequencer.catch_up()
        maker.step()
        sell(world, 100, first=100)
        sequencer.catch_up()
        world.now += timedelta(minutes=1)
        with world.database.write() as connection:
            connection.execute(sa.text(tampering))

        with pytest.raises(LogBroken):
            maker.step()
