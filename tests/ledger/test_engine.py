"""The reward engine: facts, time passes, new facts."""

from collections.abc import Iterator

import pytest

from ledger.engine import NotLeader, RewardEngine
from ledger.events.account import ClawbackOffset, MaturedRewardReversed, RewardMatured
from ledger.events.reward import ConversionNotRewarded, RewardAccrued, RewardReversed
from tests.support.world import World, day, terms


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    yield made
    made.close()


def test_a_sale_earns_its_rate_and_is_held(world: World) -> None:
    """20% of 139.12, rounded half-up once, held for 30 days from the sale's own time."""
    world.program()
    acme = world.partner("acme")
    world.touch("cus", acme, day(-3))

    world.send(world.sale("s1", "cus", 13_912, day(-1)))
    world.engine.drain()

    [accrued] = world.facts(RewardAccrued)
    assert accrued.amount_minor == 2_782
    assert accrued.matures_at == day(29)
    assert accrued.reason == "20% of 139.12 GBP for a sale (terms 1, rule 1)"
    assert world.rewarded(acme) == (2_782, 0)


def test_a_reward_matures_when_its_holding_period_ends(world: World) -> None:
    world.program()
    acme = world.partner("acme")
    world.touch("cus", acme, day(-3))
    world.send(world.sale("s1", "cus", 10_000, day(0)))
    world.now = day(30, hours=-1)
    world.engine.drain()
    assert world.rewarded(acme) == (2_000, 0)

    world.now = day(30)
    world.engine.drain()

    assert world.rewarded(acme) == (0, 2_000)
    [matured] = world.facts(RewardMatured)
    assert matured.effective_at == day(30)


def test_partial_refunds_reverse_exactly_the_difference(world: World) -> None:
    """Three refunds of one third each leave nothing, whatever each rounds to alone."""
    world.program()
    acme = world.partner("acme")
    world.touch("cus", acme, day(-3))
    world.send(world.sale("s1", "cus", 1_001, day(-2)))

    for number, amount in enumerate((333, 334, 334)):
        world.send(world.refund("s1", f"r{number}", amount, day(-1)))
    world.engine.drain()

    assert [r.amount_minor for r in world.facts(RewardReversed)] == [66, 67, 67]
    assert world.balances() == {}


def test_a_refund_that_came_first_waits_for_its_sale(world: World) -> None:
    world.program()
    acme = world.partner("acme")
    world.touch("cus", acme, day(-3))

    [waiting] = world.send(world.refund("s1", "r1", 400, day(-1)))
    world.engine.drain()
    world.send(world.sale("s1", "cus", 1_000, day(-2)))
    world.engine.drain()

    assert waiting.status == "new"
    assert world.rewarded(acme) == (120, 0)


def test_a_refund_after_the_payout_is_a_clawback_and_later_rewards_offset_it(world: World) -> None:
    from ledger import account, ids
    from ledger.desk import ACCOUNT

    world.program()
    acme = world.partner("acme")
    world.touch("cus", acme, day(-90))
    world.send(world.sale("s1", "cus", 10_000, day(-60)))
    world.engine.drain()
    account_id = ids.account_id(world.program_id, acme, "GBP")
    holder = account.Holder(world.program_id, acme, "GBP")
    world.ledger.execute(
        account_id,
        ACCOUNT,
        lambda state: account.reserve(
            state,
            holder,
            payout_id=world.program_id,
            attempt=1,
            net_minor=2_000,
            withheld_minor=0,
            effective_at=day(0),
        ),
        by="payouts",
    )

    world.send(world.refund("s1", "r1", 5_000, day(-1)))
    world.engine.drain()
    assert world.balances()[acme]["clawback_receivable"] == 1_000

    world.send(world.sale("s2", "cus", 4_000, day(-50)), world.sale("s3", "cus", 4_000, day(-50)))
    world.engine.drain()
    assert [o.amount_minor for o in world.facts(ClawbackOffset)] == [800, 200]
    assert "clawback_receivable" not in world.balances()[acme]
    assert world.rewarded(acme) == (0, 600)


def test_a_refund_of_a_matured_reward_takes_what_is_payable_first(world: World) -> None:
    world.program()
    acme = world.partner("acme")
    world.touch("cus", acme, day(-90))
    world.send(world.sale("s1", "cus", 10_000, day(-60)))
    world.engine.drain()

    world.send(world.refund("s1", "r1", 2_500, day(-1)))
    world.engine.drain()

    [reversal] = world.facts(MaturedRewardReversed)
    assert (reversal.payable_minor, reversal.clawback_minor) == (500, 0)
    assert world.rewarded(acme) == (0, 1_500)


