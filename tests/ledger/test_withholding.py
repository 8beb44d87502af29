"""Tax that is withheld: the rate that holds, and the two parts of an amount."""

from datetime import timedelta
from itertools import accumulate
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import withholding
from ledger.events.partner import WithholdingSet
from ledger.events.program import CountryWithholding, WithholdingRemitted
from ledger.payout_commands import RecordWithholdingRemitted, SetWithholding
from ledger.payout_settings import PayoutSettings
from ledger.refusals import EffectiveTimeInFuture, InvalidField
from tests.ledger.test_payout import NOW

WISH = SetWithholding(partner_id=UUID(int=1), rate_bps=1_500, reason="no W-8 on file")
SETTINGS = PayoutSettings(withholding=(CountryWithholding(country="DE", rate_bps=2_000),))


def said(rate_bps, days=0, reason="no W-8 on file"):
    """What was said of a partner, to hold from some days after now."""
    return WithholdingSet(rate_bps=rate_bps, reason=reason, effective_at=NOW + timedelta(days=days))


@given(st.integers(0, 10**12), st.integers(0, 9_999))
def test_what_is_withheld_and_what_is_sent_make_the_amount(amount, rate_bps):
    """To the last cent, rounded half-up once, neither below zero."""
    found = withholding.withhold(amount, rate_bps)

    assert found.withheld_minor + found.net_minor == amount
    assert 0 <= found.withheld_minor <= amount
    assert abs(found.withheld_minor * 10_000 - amount * rate_bps) <= 5_000


@pytest.mark.parametrize(
    ("amount", "rate", "withheld"), [(10, 500, 1), (9, 500, 0), (1, 9_999, 1), (7, 0, 0)]
)
def test_halves_are_rounded_up(amount, rate, withheld):
    """Half a cent is a cent."""
    assert withholding.withhold(amount, rate).withheld_minor == withheld


@pytest.mark.parametrize(
    ("facts", "country", "rate"),
    [
        ([], None, 0),
        ([], "FR", 0),
        ([], "DE", 2_000),
        ([said(0)], "DE", 0),
        ([said(1_500, -2), said(1_000, -1)], "DE", 1_000),
        ([said(1_500, -1), said(1_000, -2)], "DE", 1_500),
        ([said(1_500, -1), said(1_000, -1)], "DE", 1_000),
        ([said(1_500, -1), said(1_000, 1)], "DE", 1_500),
        ([said(1_500, 1)], "DE", 2_000),
        ([said(1_500, -2), said(None, -1)], "DE", 2_000),
    ],
)
def test_the_rate_that_holds(facts, country, rate):
    """What was said of the partner for the latest time that has come; else its country's."""
    assert withholding.rate_bps(facts, country, SETTINGS, NOW) == rate


@given(st.integers(0, 10**12), st.lists(st.integers(1, 10**10), min_size=1, max_size=8))
def test_what_comes_back_brings_its_tax_to_the_last_cent(withheld_minor, parts):
    """Each part at most a cent from its proportion, none below zero; together all of it, in any order."""
    net = sum(parts)
    of = withholding.Withheld(0, withheld_minor, net)
    back = 0
    for before, part in zip(accumulate([0, *parts]), parts, strict=False):
        given = withholding.given_back(of, before_minor=before, amount_minor=part)
        assert given >= 0
        assert abs(given * net - withheld_minor * part) <= net
        back += given

    assert back == withheld_minor


def test_what_is_remitted_stays_so():
    """The same again, or an earlier time, is nothing new; a time to come is refused."""
    wish = RecordWithholdingRemitted(program_id=UUID(int=1), through=NOW, reference="Q1 filing")
    earlier = msgspec.structs.replace(wish, through=NOW - timedelta(days=1))
    later = msgspec.structs.replace(wish, through=NOW + timedelta(days=1))

    assert withholding.remit(wish, None, NOW) == [
        WithholdingRemitted(through=NOW, reference="Q1 filing", effective_at=NOW)
    ]
    assert len(withholding.remit(wish, NOW - timedelta(days=1), NOW)) == 1
    assert withholding.remit(wish, NOW, NOW) == withholding.remit(earlier, NOW, NOW) == []
    with pytest.raises(EffectiveTimeInFuture):
        withholding.remit(later, NOW, NOW)


def test_a_rate_is_set_once():
    """The same again is nothing new; another reason, rate or time is."""
    assert withholding.set_rate(WISH, [], NOW) == [said(1_500)]
    assert withholding.set_rate(WISH, [said(1_500, -3)], NOW) == []
    assert withholding.set_rate(WISH, [said(1_500, -3), said(0, -1)], NOW) == [said(1_500)]
    later = msgspec.structs.replace(WISH, effective_at=NOW + timedelta(days=9), rate_bps=None)
    assert withholding.set_rate(later, [said(1_500)], NOW) == [said(None, 9)]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [({"rate_bps": 10_000}, "/rate_bps"), ({"rate_bps": -1}, "/rate_bps"), ({"reason": " "}, "/reason")],
)
def test_each_mistake_is_named(change, pointer):
    """With a pointer to its field."""
    with pytest.raises(InvalidField) as refused:
        withholding.set_rate(msgspec.structs.replace(WISH, **change), [], NOW)

    assert refused.value.pointer == pointer
