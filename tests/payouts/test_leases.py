"""Leases and their tokens: one worker at a time, and none records what it learned too late."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from ledger import payout
from ledger.store.application import Change
from payouts.leases import LEASE_FOR, LeaseLost, Leases, shard_of, table
from payouts.outcomes import Confirmed, Rejected
from payouts.turn import Turn, load
from tests.payouts.test_worker import CONFIRMED_FACTS
from tests.support.finance import Script
from tests.support.world import World

SECOND = timedelta(seconds=1)


@pytest.fixture
def two(finance):
    """Two workers' leases on one database."""
    ledger = finance.ledger
    return [Leases(ledger.database, ledger.clock, holder=name) for name in ("ann", "bob")]


def test_a_lease_has_one_holder_and_its_token_only_grows(finance, two):
    """Another one gets it when it is given back, or has ended; the token never comes again."""
    ann, bob = two
    tokens: list[int] = []
    for first, second in ((ann, bob), (bob, ann)):
        lease = first.take("payouts 1 of 8")
        assert second.take("payouts 1 of 8") is None
        assert second.take(f"payouts 2 of {len(tokens)}") is not None
        tokens.append(lease.token)
        first.release(lease)
    left = ann.take("payouts 1 of 8")
    finance.later(seconds=59)
    assert bob.take("payouts 1 of 8") is None
    finance.later(seconds=1)
    taken = bob.take("payouts 1 of 8")

    assert [*tokens, left.token, taken.token] == [1, 2, 3, 4]
    ann.release(left)  # comes too late: it is bob's
    assert ann.take("payouts 1 of 8") is None


def test_a_lease_is_renewed_before_it_ends_and_never_after(finance, two):
    """Not on each occasion, but once half of it is over; the token stays."""
    ann, bob = two
    lease = ann.take("payouts 1 of 8")
    finance.later(seconds=29)
    assert ann.renewed(lease) is lease
    finance.later(seconds=1)
    longer = ann.renewed(lease)
    assert (longer.token, longer.expires_at) == (lease.token, finance.world.now + LEASE_FOR)

    finance.later(seconds=60)
    with pytest.raises(LeaseLost):
        ann.renewed(longer)
    assert bob.take("payouts 1 of 8") is not None


@pytest.mark.parametrize("taken_over", [True, False])
def test_a_zombie_whose_lease_ended_cannot_record(finance, two, taken_over):
    """Whether somebody else has it by now or nobody: the append is refused in its own transaction."""
    finance.partner(available_minor=30_00)
    batch = finance.approved()
    ann, bob = two
    [at] = load(finance.ledger, [finance.payout(batch).payout_id])
    shard = shard_of(at.payout_id)
    zombie = Turn(finance.ledger, ann, ann.take(shard))
    facts = payout.record_intent(at.payout_id, at.state, body="{}", api_version="v", now=finance.world.now)
    finance.later(seconds=60)
    if taken_over:
        assert bob.take(shard) is not None
    before = finance.world.log()

    with pytest.raises(LeaseLost):
        zombie.append([Change(at.payout_id, at.version, facts)])

    assert finance.world.log() == before


def test_nobody_takes_a_lease_between_the_fence_and_its_commit(postgresql_database_url):
    """SQLite has one writer; on PostgreSQL the fence holds the lease's row until the append is committed."""
    world = World(postgresql_database_url)
    database = world.database
    ann = Leases(database, world.ledger.clock, holder="ann")
    lease = ann.take("payouts 1 of 8")
    assert lease is not None
    free = sa.select(table.c.lease).with_for_update(skip_locked=True)

    def can_be_taken():
        with database.write() as other:
            return list(other.execute(free).scalars())

    with database.write() as appending:
        ann.fence(lease)(appending)
        assert can_be_taken() == []
    assert can_be_taken() == [lease.name]
    world.close()


def test_a_holder_records(finance, two):
    """And loses an ordinary race where the stream has moved: the version is the second line."""
    finance.partner(available_minor=30_00)
    batch = finance.approved()
    [at] = load(finance.ledger, [finance.payout(batch).payout_id])
    turn = Turn(finance.ledger, two[0], two[0].take(shard_of(at.payout_id)))
    facts = payout.record_intent(at.payout_id, at.state, body="{}", api_version="v", now=finance.world.now)
    finance.later(seconds=59)

    assert turn.append([Change(at.payout_id, at.version, facts)]) is True
    assert turn.append([Change(at.payout_id, at.version, facts)]) is False


@pytest.mark.parametrize("heard", [Confirmed("tr_1"), Rejected("account_closed", "closed")])
def test_a_worker_that_slept_records_nothing_and_the_next_one_learns_it(finance, heard):
    """Its answer came a minute late, with nobody in between: the same key is asked again."""
    finance.partner(available_minor=30_00)
    batch = finance.approved()
    slept = finance.worker(Script(heard, before=lambda: finance.later(seconds=60)))

    finance.pay(slept)
    assert slept.counts["lease_lost"] == 1
    assert finance.payout(batch).status == "intent"
    finance.pay(finance.worker(Script(Confirmed("tr_1"))))

    assert finance.facts_of(finance.payout(batch)) == CONFIRMED_FACTS


def test_workers_on_different_shards_do_not_wait_for_each_other(finance):
    """While one is at work on a payout, another one pays those of the other shards."""
    partners = [finance.partner(f"p{n}", available_minor=10_00) for n in range(6)]
    batch = finance.approved()
    shards = {shard_of(p.payout_id) for p in batch.payouts}
    other = finance.worker(Script(Confirmed("tr_1")))
    paid: list[int] = []

    def meanwhile():
        if not paid:
            paid.append(0)
            paid[0] = other.step()

    finance.pay(finance.worker(Script(Confirmed("tr_2"), before=meanwhile)))

    mine = [shard_of(p.payout_id) for p in batch.payouts].count(shard_of(batch.payouts[0].payout_id))
    assert len(shards) == 1 or 0 < paid[0] <= len(partners) - min(mine, 1)
    finance.pay()
    assert {finance.payout(batch, p).status for p in partners} == {"confirmed"}
