"""Who may approve what: never its maker, by key or by person; above the limit two of them."""

from datetime import date
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import payout_batch
from ledger.access import Author
from ledger.commands import ApprovePayouts
from ledger.events.payout import PayoutBatchApproved, PayoutBatchCanceled, PayoutBatchChecked
from ledger.payout import content_hash
from ledger.payout_batch import NO_BATCH, BatchState
from ledger.refusals import IllegalTransition, Refusal, SameMakerAndChecker, SecondCheckerNeeded
from tests.ledger.test_payout import BATCH, DRAFT_COMMAND, DRAFTED, HASH, PAYOUT

APPROVE = ApprovePayouts(batch_id=BATCH, content_hash=HASH)
TOTAL = DRAFTED.amount_minor
MAKER = Author("key:maker", "Ann@example.com")


def drafted(maker: Author = MAKER, limit: int | None = None) -> BatchState:
    """A batch of 12.50, drafted under a limit."""
    [fact] = payout_batch.decide_draft(
        DRAFT_COMMAND,
        NO_BATCH,
        drafts={PAYOUT: DRAFTED},
        currency="GBP",
        maker=maker,
        second_approval_over_minor=limit,
    )
    return payout_batch.evolve(NO_BATCH, fact)


def approve(state: BatchState, checker: Author, today: int | None = None):
    """The facts of an approval, and the batch after it."""
    facts = payout_batch.decide_batch(
        APPROVE, state, payouts={PAYOUT: DRAFTED}, author=checker, second_approval_over_minor=today
    )
    for fact in facts:
        state = payout_batch.evolve(state, fact)
    return facts, state


@pytest.mark.parametrize(
    ("maker", "checker"),
    [
        (Author("key:a"), Author("key:a")),
        (Author("key:a", "ann"), Author("key:a", "bob")),
        (Author("key:a", "ann"), Author("key:b", "ann")),
        (Author("key:a", "Ann@Example.com"), Author("key:b", " ann@example.COM")),
        (Author("key:a", "José"), Author("key:b", "JOSÉ")),
    ],
)
def test_nobody_approves_what_they_drafted(maker, checker):
    """Under the same key, or another key of the same person, however the name is written."""
    with pytest.raises(SameMakerAndChecker):
        approve(drafted(maker), checker)


@pytest.mark.parametrize(
    ("maker", "checker"),
    [
        (Author("key:a"), Author("key:b")),
        (Author("key:a", "ann"), Author("key:b")),
        (Author("key:a", "ann"), Author("key:b", "bob")),
        (Author("schedule"), Author("key:b", "bob")),
    ],
)
def test_somebody_else_approves(maker, checker):
    """Keys without a person are told apart by themselves; what the schedule drafted anybody may check."""
    facts, state = approve(drafted(maker), checker)

    expected = PayoutBatchApproved(
        approved_by=checker.by, approved_by_person=checker.person, content_hash=HASH
    )
    assert facts == [expected]
    assert (state.status, state.approvals) == ("approved", (checker,))


def test_above_the_limit_two_checkers_approve():
    """The first leaves it a draft; the same again is nothing new; the second, another person, lets it go."""
    bob, carol = Author("key:b", "bob"), Author("key:c", "carol")

    first, state = approve(drafted(limit=TOTAL - 1), bob)
    assert first == [PayoutBatchChecked(checked_by="key:b", checked_by_person="bob", content_hash=HASH)]
    assert (state.status, state.approvals) == ("draft", (bob,))
    assert approve(state, bob) == ([], state)
    with pytest.raises(SecondCheckerNeeded):
        approve(state, Author("key:other", "BOB"))
    with pytest.raises(SameMakerAndChecker):
        approve(state, MAKER)

    second, state = approve(state, carol)
    assert [type(fact) for fact in second] == [PayoutBatchApproved]
    assert (state.status, state.approvals, state.approved_by) == ("approved", (bob, carol), "key:c")
    assert approve(state, bob) == approve(state, carol) == ([], state)
    with pytest.raises(IllegalTransition):
        approve(state, Author("key:d", "dan"))