def test_a_conversion_before_its_attribution_is_rewarded_when_it_arrives(world: World) -> None:
    world.program()
    acme = world.partner("acme")
    world.send(world.sale("s1", "cus", 10_000, day(-2)))
    world.engine.drain()
    assert [n.reason for n in world.facts(ConversionNotRewarded)] == ["not_attributed"]

    world.touch("cus", acme, day(-3))
    world.engine.drain()

    assert world.rewarded(acme) == (2_000, 0)


def test_a_touch_outside_the_window_earns_nothing(world: World) -> None:
    world.program(terms(attribution={"model": "first_touch", "window_days": 10}))
    acme = world.partner("acme")
    world.touch("cus", acme, day(-40))

    world.send(world.sale("s1", "cus", 10_000, day(-20)))
    world.engine.drain()

    assert world.rewarded(acme) == (0, 0)


@pytest.mark.parametrize(("model", "winner"), [("first_touch", "early"), ("last_touch", "late")])
def test_the_terms_say_which_touch_wins(world: World, model: str, winner: str) -> None:
    """And it stays so for the customer's later sales, long after the window."""
    world.program(terms(attribution={"model": model, "window_days": 30}))
    early, late = world.partner("early"), world.partner("late")
    world.touch("cus", late, day(-102))
    world.touch("cus", early, day(-110))

    world.send(world.sale("s1", "cus", 1_000, day(-100)), world.sale("s2", "cus", 1_000, day(-10)))
    world.engine.drain()

    expected = {"early": early, "late": late}[winner]
    assert set(world.balances()) == {expected}
    assert world.rewarded(expected) == (200, 200)


def test_an_earlier_first_touch_that_arrives_late_takes_the_reward_over(world: World) -> None:
    world.program()
    first, second = world.partner("first"), world.partner("second")
    world.touch("cus", second, day(-5))
    world.send(world.sale("s1", "cus", 1_000, day(-4)))
    world.engine.drain()
    assert world.rewarded(second) == (200, 0)

    world.touch("cus", first, day(-6))
    world.engine.drain()

    assert world.rewarded(second) == (0, 0)
    assert world.rewarded(first) == (200, 0)


def test_finance_splits_a_customer_between_partners(world: World) -> None:
    """The parts of the reward sum to the whole; sales before the decision stay where they were."""
    world.program()
    one, two, three = world.partner("one"), world.partner("two"), world.partner("three")
    world.touch("cus", one, day(-20))
    world.send(world.sale("s1", "cus", 1_000, day(-10)), world.sale("s2", "cus", 1_001, day(-4)))
    world.engine.drain()

    world.reattribute("cus", {one: 3_333, two: 3_333, three: 3_334}, day(-5))
    world.engine.drain()

    parts = [a.amount_minor for a in world.facts(RewardAccrued) if a.share_bps < 10_000]
    assert sum(parts) == 200
    assert world.rewarded(one)[0] - 200 in (66, 67)
    assert world.rewarded(two)[0] in (66, 67)
    assert world.rewarded(three) == (67, 0)


def test_a_cap_is_used_up_in_log_order_and_the_reward_says_what_was_left(world: World) -> None:
    world.program(terms(caps={"per_customer_minor": 300}))
    acme = world.partner("acme")
    world.touch("cus", acme, day(-9))

    world.send(*(world.sale(f"s{n}", "cus", 1_000, day(-n)) for n in (1, 2, 3)))
    world.engine.drain()

    assert [(a.amount_minor, [c.left_minor for c in a.caps]) for a in world.facts(RewardAccrued)] == [
        (200, []),
        (100, [100]),
    ]
    assert [n.reason for n in world.facts(ConversionNotRewarded)] == ["cap_used_up"]
    assert world.rewarded(acme) == (300, 0)


def test_a_cap_per_period_counts_calendar_months(world: World) -> None:
    world.program(terms(caps={"per_period": {"period": "month", "amount_minor": 250}}, holding_days=0))
    acme = world.partner("acme")
    world.touch("a", acme, day(-100))
    world.touch("b", acme, day(-100))

    world.send(
        world.sale("nov1", "a", 1_000, day(-40)),
        world.sale("nov2", "b", 1_000, day(-39)),
        world.sale("dec1", "a", 1_000, day(-10)),
    )
    world.engine.drain()

    assert [a.amount_minor for a in world.facts(RewardAccrued)] == [200, 50, 200]


