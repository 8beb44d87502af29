"""Where a transfer's money is, by the payouts of its account: by what is in them, else oldest first."""

import itertools
from typing import Any

import pytest

from payouts.connected import BankPayout, Contents, SentTransfer
from payouts.webhooks.delivery import deliveries


def transfer(
    number: int, amount_minor: int, *, reversed_minor: int = 0, currency: str = "GBP"
) -> SentTransfer:
    """The transfer tr_N, made in second N."""
    return SentTransfer(
        transfer_id=f"tr_{number}",
        payment_id=f"py_{number}",
        destination="acct_1",
        payout_id=None,
        amount_minor=amount_minor,
        reversed_minor=reversed_minor,
        currency=currency,
        created=number,
    )


def out(number: int, amount_minor: int, status: Any, *, automatic: bool = False) -> BankPayout:
    """The payout po_N, made in second N."""
    return BankPayout(f"po_{number}", status, amount_minor, "GBP", automatic, number, None)


def where(transfers, bank_payouts, contents=None, brought=None):
    """Transfer → where its money is, and the payout that says so."""
    found = deliveries(transfers, bank_payouts, contents or {}, brought or {})
    return {one: (told.where, told.bank_payout) for one, told in found.items()}


ONE, TWO = transfer(1, 1_000), transfer(2, 500)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("pending", "on_its_way"),
        ("in_transit", "on_its_way"),
        ("paid", "bank"),
        ("failed", "returned"),
    ],
)
def test_what_the_provider_says_is_in_a_payout_counts(status, told):
    """Though the amount would say otherwise: other money went out with it."""
    contents = {"po_9": Contents(payments={"py_2", "py_of_others"})}

    assert where([ONE, TWO], [out(9, 77_000, status, automatic=True)], contents) == {
        "tr_1": ("balance", None),
        "tr_2": (told, "po_9"),
    }


def test_a_payout_of_other_money_says_nothing():
    contents = {"po_9": Contents(payments={"py_of_others"})}

    assert where([ONE], [out(9, 1_000, "paid", automatic=True)], contents) == {"tr_1": ("balance", None)}


def test_what_failed_goes_out_again_with_a_later_payout():
    """The later one names the failed one, or the payments themselves: both ways are seen."""
    failed, later = out(8, 1_000, "failed", automatic=True), out(9, 1_000, "paid", automatic=True)
    by_name = {"po_8": Contents({"py_1"}), "po_9": Contents(failed_payouts={"po_8"})}
    anew = {"po_9": Contents({"py_1"}, {"po_8"})}

    for contents in (by_name, anew):
        assert where([ONE], [failed, later], contents) == {"tr_1": ("bank", "po_9")}
        assert where([ONE], [failed], contents) == {"tr_1": ("returned", "po_8")}


def test_payouts_that_name_each_other_come_to_an_end():
    """Whatever a provider says."""
    contents = {"po_8": Contents({"py_1"}, {"po_9"}), "po_9": Contents(failed_payouts={"po_8"})}

    assert where([ONE], [out(8, 1, "failed"), out(9, 1, "paid")], contents)["tr_1"] == ("bank", "po_9")


def test_where_nothing_is_said_the_oldest_money_goes_out_first():
    """A transfer is at the bank when all of it is; a payout takes only what was there."""
    assert where([ONE, TWO], [out(9, 1_000, "paid")]) == {
        "tr_1": ("bank", "po_9"),
        "tr_2": ("balance", None),
    }
    halves = [out(8, 600, "paid"), out(9, 600, "paid")]
    assert where([ONE, TWO], halves) == {"tr_1": ("bank", "po_9"), "tr_2": ("balance", None)}
    assert where([transfer(9, 100)], [out(8, 100, "paid")]) == {"tr_9": ("balance", None)}


def test_a_failed_payout_gives_back_what_it_took():
    """For the next one; a canceled one leaves no trace."""
    story = [out(7, 1_000, "canceled"), out(8, 1_500, "failed")]

    assert where([ONE, TWO], story) == {"tr_1": ("returned", "po_8"), "tr_2": ("returned", "po_8")}
    assert where([ONE, TWO], [*story, out(9, 1_000, "paid")]) == {
        "tr_1": ("bank", "po_9"),
        "tr_2": ("returned", "po_8"),
    }


def test_a_failed_automatic_payout_that_names_nothing_may_have_had_any_of_it():
    """The provider forgets what was in it. By its amount po_4 had tr_1; but a reversal of a transfer before
    that one was paid with its money, so what po_4 had was tr_3."""
    early, late = transfer(1, 500), transfer(3, 500)
    story = [out(2, 500, "failed", automatic=True), out(4, 500, "failed", automatic=True)]
    forgotten = {"po_2": Contents(), "po_4": Contents()}

    assert where([early, late], story, forgotten) == {
        "tr_1": ("returned", "po_4"),
        "tr_3": ("returned", "po_4"),
    }
    again = [*story, out(5, 500, "paid", automatic=True)]
    assert where([early, late], again, {**forgotten, "po_5": Contents({"py_3"}, {"po_4"})}) == {
        "tr_1": ("returned", "po_4"),
        "tr_3": ("bank", "po_5"),
    }


