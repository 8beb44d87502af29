"""The reward engine where shares, caps, payments and late terms meet: nothing is lost, nothing paid twice."""

from collections.abc import Iterator

import pytest

from ledger.events.reward import ConversionNotRewarded, RewardAccrued, RewardReversed
from tests.support.world import World, day, terms


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    yield made
    made.close()


def test_a_new_share_finds_the_room_that_the_old_one_leaves_under_the_cap(world: World) -> None:
    world.program(terms(caps={"per_customer_minor": 300}))
    one, two = world.partner("one"), world.partner("two")
    world.touch("cus", one, day(-9))
    world.send(world.sale("s1", "cus", 1_500, day(-5)))
    world.engine.drain()
    assert world.rewarded(one) == (300, 0)

    world.reattribute("cus", {one: 5_000, two: 5_000}, day(-8))
    world.engine.drain()

    assert world.rewarded(one) == (150, 0)
    assert world.rewarded(two) == (150, 0)


def test_a_payment_that_moved_to_another_partner_is_free_again(world: World) -> None:
    world.program(
        terms(rules=[{"kinds": ["sale"], "reward": {"rate_bps": 2_000}, "duration": {"payments": 1}}])
    )
    one, two = world.partner("one"), world.partner("two")
    world.touch("cus", one, day(-9))
    world.send(world.sale("s1", "cus", 1_000, day(-5)))
    world.engine.drain()

    world.reattribute("cus", {two: 10_000}, day(-8))
    world.engine.drain()
    assert (world.rewarded(one), world.rewarded(two)) == ((0, 0), (200, 0))

    world.reattribute("cus", {one: 10_000}, day(-7))
    world.engine.drain()
    assert (world.rewarded(one), world.rewarded(two)) == ((200, 0), (0, 0))


@pytest.mark.parametrize(
    ("reward", "amount", "whole"),
    [({"flat_minor": 10}, 5_000, 10), ({"rate_bps": 500}, 199, 10), ({"rate_bps": 10_000}, 101, 101)],
)
def test_parts_of_a_split_sum_to_the_whole_reward(
    world: World, reward: dict[str, int], amount: int, whole: int
) -> None:
    """Also when the one partner's share stays and the other's goes to a third."""
    world.program(terms(rules=[{"kinds": ["sale"], "reward": reward}]))
    partners = [world.partner(f"p{n}") for n in range(8)]
    world.touch("cus", partners[0], day(-9))
    world.send(world.sale("s1", "cus", amount, day(-5)))
    world.engine.drain()

    for number, some in enumerate((partners[:8], partners[:2], [partners[2], partners[0]], partners[5:7])):
        world.reattribute("cus", dict.fromkeys(some, 10_000 // len(some)), day(-8, hours=number))
        world.engine.drain()
        assert sum(world.rewarded(partner)[0] for partner in partners) == whole


def test_terms_and_agreement_that_arrive_after_everything_else_count(world: World) -> None:
    """A referral and a sale came first; then terms and an agreement that held before both."""
    world.program(terms(attribution={"model": "first_touch", "window_days": 1}))
    acme = world.applicant("acme")
    world.touch("cus", acme, day(-20))
    world.send(world.sale("s1", "cus", 1_000, day(-10)))
    world.engine.drain()

    world.publish(terms(), effective_at=day(-30))
    world.agree(acme, day(-25), version=2)
    world.engine.drain()

    assert world.rewarded(acme) == (200, 0)
    assert {n.reason for n in world.facts(ConversionNotRewarded)} == {"not_attributed"}


def test_many_refunds_each_reverse_their_own_part(world: World) -> None:
    """A thousand in one request: one pass over them, not one per refund; the rest of the sale stands."""
    world.program()
    acme = world.partner("acme")
    world.touch("cus", acme, day(-9))

    wishes = [world.refund("s1", f"r{n}", 7, day(-1)) for n in range(1_000)]
    world.send(world.sale("s1", "cus", 10_000, day(-5)), *wishes)
    world.engine.drain()

    reversals = [r.amount_minor for r in world.facts(RewardReversed)]
    assert sum(reversals) == 1_400
    assert len(reversals) == 1_000
    assert world.rewarded(acme) == (600, 0)


def test_a_reward_whose_time_is_over_by_a_late_fact_is_taken_back(world: World) -> None:
    """A sale before the others moves the customer's first month."""
    world.program(
        terms(
            rules=[{"kinds": ["sale"], "reward": {"rate_bps": 2_000}, "duration": {"months": 1}}],
            attribution={"model": "first_touch", "window_days": 20},
        )
    )
    acme = world.partner("acme")
    world.touch("cus", acme, day(-80))
    world.touch("cus", acme, day(-12))
    world.send(world.sale("late", "cus", 1_000, day(-10)))
    world.engine.drain()
    assert world.rewarded(acme) == (200, 0)

    world.send(world.sale("early", "cus", 500, day(-70)))
    world.engine.drain()

    assert world.rewarded(acme) == (0, 100)
    assert [a.amount_minor for a in world.facts(RewardAccrued)] == [200, 100]
    assert [r.reason for r in world.facts(RewardReversed)] == ["duration_ended"]