@pytest.mark.parametrize(
    ("at_draft", "today", "needed"),
    [
        (None, None, 1),
        (TOTAL, None, 1),
        (TOTAL - 1, None, 2),
        (TOTAL - 1, TOTAL, 2),
        (TOTAL, TOTAL - 1, 2),
        (None, 0, 2),
    ],
)
def test_the_stricter_limit_counts(at_draft, today, needed):
    """To lift the limit after the draft helps nobody; to lower it holds at once. At it, one is enough."""
    state = drafted(limit=at_draft)

    assert state.draft is not None
    assert payout_batch.approvals_needed(state.draft, today) == needed
    facts, _ = approve(state, Author("key:b", "bob"), today)
    assert isinstance(facts[0], PayoutBatchApproved) == (needed == 1)


def test_a_batch_with_one_of_two_approvals_can_be_given_up():
    """And then nobody approves it any more."""
    _, state = approve(drafted(limit=0), Author("key:b", "bob"))
    canceled = payout_batch.evolve(state, PayoutBatchCanceled(canceled_by="key:a", reason="wrong month"))

    for checker in (Author("key:b", "bob"), Author("key:c", "carol")):
        with pytest.raises(IllegalTransition):
            approve(canceled, checker)


authors = st.builds(
    Author,
    st.sampled_from([f"key:{n}" for n in range(5)]),
    st.sampled_from([None, "ann", "Ann", "bob", "BOB ", "carol"]),
)


@given(authors, st.lists(st.tuples(authors, st.sampled_from([None, 0, TOTAL])), max_size=8), st.booleans())
def test_no_sequence_of_approvals_gets_past_the_rule(maker, attempts, limited):
    """An approved batch had one checker, or two above the limit; all of them and the maker are different."""
    state = drafted(maker, TOTAL - 1 if limited else None)
    least = 1
    for checker, today in attempts:
        before = state
        try:
            facts, state = approve(state, checker, today)
        except Refusal:
            continue
        if facts:
            assert state.approvals == (*before.approvals, checker)
        if facts and state.status == "approved":
            least = 2 if limited or today == 0 or before.approvals else 1

    people = [maker, *state.approvals]
    assert not any(a.is_also(b) for n, a in enumerate(people) for b in people[n + 1 :])
    assert len(state.approvals) <= 2
    if state.status == "approved":
        assert len(state.approvals) >= least


frozen: dict[str, st.SearchStrategy[Any]] = {
    "amount_minor": st.integers(1, 10**12),
    "currency": st.sampled_from(["GBP", "EUR", "JPY"]),
    "destination": st.text(min_size=1, max_size=20),
    "account_id": st.uuids(),
    "account_from_version": st.integers(0, 10**6),
    "account_to_version": st.integers(0, 10**6),
    "provider": st.sampled_from(["stripe", "bank"]),
    "withheld_minor": st.integers(0, 10**12),
    "withholding_bps": st.integers(0, 9_999),
}
drafts = st.fixed_dictionaries(frozen).map(lambda fields: msgspec.structs.replace(DRAFTED, **fields))


@given(st.dictionaries(st.uuids(), drafts, min_size=1, max_size=4), st.data())
def test_one_changed_field_of_one_payout_changes_the_hash(payouts, data):
    """Whatever an approval freezes; and what is not frozen (who drafted it) does not."""
    payout_id = data.draw(st.sampled_from(sorted(payouts)))
    name = data.draw(st.sampled_from(sorted(frozen)))
    value = data.draw(frozen[name].filter(lambda new: new != getattr(payouts[payout_id], name)))
    changed = msgspec.structs.replace(payouts[payout_id], **{name: value})
    unfrozen = msgspec.structs.replace(payouts[payout_id], made_by="key:b")

    assert content_hash(payouts | {payout_id: changed}) != content_hash(payouts)
    assert content_hash(payouts | {payout_id: unfrozen}) == content_hash(payouts)
    assert content_hash(payouts | {uuid4(): changed}) != content_hash(payouts)


def test_the_schedule_s_date_is_kept():
    """For which day it was drafted."""
    [fact] = payout_batch.decide_draft(
        DRAFT_COMMAND,
        NO_BATCH,
        drafts={PAYOUT: DRAFTED},
        currency="GBP",
        maker=Author("schedule"),
        due_on=date(2026, 2, 28),
    )

    assert getattr(fact, "due_on", None) == date(2026, 2, 28)