def test_what_is_at_the_bank_cannot_have_been_in_a_later_payout_that_failed():
    """Though nobody was told of it yet: only what was still there may have been in it."""
    story = [out(3, 1_000, "paid", automatic=True), out(4, 500, "failed", automatic=True)]

    assert where([ONE, TWO], story, {"po_3": Contents({"py_1"}), "po_4": Contents()}) == {
        "tr_1": ("bank", "po_3"),
        "tr_2": ("returned", "po_4"),
    }


def test_a_later_payout_that_names_a_forgotten_one_brings_what_that_may_have_had():
    """As far as its amount goes: the rest of what may have been in it is still returned."""
    three = transfer(3, 300)
    story = [out(4, 1_000, "failed", automatic=True), out(6, 1_300, "paid", automatic=True)]
    named = {"po_4": Contents(), "po_6": Contents({"py_5"}, {"po_4"})}

    assert where([ONE, TWO, transfer(5, 300)], story, named) == {
        "tr_1": ("bank", "po_6"),
        "tr_2": ("returned", "po_4"),
        "tr_5": ("bank", "po_6"),
    }
    assert where([three], [out(6, 900, "paid", automatic=True)], {"po_6": Contents((), {"po_4"})}) == {
        "tr_3": ("balance", None)  # nobody knows what was in po_4; none of it need be ours
    }


def test_what_was_told_stands_while_the_payout_does():
    """Not guessed anew when older transfers are not shown any more; what it had is not another's."""
    story = [out(3, 1_000, "paid"), out(4, 500, "paid")]

    assert where([ONE, TWO], story, brought={"tr_1": "po_4", "tr_2": "po_4"}) == {
        "tr_1": ("bank", "po_4"),
        "tr_2": ("bank", "po_4"),
    }
    assert where([ONE, TWO], story, brought={"tr_2": "po_3"}) == {
        "tr_1": ("bank", "po_4"),  # half of it went out with po_3
        "tr_2": ("bank", "po_3"),
    }
    forgotten = [out(3, 1_500, "paid", automatic=True), out(5, 900, "failed", automatic=True)]
    assert where([ONE, TWO], forgotten, {"po_5": Contents()}, {"tr_1": "po_3", "tr_2": "po_3"}) == {
        "tr_1": ("bank", "po_3"),
        "tr_2": ("bank", "po_3"),
    }


def test_what_was_told_falls_with_the_payout():
    """The provider says that it failed after all, and not any more what was in it: what was told is known."""
    failed = [out(n, amount, "failed", automatic=True) for n, amount in ((3, 1_000), (4, 500))]
    forgotten = {"po_3": Contents(), "po_4": Contents()}

    assert where([ONE, TWO], failed, forgotten, {"tr_1": "po_3", "tr_2": "po_4"}) == {
        "tr_1": ("returned", "po_3"),
        "tr_2": ("returned", "po_4"),
    }
    untold = deliveries([ONE, TWO], failed, forgotten, {"tr_1": "po_3"})
    assert [(untold[one].bank_payout, untold[one].certain) for one in ("tr_1", "tr_2")] == [
        ("po_3", True),
        ("po_4", False),
    ]


def test_more_than_a_payout_brought_can_have_been_in_it():
    """A guess of before, by the oldest money first, was wrong: it does not keep another's from being seen."""
    assert where([ONE, TWO], [out(3, 500, "paid")], brought={"tr_1": "po_3"})["tr_2"] == ("bank", "po_3")


def test_other_currencies_and_what_was_reversed_are_no_part_of_it():
    """A transfer that came back whole is nowhere."""
    euros, back = transfer(1, 1_000, currency="EUR"), transfer(2, 300, reversed_minor=300)
    found = where([euros, back, transfer(3, 200, reversed_minor=50)], [out(9, 150, "paid")])

    assert found == {"tr_1": ("balance", None), "tr_2": ("balance", None), "tr_3": ("bank", "po_9")}


def test_the_order_in_which_things_are_shown_makes_no_difference():
    """Lists come in any order."""
    transfers = [ONE, TWO, transfer(3, 250)]
    story = [out(4, 1_000, "failed"), out(5, 1_200, "paid"), out(6, 550, "paid")]
    found = [
        where(shown, payouts)
        for shown in itertools.permutations(transfers)
        for payouts in itertools.permutations(story)
    ]

    assert all(one == found[0] for one in found)
    assert found[0] == {"tr_1": ("bank", "po_5"), "tr_2": ("bank", "po_6"), "tr_3": ("bank", "po_6")}
