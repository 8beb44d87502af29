"""The rule of reconciling: every entry in exactly one item; what matched sums alike on both sides."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payouts.reconciliation import (
    REVERSAL,
    TRANSFER,
    VERDICTS,
    Looked,
    Ours,
    Theirs,
    counts,
    items_hash,
    match,
    proven_until,
    resolved,
    totals,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
OLD = NOW - timedelta(days=1)
PAYOUTS = [UUID(int=n) for n in range(1, 5)]


def theirs(number=1, **changes):
    """A transfer as the provider's books have it."""
    return Theirs(
        **{
            "transaction_id": f"txn_{number}",
            "kind": TRANSFER,
            "reference": f"tr_{number}",
            "amount_minor": -1_000,
            "currency": "GBP",
            "created_at": OLD,
            "transfer_id": f"tr_{number}",
            "destination": "acct_1",
            "payout_id": UUID(int=number),
            **changes,
        }
    )


def ours(number=1, **changes):
    """The same transfer as our journal has it."""
    return Ours(
        **{
            "position": number,
            "kind": TRANSFER,
            "reference": f"tr_{number}",
            "amount_minor": -1_000,
            "currency": "GBP",
            "effective_at": OLD,
            "payout_id": UUID(int=number),
            "destination": "acct_1",
            **changes,
        }
    )


def only(found):
    """The one item that there is."""
    [item] = found
    return item


def test_what_both_sides_have_alike_matches():
    """A transfer, and a reversal of one."""
    back = {"kind": REVERSAL, "reference": "trr_1", "amount_minor": 400}
    found = match(
        [theirs(), theirs(2, payout_id=None, destination=None, **back)],
        [ours(), ours(2, destination=None, **back)],
        now=NOW,
    )

    assert [item.verdict for item in found] == ["matched", "matched"]
    assert not any(item.is_difference for item in found)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"amount_minor": -999}, "amount"),
        ({"currency": "EUR"}, "currency"),
        ({"destination": "acct_2"}, "destination"),
        ({"payout_id": UUID(int=9)}, "payout_id"),
    ],
)
def test_a_transfer_that_is_not_the_same_says_in_what(change, name):
    """Amount, currency, destination and the payout that it names."""
    item = only(match([theirs(**change)], [ours()], now=NOW))

    assert (item.verdict, item.differs, item.is_difference) == ("different", (name,), True)


def test_one_side_alone_is_a_difference_once_it_is_old_enough():
    """Younger than the bound it is in time, whichever side has it."""
    young = NOW - timedelta(minutes=5)

    assert only(match([theirs()], [], now=NOW)).verdict == "theirs_only"
    assert only(match([], [ours()], now=NOW)).verdict == "ours_only"
    assert only(match([theirs(created_at=young)], [], now=NOW)).verdict == "in_time"
    assert only(match([], [ours(effective_at=young)], now=NOW)).verdict == "in_time"
    bound = timedelta(minutes=5)
    assert only(match([theirs(created_at=young)], [], now=NOW, in_time=bound)).verdict == "theirs_only"


def test_a_second_transfer_of_a_payout_is_a_duplicate_however_young():
    """The one that we know matches; without one that we know the first is theirs only."""
    second = theirs(2, payout_id=UUID(int=1), created_at=NOW)

    known = match([theirs(), second], [ours()], now=NOW)
    unknown = match([theirs(), second], [], now=NOW)
    elsewhere = match([second], [], now=NOW, paid_elsewhere={UUID(int=1)})

    assert [item.verdict for item in known] == ["matched", "duplicate"]
    assert [item.verdict for item in unknown] == ["theirs_only", "duplicate"]
    assert [item.verdict for item in elsewhere] == ["duplicate"]


def test_what_moves_no_payout_is_theirs_and_nobody_has_to_look():
    """Top-ups and fees; a transfer that was taken back by another kind of entry is looked at."""
    topup = theirs(kind="topup", transfer_id=None, destination=None, payout_id=None)
    failed = theirs(kind="transfer_failure")

    assert [(i.verdict, i.is_difference) for i in match([topup], [], now=NOW)] == [("theirs_only", False)]
    assert only(match([failed], [], now=NOW)).is_difference


def test_a_reason_ends_a_difference_and_nothing_else():
    """The verdict stays; what matched carries no reason."""
    found = match([theirs(), theirs(2)], [ours()], now=NOW)

    after = resolved(found, {"tr_1": "why not", "tr_2": "sent by hand, taken back"})

    assert [(i.verdict, i.resolution) for i in after] == [
        ("matched", None),
        ("theirs_only", "sent by hand, taken back"),
    ]
    assert not any(item.is_difference for item in after)
    assert items_hash(after) != items_hash(found)


entries = st.fixed_dictionaries(
    {
        "number": st.integers(1, 6),
        "kind": st.sampled_from([TRANSFER, REVERSAL]),
        "amount_minor": st.sampled_from([-1_000, -999, 400]),
        "currency": st.sampled_from(["GBP", "EUR"]),
        "payout_id": st.sampled_from(PAYOUTS),
        "at": st.sampled_from([OLD, NOW]),
    }
)


@given(st.lists(entries, max_size=8), st.lists(entries, max_size=8))
def test_every_entry_lands_in_exactly_one_item_and_what_matched_sums_alike(left, right):
    """Whatever the two sides hold: nothing is lost, nothing twice, and matched totals are zero apart."""
    one = [
        theirs(e["number"], transaction_id=f"txn_{i}", created_at=e["at"], **picked(e))
        for i, e in enumerate(left)
    ]
    other = [ours(e["number"], position=i, effective_at=e["at"], **picked(e)) for i, e in enumerate(right)]

    found = match(one, other, now=NOW)

    assert sorted(i.theirs.transaction_id for i in found if i.theirs) == sorted(t.transaction_id for t in one)
    assert sorted(i.ours.position for i in found if i.ours) == list(range(len(other)))
    assert all(item.verdict in VERDICTS for item in found)
    assert sum(counts(found).values()) == len(found)
    sums = totals(found)
    assert all(total.difference_minor == 0 for total in sums if total.verdict == "matched")
    for currency in ("GBP", "EUR"):
        of_theirs = sum(t.amount_minor for t in one if t.currency == currency)
        assert sum(t.theirs_minor for t in sums if t.currency == currency) == of_theirs
    assert sum(t.ours_minor for t in sums) == sum(o.amount_minor for o in other)


def picked(entry):
    """What both sides' entries take from a drawn one."""
    return {name: entry[name] for name in ("kind", "amount_minor", "currency", "payout_id")}


HOURS = st.integers(0, 12)


@given(begin=HOURS, runs=st.lists(st.tuples(HOURS, HOURS, st.booleans()), max_size=8))
def test_what_is_proven_is_what_clean_runs_cover_without_a_gap(begin, runs):
    """Against a model that marks hour after hour: the last run that looked at an hour says how it stands."""

    def at(hour):
        return OLD + timedelta(hours=hour)

    proven: set[int] = set()
    for start, end, is_clean in runs:
        hours = set(range(start, end))
        proven = proven | hours if is_clean else proven - hours
    until = begin
    while until in proven:
        until += 1

    assert proven_until(at(begin), [Looked(at(a), at(b), clean) for a, b, clean in runs]) == at(until)
