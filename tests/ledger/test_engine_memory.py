"""What the engine keeps between its steps: nothing older than the log, and nothing without the facts."""

from collections.abc import Iterator
from typing import Any

import pytest

from ledger.commands import SuspendPartner
from ledger.engine import NotLeader, RewardEngine
from ledger.engine.workspace import Workspace
from ledger.events.reward import ConversionNotRewarded, RewardAccrued
from tests.support.world import World, day, terms


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    yield made
    made.close()


def test_what_was_known_of_a_partner_does_not_outlive_a_new_fact(world: World) -> None:
    """The engine keeps what partners agreed to: a suspension, or another agreement, is heeded at once, and a
    sale from before the agreement earns nothing, whatever came first."""
    world.program()
    acme = world.partner("acme", agreed=day(-12))
    world.touch("cus", acme, day(-20))
    world.send(world.sale("s1", "cus", 1_000, day(-10)))
    world.engine.drain()
    world.send(world.sale("s2", "cus", 1_000, day(-13)))
    world.engine.drain()
    assert world.rewarded(acme) == (200, 0)

    half = terms(rules=[{"kinds": ["sale"], "reward": {"rate_bps": 5_000}}])
    world.publish(half, effective_at=day(-5))
    world.agree(acme, day(-5), version=2)
    world.send(world.sale("s3", "cus", 1_000, day(-4)), world.sale("s4", "cus", 1_000, day(-6)))
    world.engine.drain()
    assert world.rewarded(acme) == (200 + 500 + 200, 0)

    world.desk.execute(SuspendPartner(partner_id=acme, reason="asked to"), by="test")
    world.send(world.sale("s5", "cus", 1_000, world.now), world.sale("s6", "cus", 1_000, day(-4)))
    world.engine.drain()
    assert world.rewarded(acme) == (200 + 500 + 200 + 500, 0)
    assert [n.reason for n in world.facts(ConversionNotRewarded)][-1] == "partner_suspended"


def test_who_leads_again_knows_what_another_engine_read_meanwhile(world: World) -> None:
    """Two engines take turns, as after a failover and back: the first one knew the partner as approved."""
    world.program()
    acme = world.partner("acme")
    world.touch("cus", acme, day(-5))
    world.send(world.sale("s1", "cus", 1_000, day(-4)))
    world.engine.drain()
    world.desk.execute(SuspendPartner(partner_id=acme, reason="asked to"), by="test")
    RewardEngine(world.ledger).drain()
    world.send(world.sale("s2", "cus", 1_000, world.now))
    with pytest.raises(NotLeader):
        world.engine.step()
    world.engine._turn = None  # what `run` does then
    world.engine.drain()

    assert [n.reason for n in world.facts(ConversionNotRewarded)] == ["partner_suspended"]


@pytest.mark.parametrize("after", ["memory", "facts"])
def test_a_crash_before_the_commit_leaves_nothing_behind(
    world: World, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    """What the engine remembers, and its position, are written first and the facts last, all or nothing."""
    world.program()
    acme = world.partner("acme")
    world.touch("cus", acme, day(-3))
    world.send(world.sale("s1", "cus", 1_000, day(-2)))
    with monkeypatch.context() as patch:

        def crash(*_: object) -> None:
            raise RuntimeError("the power fails")

        def insert_and_crash(*given: Any) -> None:
            insert(*given)
            crash()

        insert = world.ledger.log._insert
        if after == "memory":
            patch.setattr(Workspace, "_save_work", crash)
        else:
            patch.setattr(world.ledger.log, "_insert", insert_and_crash)
        with pytest.raises(RuntimeError, match="power"):
            world.engine.drain()
    assert world.facts(RewardAccrued) == []

    RewardEngine(world.ledger).drain()

    assert world.rewarded(acme) == (200, 0)
