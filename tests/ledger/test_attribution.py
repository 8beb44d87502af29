"""For whom a customer counts: touches, windows, what finance decided; never the order we learned it in."""

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.attribution import INITIAL, attributed, bind, evolve, first_binding
from ledger.events.base import Fact
from ledger.events.referral import AttributionShare, CustomerReattributed, ReferralRecorded
from ledger.terms import Attribution

PROGRAM = UUID(int=1)
ACME, BOLT, CORA = UUID(int=11), UUID(int=12), UUID(int=13)
FIRST = Attribution("first_touch", 90)
LAST = Attribution("last_touch", 90)
ENDLESS = Attribution("first_touch", None)


def day(number: float) -> datetime:
    """A day of the tests' calendar."""
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number)


def touch(partner: UUID, at: float, number: int = 0) -> ReferralRecorded:
    """A partner brought the customer."""
    return ReferralRecorded(
        referral_id=UUID(int=1_000 + number),
        program_id=PROGRAM,
        partner_id=partner,
        customer="customer",
        via="registration",
        effective_at=day(at),
    )


def decided(at: float, **shares: int) -> CustomerReattributed:
    """Finance decided."""
    partners = {"acme": ACME, "bolt": BOLT, "cora": CORA}
    return CustomerReattributed(
        program_id=PROGRAM,
        customer="customer",
        shares=tuple(AttributionShare(partner_id=partners[p], share_bps=bps) for p, bps in shares.items()),
        reason="agreed by phone",
        effective_at=day(at),
    )


def replay(*facts: Fact):
    """The customer after facts."""
    state = INITIAL
    for fact in facts:
        state = evolve(state, fact)
    return state


def winners(facts, conversions, rule=FIRST):
    """For each conversion time whom it counts for, as {partner: share}, and since when."""
    state = replay(*facts)
    binding = first_binding(state, sorted(day(at) for at in conversions), lambda _: rule)
    found = []
    for at in conversions:
        result = attributed(state, binding, day(at))
        found.append(
            None if result is None else ({s.partner_id: s.share_bps for s in result.shares}, result.since)
        )
    return found


@pytest.mark.parametrize(("rule", "winner"), [(FIRST, ACME), (LAST, BOLT)])
def test_the_first_or_the_last_touch_before_the_conversion_wins(rule, winner):
    facts = [touch(ACME, 0), touch(BOLT, 5, 1), touch(CORA, 11, 2)]

    assert winners(facts, [10], rule) == [({winner: 10_000}, day(10))]


def test_touches_of_the_same_moment_are_ordered_by_their_id():
    facts = [touch(BOLT, 0, 2), touch(ACME, 0, 1)]

    assert winners(facts, [1], FIRST) == [({ACME: 10_000}, day(1))]
    assert winners(facts, [1], LAST) == [({BOLT: 10_000}, day(1))]


@pytest.mark.parametrize(("at", "counts"), [(90, True), (90.001, False), (0, True), (-0.001, False)])
def test_the_window_includes_its_ends(at, counts):
    assert (winners([touch(ACME, 0)], [at]) != [None]) is counts


def test_the_first_touch_is_the_first_within_the_window():
    facts = [touch(ACME, 0), touch(BOLT, 20, 1)]

    assert winners(facts, [100]) == [({BOLT: 10_000}, day(100))]
    assert winners(facts, [100], ENDLESS) == [({ACME: 10_000}, day(100))]


def test_once_bound_all_conversions_count_for_the_same_partner():
    facts = [touch(ACME, 0), touch(BOLT, 20, 1)]

    assert winners(facts, [10, 500, 30], LAST) == [({ACME: 10_000}, day(10))] * 3


def test_what_came_before_the_binding_counts_for_nobody():
    assert winners([touch(ACME, 5)], [1, 10]) == [None, ({ACME: 10_000}, day(10))]


def test_without_touches_or_terms_there_is_no_binding():
    assert winners([], [1]) == [None]
    assert bind(replay(touch(ACME, 0)), day(1), lambda _: None) is None