def test_payments_and_months_end(world: World) -> None:
    rules = [
        {"kinds": ["sale"], "products": ["seat"], "reward": {"rate_bps": 1_000}, "duration": {"payments": 2}},
        {"kinds": ["sale"], "reward": {"flat_minor": 500}, "duration": {"months": 2}},
    ]
    world.program(terms(rules=rules))
    acme = world.partner("acme")
    world.touch("cus", acme, day(-200))
    import msgspec

    seats = [
        msgspec.structs.replace(world.sale(f"p{n}", "cus", 1_000, day(-190 + n)), product="seat")
        for n in range(3)
    ]
    world.send(*seats, world.sale("m1", "cus", 1_000, day(-150)), world.sale("m2", "cus", 1_000, day(-100)))
    world.engine.drain()

    assert [a.amount_minor for a in world.facts(RewardAccrued)] == [100, 100, 500]
    assert [n.reason for n in world.facts(ConversionNotRewarded)] == ["payments_used_up", "duration_ended"]


def test_a_dispute_holds_a_reward_until_it_is_won(world: World) -> None:
    world.program()
    acme = world.partner("acme")
    world.touch("cus", acme, day(-3))
    world.send(world.sale("s1", "cus", 1_000, day(0)))
    world.engine.drain()
    world.now = day(5)
    world.send(world.open_dispute("s1", day(4)))
    world.engine.drain()
    world.now = day(60)
    world.engine.drain()
    assert world.rewarded(acme) == (200, 0)

    world.send(world.win_dispute("s1", day(59)))
    world.engine.drain()

    assert world.rewarded(acme) == (0, 200)


def test_a_lost_dispute_and_a_cancellation_take_everything_back(world: World) -> None:
    world.program()
    acme = world.partner("acme")
    world.touch("cus", acme, day(-3))
    world.send(world.sale("s1", "cus", 1_000, day(-2)), world.sale("s2", "cus", 1_000, day(-2)))
    world.engine.drain()

    world.send(world.open_dispute("s1", day(-1)), world.lose_dispute("s1", day(-1)))
    world.send(world.cancellation("s2", day(-1)))
    world.engine.drain()

    assert world.balances() == {}
    assert [r.reason for r in world.facts(RewardReversed)] == ["dispute_lost", "cancellation"]


def test_later_terms_do_not_touch_what_was_rewarded(world: World) -> None:
    world.program()
    acme = world.partner("acme")
    world.touch("cus", acme, day(-20))
    world.send(world.sale("s1", "cus", 1_000, day(-10)))
    world.engine.drain()

    half = terms(rules=[{"kinds": ["sale"], "reward": {"rate_bps": 5_000}}])
    world.publish(half, effective_at=day(-5))
    world.agree(acme, day(-5), version=2)
    world.send(world.refund("s1", "r1", 500, day(-1)), world.sale("s2", "cus", 1_000, day(-1)))
    world.engine.drain()

    assert world.rewarded(acme) == (100 + 500, 0)


def test_an_agreement_that_arrives_late_rewards_what_it_covers(world: World) -> None:
    world.program()
    acme = world.applicant("acme")
    world.touch("cus", acme, day(-20))
    world.send(world.sale("s1", "cus", 1_000, day(-10)))
    world.engine.drain()
    assert [n.reason for n in world.facts(ConversionNotRewarded)] == ["no_agreement"]

    world.agree(acme, day(-15))
    world.engine.drain()

    assert world.rewarded(acme) == (200, 0)


def test_reading_again_changes_nothing(world: World) -> None:
    """The position stands in the transaction of the rewards: a new engine goes on where the last one was."""
    world.program()
    acme = world.partner("acme")
    world.touch("cus", acme, day(-3))
    world.send(world.sale("s1", "cus", 1_000, day(-2)))
    world.engine.drain()
    before = len(world.log())

    RewardEngine(world.ledger).drain()

    assert len(world.log()) == before


def test_a_second_engine_is_fenced_off(world: World) -> None:
    world.program()
    acme = world.partner("acme")
    world.touch("cus", acme, day(-3))
    other = RewardEngine(world.ledger)
    other.drain()
    world.send(world.sale("s1", "cus", 1_000, day(-2)))
    world.engine.drain()

    with pytest.raises(NotLeader):
        other.step()

    assert len(world.facts(RewardAccrued)) == 1
