"""Money: whole numbers, one currency a sum, parts that add up to the whole."""

from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.money import (
    AMOUNT_MINOR_MAX,
    CURRENCY_DIGITS,
    FULL_SHARE_BPS,
    CurrencyMismatch,
    Money,
    share_minor,
    split_minor,
)

amounts = st.integers(0, AMOUNT_MINOR_MAX)
rates = st.integers(0, FULL_SHARE_BPS)


@st.composite
def whole_shares(draw):
    """Shares in basis points that sum to one whole."""
    cuts = sorted(draw(st.lists(st.integers(0, FULL_SHARE_BPS), max_size=8)))
    edges = [0, *cuts, FULL_SHARE_BPS]
    return [end - start for start, end in pairwise(edges)]


@given(amounts, rates)
def test_a_share_is_rounded_half_up_like_decimals_are(amount, rate):
    """Checked against decimal arithmetic, which is not ours."""
    exact = Decimal(amount) * rate / FULL_SHARE_BPS

    assert share_minor(amount, rate) == exact.quantize(Decimal(1), ROUND_HALF_UP)


@pytest.mark.parametrize(
    ("amount", "rate", "owed"), [(5, 1_000, 1), (4, 1_000, 0), (15, 1_000, 2), (1, 5_000, 1)]
)
def test_half_a_unit_rounds_up(amount, rate, owed):
    """Not to even."""
    assert Money(amount, "EUR").share(rate) == Money(owed, "EUR")


@given(amounts, whole_shares())
def test_parts_sum_to_the_whole_and_are_less_than_a_unit_off(amount, shares):
    """Whatever the shares are."""
    parts = split_minor(amount, shares)

    assert sum(parts) == amount
    for part, share in zip(parts, shares, strict=True):
        assert abs(part * FULL_SHARE_BPS - amount * share) < FULL_SHARE_BPS


@given(amounts, whole_shares())
def test_a_larger_share_never_gets_less_and_an_earlier_wins_a_tie(amount, shares):
    """The order of shares is the order of their parts."""
    parts = split_minor(amount, shares)

    for i, (part, share) in enumerate(zip(parts, shares, strict=True)):
        for later_part, later_share in list(zip(parts, shares, strict=True))[i + 1 :]:
            if share >= later_share:
                assert part >= later_part
            if share < later_share:
                assert part <= later_part


def test_the_odd_cent_goes_to_the_largest_remainder():
    """0.75 of a cent before 0.25."""
    assert Money(101, "EUR").split([2_500, 7_500]) == (Money(25, "EUR"), Money(76, "EUR"))
    assert split_minor(1, [5_000, 5_000]) == [1, 0]


@pytest.mark.parametrize("shares", [[5_000], [10_001], [-1, 10_001], [5_000, 5_001]])
def test_shares_that_are_no_whole_are_refused(shares):
    """A part can't vanish, appear or be negative."""
    with pytest.raises(ValueError, match="shares must sum"):
        split_minor(100, shares)


def test_currencies_never_mix():
    """Not in sums, not in differences."""
    assert Money(1, "EUR") + Money(2, "EUR") - Money(4, "EUR") == Money(-1, "EUR")
    with pytest.raises(CurrencyMismatch):
        Money(1, "EUR") + Money(1, "GBP")
    with pytest.raises(CurrencyMismatch):
        Money(1, "EUR") - Money(1, "GBP")


def test_the_currencies_are_those_of_the_standard():
    """With their decimals, and without metals and test codes that have none."""
    assert {code: CURRENCY_DIGITS[code] for code in ("EUR", "JPY", "KWD")} == {"EUR": 2, "JPY": 0, "KWD": 3}
    assert "XAU" not in CURRENCY_DIGITS
    assert "DEM" not in CURRENCY_DIGITS
