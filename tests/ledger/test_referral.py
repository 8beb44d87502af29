"""Referrals: a code is one partner's, a customer's referrals are told once, finance has the last word."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from ledger import ids, referral
from ledger.commands import IssueReferralCode, ReattributeCustomer, RecordReferral, Share, TouchReferralLink
from ledger.events.base import Fact
from ledger.events.referral import CustomerReattributed, ReferralCodeIssued, ReferralLinkTouched
from ledger.refusals import AlreadyExists, ContentConflict, EffectiveTimeInFuture, InvalidField, NotFound

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PROGRAM = uuid4()
ACME, BOLT = ids.partner_id("acme"), ids.partner_id("bolt")
ISSUE = IssueReferralCode(program_id=PROGRAM, partner_id=ACME, code="ACME-1")
CODE = referral.CodeState(code="ACME-1", program_id=PROGRAM, partner_id=ACME, landing_url=None)
TOUCH_ID = uuid4()
TOUCH = referral.TouchState(code="ACME-1", program_id=PROGRAM, partner_id=ACME)
NAMED = referral.Named(code=CODE, touch=TOUCH, touched_at=NOW - DAY)
RECORD = RecordReferral(program_id=PROGRAM, customer="c-1", partner_id=ACME, reference="crm-7")
change = msgspec.structs.replace


def customer(facts: Iterable[Fact]) -> referral.CustomerState:
    """The customer after facts."""
    state = referral.CUSTOMER_INITIAL
    for fact in facts:
        state = referral.evolve_customer(state, fact)
    return state


def record(given, wish, named=NAMED, now=NOW) -> list[Any]:
    """Facts, a wish, new facts."""
    return list(referral.record(wish, customer(given), named, now=now))


# Codes and touches


def test_a_code_is_issued_once():
    """To one partner of one program."""
    [issued] = referral.issue_code(ISSUE, None)

    assert referral.evolve_code(None, issued) == CODE
    assert referral.issue_code(ISSUE, CODE) == []
    assert referral.evolve_code(CODE, Fact()) == CODE


@pytest.mark.parametrize(
    "other", [{"partner_id": BOLT}, {"program_id": uuid4()}, {"landing_url": "https://shop.example/"}]
)
def test_a_code_of_somebody_else_is_taken(other):
    """The refusal names the field that differs."""
    with pytest.raises(AlreadyExists) as refused:
        referral.issue_code(change(ISSUE, **other), CODE)

    assert refused.value.pointer == f"/{next(iter(other))}"


@pytest.mark.parametrize("code", ["", "A", "a b", "ä1", "x" * 65, "A/1", "A1\n"])
def test_a_code_fits_the_end_of_a_link(code):
    """Letters, digits, _ and -."""
    with pytest.raises(InvalidField) as refused:
        referral.issue_code(change(ISSUE, code=code), None)

    assert refused.value.pointer == "/code"


def test_a_link_is_touched_once_by_each_touch():
    """Of a code that was issued."""
    wish = TouchReferralLink(touch_id=TOUCH_ID, code="ACME-1")
    touched = ReferralLinkTouched(code="ACME-1", program_id=PROGRAM, partner_id=ACME)

    assert referral.touch(wish, None, CODE) == [touched]
    assert referral.evolve_touch(None, touched) == TOUCH
    assert referral.evolve_touch(TOUCH, Fact()) == TOUCH
    assert referral.touch(wish, TOUCH, CODE) == []
    with pytest.raises(NotFound):
        referral.touch(wish, None, None)
    with pytest.raises(ContentConflict):
        referral.touch(change(wish, code="OTHER"), TOUCH, change(CODE, code="OTHER"))


# Who is named


@pytest.mark.parametrize(
    "fields",
    [
        {"partner_id": ACME},
        {"partner": "acme"},
        {"code": "ACME-1"},
        {"touch_id": TOUCH_ID},
        {"partner_id": ACME, "partner": "acme", "code": "ACME-1", "touch_id": TOUCH_ID},
    ],
)
def test_a_partner_is_named_by_any_field_or_by_several_that_agree(fields):
    """All ways lead to the same partner."""
    wish = RecordReferral(program_id=PROGRAM, customer="c-1", **fields)

    assert referral.partner_of(wish, NAMED) == ACME


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({}, ""),
        ({"partner_id": BOLT, "code": "ACME-1"}, "/code"),
        ({"partner_id": ACME, "partner": "bolt"}, "/partner"),
        ({"partner": "bolt", "touch_id": TOUCH_ID}, "/touch_id"),
        ({"partner": ""}, "/partner"),
    ],
)
def test_nobody_or_two_partners_are_refused(fields, pointer):
    """The later of two fields is the one at fault."""
    with pytest.raises(InvalidField) as refused:
        referral.partner_of(RecordReferral(program_id=PROGRAM, customer="c-1", **fields), NAMED)

    assert refused.value.pointer == pointer


@pytest.mark.parametrize("named", [referral.Named(), referral.Named(change(CODE, program_id=uuid4()))])
def test_a_code_counts_in_its_own_program_alone(named):
    """As if it did not exist elsewhere."""
    with pytest.raises(NotFound) as refused:
        referral.partner_of(RecordReferral(program_id=PROGRAM, customer="c-1", code="ACME-1"), named)

    assert refused.value.pointer == "/code"


# A customer's referrals


def test_a_referral_by_reference_is_told_once():
    """Without a time it is true now, when first told."""
    [fact] = record([], RECORD)

    assert fact.effective_at == NOW
    assert fact.referral_id == ids.referral_id(ids.customer_id(PROGRAM, "c-1"), "crm-7")
    assert record([fact], RECORD, now=NOW + DAY) == []
    assert record([fact], change(RECORD, effective_at=NOW)) == []


@pytest.mark.parametrize(
    "other",
    [
        {"partner_id": BOLT},
        {"via": "lead"},
        {"code": "ACME-1"},
        {"touch_id": TOUCH_ID},
        {"company": "C Ltd"},
        {"contact": "C"},
        {"note": "n"},
        {"effective_at": NOW - DAY},
    ],
)
def test_the_same_reference_with_other_content_names_the_field(other):
    """And changes nothing."""
    [fact] = record([], RECORD)

    with pytest.raises(ContentConflict) as refused:
        record([fact], change(RECORD, **other))

    assert refused.value.pointer == f"/{next(iter(other))}"


def test_a_conflict_over_the_partner_points_at_the_field_that_was_sent():
    """Here the partner's reference."""
    [fact] = record([], RECORD)

    with pytest.raises(ContentConflict) as refused:
        record([fact], change(RECORD, partner_id=None, partner="bolt"))

    assert refused.value.pointer == "/partner"


