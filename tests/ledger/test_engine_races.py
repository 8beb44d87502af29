"""The engine and others who write the same streams: a lost race is taken again, a lost cause is named."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog.testing

from ledger import ids
from ledger.engine import EngineStuck
from ledger.engine.engine import LOST_MAX, RETRY_S
from ledger.events.reward import ConversionNotRewarded, RewardAccrued
from ledger.store.application import Change
from tests.support.world import World, day


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    yield made
    made.close()


def _write_into_the_rewards_of(world: World, name: str) -> None:
    """A fact in a stream that the engine alone should write."""
    conversion = world.conversion_id(name)
    fact = ConversionNotRewarded(
        conversion_id=conversion,
        program_id=world.program_id,
        customer_id=ids.customer_id(world.program_id, "cus"),
        reason="not_attributed",
        detail="",
        effective_at=day(-1),
        cause_position=1,
    )
    world.ledger.append([Change(ids.rewards_id(conversion), 0, [fact])], by="somebody")


def test_a_rewards_stream_that_somebody_else_wrote_is_named_and_not_tried_for_ever(world: World) -> None:
    """After a bounded number of lost races: which stream, what stands there, and up to where it is known."""
    world.program()
    world.touch("cus", world.partner("acme"), day(-3))
    world.send(world.sale("s1", "cus", 10_000, day(-1)))
    _write_into_the_rewards_of(world, "s1")

    with pytest.raises(
        EngineStuck, match=r"`read` lost its race 20 times in a row: stream \S+ holds"
    ) as stuck:
        world.engine.drain()

    assert str(ids.rewards_id(world.conversion_id("s1"))) in str(stuck.value)
    assert "ConversionNotRewarded@1 as its version 1" in str(stuck.value)
    assert world.facts(RewardAccrued) == []


def test_races_lost_now_and_then_are_no_lost_cause(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those in a row count: each step that is stored begins the count anew."""
    world.program()
    world.touch("cus", world.partner("acme"), day(-3))
    world.engine.drain()
    append, tries = world.ledger.append_units, 0

    def losing(*given: Any, **named: Any) -> Any:
        nonlocal tries
        tries += 1
        return [None] if tries % LOST_MAX else append(*given, **named)

    monkeypatch.setattr(world.ledger, "append_units", losing)
    for number in range(3):
        world.send(world.sale(f"s{number}", "cus", 10_000, day(-1)))
        world.engine.drain()

    assert len(world.facts(RewardAccrued)) == 3
    assert tries > 2 * LOST_MAX


def test_a_stuck_engine_says_so_in_the_log_and_goes_on_once_it_can(world: World) -> None:
    """It stays the leader, tells the error, and waits between its attempts."""
    world.program()
    world.touch("cus", world.partner("acme"), day(-3))
    world.engine.drain()
    world.send(world.sale("s1", "cus", 10_000, day(-1)))
    _write_into_the_rewards_of(world, "s1")

    class TwoWaits(threading.Event):
        waits = 0

        def wait(self, timeout: float | None = None) -> bool:
            self.waits += timeout == RETRY_S
            if self.waits == 2:
                self.set()
            return self.is_set()

    with structlog.testing.capture_logs() as logs:
        world.engine.run(TwoWaits())

    assert [line["event"] for line in logs] == ["the engine is stuck"] * 2
    assert "ConversionNotRewarded@1" in logs[0]["error"]
