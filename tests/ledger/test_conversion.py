"""Conversions: facts, a wish, new facts or a refusal by name."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest

from ledger import refusals
from ledger.commands import (
    CancelConversion,
    ConversionCommand,
    LoseDispute,
    OpenDispute,
    RecordMilestone,
    RecordRefund,
    RecordRenewal,
    RecordSale,
    RecordSignup,
    RecordUsage,
    WinDispute,
)
from ledger.conversion import INITIAL, ConversionState, decide, evolve
from ledger.events.base import Fact
from ledger.events.conversion import (
    ConversionCanceled,
    ConversionRecorded,
    ConversionRefunded,
    DisputeLost,
    DisputeOpened,
    DisputeWon,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WHEN = datetime(2026, 2, 1, tzinfo=UTC)
ABOUT: dict[str, Any] = {
    "program_id": UUID(int=1),
    "source": "shop",
    "external_id": "order-1",
    "effective_at": WHEN,
}
MONEY: dict[str, Any] = {"amount_minor": 10_000, "currency": "GBP"}


def sale(**changes: Any) -> RecordSale:
    """The wish to record a sale of 100.00 GBP."""
    return RecordSale(**{**ABOUT, **MONEY, "customer": "customer", **changes})


def refund(refund_id: str = "refund-1", **changes: Any) -> RecordRefund:
    """The wish to record a refund of 40.00 GBP."""
    return RecordRefund(**{**ABOUT, **MONEY, "amount_minor": 4_000, "refund_id": refund_id, **changes})


def opened(**changes: Any) -> OpenDispute:
    """The wish to record a dispute about everything."""
    return OpenDispute(**{**ABOUT, "dispute_id": "dispute-1", **changes})


def won(**changes: Any) -> WinDispute:
    """The wish to record that the dispute was won."""
    return WinDispute(**{**ABOUT, "dispute_id": "dispute-1", **changes})


def lost(**changes: Any) -> LoseDispute:
    """The wish to record that the dispute was lost."""
    return LoseDispute(**{**ABOUT, "dispute_id": "dispute-1", **changes})


def canceled(**changes: Any) -> CancelConversion:
    """The wish to record that the conversion was canceled."""
    return CancelConversion(**{**ABOUT, **changes})


def wish(command: ConversionCommand, state: ConversionState = INITIAL, now: datetime = NOW) -> list[Fact]:
    """What a wish adds."""
    return decide(command, state, currency="GBP", now=now)


def after(*wishes: ConversionCommand) -> ConversionState:
    """The conversion after wishes that were granted."""
    state = INITIAL
    for command in wishes:
        for fact in wish(command, state):
            state = evolve(state, fact)
    return state


def rests(state: ConversionState) -> list[int]:
    """What was left of the amount at first and after each taking."""
    return [state.rest_after(taking) for taking in (None, *state.takings_since(0))]


SALE = ConversionRecorded(**ABOUT, **MONEY, kind="sale", customer="customer")


class TestNewConversions:
    """Of any kind, at any time before now."""

    def test_a_sale_becomes_a_fact(self):
        assert wish(sale()) == [SALE]

    @pytest.mark.parametrize(
        ("command", "kind"),
        [
            (RecordSale, "sale"),
            (RecordRenewal, "renewal"),
            (RecordUsage, "usage"),
            (RecordSignup, "signup"),
            (RecordMilestone, "milestone"),
        ],
    )
    def test_every_kind_becomes_a_fact_of_its_kind(self, command, kind):
        [fact] = wish(command(**ABOUT, **MONEY, customer="c", product="pro"))

        assert isinstance(fact, ConversionRecorded)
        assert (fact.kind, fact.product, fact.amount_minor) == (kind, "pro", 10_000)

    def test_a_signup_needs_no_money(self):
        [fact] = wish(RecordSignup(**ABOUT, customer="c", currency="GBP"))

        assert isinstance(fact, ConversionRecorded)
        assert fact.amount_minor == 0

    def test_the_same_again_is_nothing_new_also_when_its_time_is_written_in_another_zone(self):
        elsewhere = WHEN.astimezone(timezone(timedelta(hours=5)))

        assert wish(sale(), after(sale())) == []
        assert wish(sale(effective_at=elsewhere), after(sale())) == []

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"amount_minor": 9_999}, "/amount_minor"),
            ({"customer": "other"}, "/customer"),
            ({"product": "pro"}, "/product"),
            ({"effective_at": WHEN + timedelta(seconds=1)}, "/effective_at"),
        ],
    )
    def test_the_same_id_with_other_content_is_a_conflict_at_its_field(self, change, pointer):
        with pytest.raises(refusals.ContentConflict) as refused:
            wish(sale(**change), after(sale()))

        assert refused.value.pointer == pointer

    def test_the_same_id_of_another_kind_is_a_conflict(self):
        renewal = RecordRenewal(**ABOUT, **MONEY, customer="customer")

        with pytest.raises(refusals.ContentConflict) as refused:
            wish(renewal, after(sale()))

        assert refused.value.pointer == "/kind"

    def test_another_currency_than_the_programs_is_refused(self):
        with pytest.raises(refusals.WrongCurrency) as refused:
            wish(sale(currency="EUR"))

        assert refused.value.pointer == "/currency"


class TestTimes:
    """No fact is true later than now, nor before there were clocks to tell."""

    @pytest.mark.parametrize("command", [sale, refund, opened, won, lost, canceled])
    def test_a_time_in_the_future_is_refused_but_for_some_skew(self, command):
        with pytest.raises(refusals.EffectiveTimeInFuture) as refused:
            wish(command(effective_at=NOW + timedelta(minutes=5, microseconds=1)))

        assert refused.value.pointer == "/effective_at"
        assert wish(sale(effective_at=NOW + timedelta(minutes=5)))

    @pytest.mark.parametrize(
        "when",
        [
            datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),  # in UTC it would lie before year 1
            datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
        ],
    )
    def test_a_time_out_of_range_is_refused(self, when):
        with pytest.raises(refusals.InvalidField) as refused:
            wish(sale(effective_at=when))

        assert refused.value.pointer == "/effective_at"


class TestRefunds:
    """Any number of them, up to the rest, also before their conversion."""

    def test_a_refund_becomes_a_fact(self):
        fact = ConversionRefunded(**{**ABOUT, **MONEY, "amount_minor": 4_000}, refund_id="refund-1")

        assert wish(refund(), after(sale())) == [fact]
        assert wish(refund()) == [fact]

    def test_refunds_are_taken_up_to_the_rest_and_not_a_penny_more(self):
        state = after(sale(), refund("a", amount_minor=4_000), refund("b", amount_minor=5_999))

        with pytest.raises(refusals.RefundExceedsConversion) as refused:
            wish(refund("c", amount_minor=2), state)

        assert refused.value.pointer == "/amount_minor"
        assert refused.value.details == {"rest_minor": 1}
        assert len(wish(refund("c", amount_minor=1), state)) == 1
        assert rests(after(sale(), refund("a", amount_minor=10_000))) == [10_000, 0]

    def test_the_same_refund_again_is_nothing_new_even_where_nothing_is_left(self):
        state = after(sale(), refund(amount_minor=10_000))

        assert wish(refund(amount_minor=10_000), state) == []

    def test_the_same_refund_with_another_amount_is_a_conflict(self):
        with pytest.raises(refusals.ContentConflict) as refused:
            wish(refund(amount_minor=1), after(sale(), refund()))

        assert refused.value.pointer == "/amount_minor"

    def test_a_refund_in_another_currency_is_refused(self):
        with pytest.raises(refusals.WrongCurrency):
            wish(refund(currency="EUR"), after(sale()))

    def test_refunds_that_came_first_may_exceed_the_conversion_which_is_a_fact_all_the_same(self):
        state = after(refund("a", amount_minor=8_000), refund("b", amount_minor=8_000))

        assert wish(sale(), state) == [SALE]
        with pytest.raises(refusals.RefundExceedsConversion) as refused:
            wish(refund("c", amount_minor=1), evolve(state, SALE))
        assert refused.value.details == {"rest_minor": 0}
        assert rests(evolve(state, SALE))[-1] == 0


class TestDisputes:
    """Opened once, won or lost once."""

    def test_the_steps_of_a_dispute_become_facts(self):
        about = {**ABOUT, "dispute_id": "dispute-1"}

        assert wish(opened(amount_minor=1_000)) == [DisputeOpened(**about, amount_minor=1_000)]
        assert wish(won(), after(sale(), opened())) == [DisputeWon(**about)]
        assert wish(lost(), after(sale(), opened())) == [DisputeLost(**about)]

    def test_it_is_disputed_while_any_dispute_is_open(self):
        assert after(sale(), opened()).disputed
        assert after(sale(), opened(), opened(dispute_id="other"), won()).disputed
        assert not after(sale(), opened(), won()).disputed
        assert not after(sale(), opened(), lost()).disputed

    def test_steps_again_are_nothing_new(self):
        assert wish(opened(), after(opened())) == []
        assert wish(opened(), after(opened(), won())) == []
        assert wish(won(), after(opened(), won())) == []
        assert wish(lost(), after(opened(), lost())) == []

    @pytest.mark.parametrize("command", [won, lost])
    def test_what_was_not_opened_cannot_end(self, command):
        with pytest.raises(refusals.DisputeNotOpen) as refused:
            wish(command(), after(sale(), opened(dispute_id="other")))

        assert refused.value.pointer == "/dispute_id"

    @pytest.mark.parametrize(("ended", "other"), [(won, lost), (lost, won)])
    def test_a_dispute_does_not_end_the_other_way_later(self, ended, other):
        with pytest.raises(refusals.DisputeNotOpen):
            wish(other(), after(opened(), ended()))

    def test_a_step_again_with_other_content_is_a_conflict(self):
        with pytest.raises(refusals.ContentConflict):
            wish(opened(amount_minor=1), after(opened()))
        with pytest.raises(refusals.ContentConflict):
            wish(won(effective_at=NOW), after(opened(), won()))

    def test_a_lost_dispute_takes_what_was_disputed(self):
        part = after(sale(), opened(amount_minor=3_000), lost())
        whole = after(sale(), refund(), opened(), lost())

        assert rests(part) == [10_000, 7_000]
        assert rests(whole) == [10_000, 6_000, 0]


class TestCancellation:
    """Takes the conversion back as a whole, once."""

    def test_it_becomes_a_fact_also_before_its_conversion(self):
        assert wish(canceled(reason="fraud")) == [ConversionCanceled(**ABOUT, reason="fraud")]
        assert wish(sale(), after(canceled())) == [SALE]

    def test_again_is_nothing_new_and_for_another_reason_a_conflict(self):
        assert wish(canceled(), after(sale(), canceled())) == []
        with pytest.raises(refusals.ContentConflict) as refused:
            wish(canceled(reason="other"), after(sale(), canceled()))
        assert refused.value.pointer == "/reason"

    def test_nothing_stands_after_it(self):
        state = after(sale(), refund(), canceled())

        [first, last] = state.takings_since(0)
        assert rests(state) == [10_000, 6_000, 0]
        assert state.stands_after(first)
        assert not state.stands_after(last)
        assert state.takings_since(1) == [last]

    def test_where_no_money_moved_it_stands_until_it_is_canceled(self):
        signup = RecordSignup(**ABOUT, customer="c", currency="GBP")

        assert after(signup).stands_after(None)
        gone = after(signup, canceled())
        assert not gone.stands_after(gone.last_taking)


def test_every_order_of_independent_facts_leaves_the_same_rest():
    wishes: list[ConversionCommand] = [
        sale(),
        refund("a", amount_minor=1_000),
        refund("b", amount_minor=2_000),
    ]

    assert {rests(after(*order))[-1] for order in permutations(wishes)} == {7_000}


def test_facts_of_others_change_nothing():
    state = after(sale(), refund())

    assert evolve(state, Fact()) is state