def test_without_a_reference_the_content_is_the_name():
    """However it names the partner, and in whatever zone it says the time."""
    wish = change(RECORD, reference=None, effective_at=NOW - DAY)
    [fact] = record([], wish)
    east = timezone(timedelta(hours=9))

    assert record([fact], change(wish, effective_at=(NOW - DAY).astimezone(east))) == []
    assert record([fact], change(wish, partner_id=None, partner="acme")) == []
    others: list[dict[str, Any]] = [
        {"partner_id": BOLT},
        {"via": "lead"},
        {"effective_at": NOW},
        {"code": "ACME-1"},
    ]
    for other in others:
        assert len(record([fact], change(wish, **other))) == 1
    with pytest.raises(ContentConflict):
        record([fact], change(wish, note="another note"))


def test_without_reference_and_time_the_same_words_are_the_same_wish():
    """A retry comes later than the first attempt; it is no second referral."""
    wish = change(RECORD, reference=None)
    [fact] = record([], wish)

    assert record([fact], wish, now=NOW + DAY) == []


def test_a_touch_says_when():
    """Even if the clock that noted it runs ahead of the one that reads it."""
    wish = RecordReferral(program_id=PROGRAM, customer="c-1", via="link", touch_id=TOUCH_ID)
    ahead = change(NAMED, touched_at=NOW + timedelta(hours=1))

    assert record([], wish)[0].effective_at == NOW - DAY
    assert record([], wish, ahead)[0].effective_at == NOW + timedelta(hours=1)
    assert record([], change(wish, effective_at=NOW - 2 * DAY))[0].effective_at == NOW - 2 * DAY


