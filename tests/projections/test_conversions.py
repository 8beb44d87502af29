"""Conversions: facts about them count from the moment they are both there, in whatever order they came."""

from typing import Any

import pytest

from ledger import ids
from ledger.events.conversion import ConversionCanceled, DisputeLost, DisputeOpened, DisputeWon
from ledger.events.reward import ConversionNotRewarded
from projections import tables
from projections.conversions import standing
from projections.runner import Runner
from tests.projections.world import PROGRAM, conversion, day

ABOUT: dict[str, Any] = {
    "program_id": PROGRAM,
    "source": "shop",
    "external_id": "invoice-1",
    "effective_at": day(3),
}


def opened(amount=None, dispute="d1"):
    return DisputeOpened(**ABOUT, dispute_id=dispute, amount_minor=amount)


def won(dispute="d1"):
    return DisputeWon(**ABOUT, dispute_id=dispute)


def lost(dispute="d1"):
    return DisputeLost(**ABOUT, dispute_id=dispute)


@pytest.mark.parametrize("batch_events", [1, 100])
def test_a_refund_before_its_conversion_is_kept_and_counted(world, ledger, rows, batch_events):
    """Nothing shows until the conversion is there; then the refund does at once."""
    runner = Runner(ledger, batch_events=batch_events)
    world.refund(1, 2_500)
    world.refund(1, 1_000, "r2")
    runner.catch_up()
    assert rows(tables.conversions) == []
    assert [fact["reference"] for fact in rows(tables.conversion_facts)] == ["r1", "r2"]

    world.sale(1)
    runner.catch_up()
    (row,) = rows(tables.conversions)
    assert (row["status"], row["refunded_minor"], row["lost_minor"]) == ("partly_refunded", 3_500, 0)


@pytest.mark.parametrize(
    ("facts", "status", "lost_minor"),
    [
        ([opened()], "disputed", 0),
        ([opened(), won()], "recorded", 0),
        ([opened(), lost()], "refunded", 10_000),
        ([opened(4_000), lost()], "partly_refunded", 4_000),
        ([opened(4_000), opened(dispute="d2"), lost()], "disputed", 4_000),
        ([opened(4_000), opened(dispute="d2"), lost(), lost("d2")], "refunded", 10_000),
        ([ConversionCanceled(**ABOUT)], "canceled", 0),
        ([opened(), ConversionCanceled(**ABOUT, reason="error")], "canceled", 0),
    ],
)
@pytest.mark.parametrize("batch_events", [1, 100])
def test_the_status_of_a_conversion(world, ledger, rows, facts, status, lost_minor, batch_events):
    """Open disputes show first, then what is left of the amount; a cancellation is the end."""
    world.sale(1)
    world.add(conversion(1), *facts)
    Runner(ledger, batch_events=batch_events).catch_up()

    (row,) = rows(tables.conversions)
    assert (row["status"], row["lost_minor"]) == (status, lost_minor)


def test_a_dispute_of_all_takes_only_what_stood():
    """Refunded money is not lost a second time."""
    facts = [("refund", "r1", 300), ("dispute_opened", "d", None), ("dispute_lost", "d", None)]

    assert standing(1_000, facts) == (300, 700, "refunded")


WHOLE = [("dispute_opened", "d", None), ("dispute_lost", "d", None)]
PART = [("dispute_opened", "d", 5), ("dispute_lost", "d", None)]


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ([], "recorded"),
        (PART, "recorded"),
        (WHOLE, "refunded"),
        ([*WHOLE, ("refund", "r1", 5)], "refunded"),
        ([("refund", "r1", 5)], "partly_refunded"),
        (WHOLE[:1], "disputed"),
        ([("cancellation", None, None)], "canceled"),
    ],
)
def test_where_no_money_moved_it_stands_until_it_is_lost_as_a_whole(facts, status):
    """A signup of 0 has no amount that could tell."""
    assert standing(0, facts).status == status


@pytest.mark.parametrize("batch_events", [1, 100])
def test_a_reason_for_nothing_goes_when_the_reward_comes(world, ledger, rows, batch_events):
    """The last word counts: nothing, then a reward once the attribution arrived."""
    runner = Runner(ledger, batch_events=batch_events)
    world.sale(1)
    why = ConversionNotRewarded(
        conversion_id=conversion(1),
        program_id=PROGRAM,
        customer_id=ids.customer_id(PROGRAM, "customer-1"),
        reason="no_referral",
        detail="Nobody referred the customer.",
        effective_at=day(1),
        cause_position=1,
    )
    world.add(ids.rewards_id(conversion(1)), why)
    runner.catch_up()
    assert [row["reason"] for row in rows(tables.not_rewarded)] == ["no_referral"]

    world.accrue(1, 2_000)
    runner.catch_up()
    assert rows(tables.not_rewarded) == []