def test_the_terms_in_force_at_the_conversion_decide():
    state = replay(touch(ACME, 0), touch(BOLT, 5, 1))

    def rule_at(when: datetime) -> Attribution | None:
        return None if when < day(10) else LAST if when < day(20) else FIRST

    last = first_binding(state, [day(9), day(15), day(25)], rule_at)
    first = first_binding(state, [day(9), day(25)], rule_at)

    assert last is not None
    assert first is not None
    assert (last.touch.partner_id, first.touch.partner_id) == (BOLT, ACME)
    assert first_binding(state, [day(9)], rule_at) is None


def test_finance_overrides_the_touches_from_its_time_on():
    facts = [touch(ACME, 0), decided(50, bolt=6_000, cora=4_000)]

    before, after = winners(facts, [10, 50])

    assert before == ({ACME: 10_000}, day(10))
    assert after == ({BOLT: 6_000, CORA: 4_000}, day(50))


def test_a_partner_that_finance_confirms_keeps_its_beginning():
    facts = [touch(ACME, 0), decided(50, acme=5_000, bolt=5_000)]

    assert winners(facts, [10, 60])[1] == ({ACME: 5_000, BOLT: 5_000}, day(10))


def test_finance_can_decide_that_a_customer_counts_for_nobody():
    assert winners([touch(ACME, 0), decided(50)], [10, 60]) == [({ACME: 10_000}, day(10)), None]


def test_finance_can_attribute_a_customer_without_touches():
    assert winners([decided(0, bolt=10_000)], [10]) == [({BOLT: 10_000}, day(0))]


def test_of_two_decisions_for_one_time_the_later_made_wins():
    facts = [decided(50, bolt=10_000), decided(50, cora=10_000)]

    assert winners(facts, [60]) == [({CORA: 10_000}, day(50))]


def test_of_two_decisions_the_one_in_force_rules_whichever_was_made_first():
    facts = [decided(50, bolt=10_000), decided(20, cora=10_000)]

    assert winners(facts, [30, 60]) == [({CORA: 10_000}, day(20)), ({BOLT: 10_000}, day(50))]


touches = st.lists(
    st.tuples(st.sampled_from([ACME, BOLT, CORA]), st.integers(0, 40)), max_size=6
).map(lambda found: [touch(partner, at, n) for n, (partner, at) in enumerate(found)])  # fmt: skip
decisions = st.lists(st.integers(0, 60), max_size=3, unique=True).map(
    lambda days: [decided(at, **{("acme", "bolt", "cora")[at % 3]: 10_000}) for at in days]
)


@given(
    facts=st.tuples(touches, decisions).map(lambda both: [*both[0], *both[1]]),
    conversions=st.lists(st.integers(0, 80), min_size=1, max_size=6),
    rule=st.sampled_from([FIRST, LAST, ENDLESS, Attribution("last_touch", 5)]),
    order=st.randoms(use_true_random=False),
)
def test_the_order_in_which_we_learn_of_it_never_matters(facts, conversions, rule, order: random.Random):
    """Facts about one time each, in any order, end in the same attribution of every conversion."""
    expected = dict(zip(conversions, winners(facts, conversions, rule), strict=True))
    order.shuffle(facts)
    order.shuffle(conversions)

    assert dict(zip(conversions, winners(facts, conversions, rule), strict=True)) == expected


@given(facts=touches, conversions=st.lists(st.integers(0, 80), min_size=1, max_size=6))
def test_a_binding_is_the_earliest_conversion_that_a_touch_precedes(facts, conversions):
    """The rule again, written as a sentence over all pairs."""
    state = replay(*facts)
    binding = first_binding(state, sorted(day(at) for at in conversions), lambda _: FIRST)
    pairs = [
        (day(at), fact.effective_at)
        for at in conversions
        for fact in facts
        if timedelta() <= day(at) - fact.effective_at <= timedelta(days=90)
    ]

    assert (binding is None) == (not pairs)
    if binding is not None:
        assert (binding.bound_at, binding.touch.effective_at) == min(pairs)