@pytest.mark.parametrize(
    "wrong",
    [
        {"customer": ""},
        {"customer": "c\x1f1"},
        {"reference": "x" * 201},
        {"company": " "},
        {"contact": "a\nb"},
        {"note": ""},
        {"effective_at": datetime(2026, 3, 1)},  # noqa: DTZ001
        {"effective_at": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=9)))},
    ],
)
def test_what_a_referral_can_t_be(wrong):
    """Each refusal points at its field, with and without a reference."""
    for reference in ("crm-7", None):
        with pytest.raises(InvalidField) as refused:
            record([], change(change(RECORD, reference=reference), **wrong))
        assert refused.value.pointer == f"/{next(iter(wrong))}"


def test_nobody_refers_in_the_future():
    """But for the skew of clocks."""
    with pytest.raises(EffectiveTimeInFuture):
        record([], change(RECORD, effective_at=NOW + DAY))


# Reattribution


HALVES = (Share(partner_id=ACME, share_bps=5_000), Share(partner_id=BOLT, share_bps=5_000))
REATTRIBUTE = ReattributeCustomer(program_id=PROGRAM, customer="c-1", shares=HALVES, reason="agreed")


def reattribute(given, wish, now=NOW) -> list[Any]:
    """Facts, a wish, new facts."""
    return list(referral.reattribute(wish, customer(given), now=now))


def test_finance_decides_and_says_why():
    """The same decision again is the same; another one is a new fact, and the first may come back."""
    [first] = reattribute([], REATTRIBUTE)
    assert isinstance(first, CustomerReattributed)
    assert sum(share.share_bps for share in first.shares) == 10_000
    assert reattribute([first], REATTRIBUTE, now=NOW + DAY) == []
    assert reattribute([first], change(REATTRIBUTE, effective_at=NOW)) == []

    [second] = reattribute([first], change(REATTRIBUTE, shares=()))

    assert second.shares == ()
    assert customer([first, second]).reattributions == (first, second)
    assert len(reattribute([first, second], REATTRIBUTE)) == 1
    assert len(reattribute([first], change(REATTRIBUTE, reason="other"))) == 1


@pytest.mark.parametrize(
    ("shares", "pointer"),
    [
        ([(ACME, 9_999)], "/shares"),
        ([(ACME, 5_000), (BOLT, 5_001)], "/shares"),
        ([(ACME, 0), (BOLT, 10_000)], "/shares/0/share_bps"),
        ([(ACME, 10_001), (BOLT, -1)], "/shares/0/share_bps"),
        ([(ACME, 5_000), (ACME, 5_000)], "/shares/1/partner_id"),
        ([(UUID(int=n), 1) for n in range(21)], "/shares"),
    ],
)
def test_shares_are_a_whole_of_distinct_partners(shares, pointer):
    """Or there are none."""
    wish = change(
        REATTRIBUTE, shares=tuple(Share(partner_id=partner, share_bps=bps) for partner, bps in shares)
    )

    with pytest.raises(InvalidField) as refused:
        reattribute([], wish)

    assert refused.value.pointer == pointer


def test_facts_of_other_rooms_change_nothing():
    """evolve never refuses."""
    issued = ReferralCodeIssued(code="AA", program_id=PROGRAM, partner_id=ACME)

    assert referral.evolve_customer(referral.CUSTOMER_INITIAL, issued) == referral.CUSTOMER_INITIAL
