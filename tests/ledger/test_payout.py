"""Payouts and their batches: facts, a wish, new facts."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec
import pytest

from ledger import payout, payout_batch
from ledger.access import Author
from ledger.commands import ApprovePayouts, CancelPayouts, DraftPayouts
from ledger.events.base import Fact
from ledger.events.payout import (
    PayoutApproved,
    PayoutBatchApproved,
    PayoutBatchCanceled,
    PayoutBatchDrafted,
    PayoutCanceled,
    PayoutDrafted,
    PayoutIntentRecorded,
    PayoutLeftToHuman,
    PayoutPaid,
    PayoutReturned,
    PayoutReversed,
    TransferConfirmed,
    TransferFoundAbsent,
    TransferRejected,
    TransferSearchBegan,
    TransferSent,
    TransferUnknown,
)
from ledger.refusals import (
    ContentChanged,
    ContentConflict,
    IllegalTransition,
    InvalidField,
    NotFound,
    NothingToPay,
    SameMakerAndChecker,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROGRAM, PARTNER, ACCOUNT, BATCH, PAYOUT = (UUID(int=n) for n in range(1, 6))
MAKER, CHECKER = "key:maker", "key:checker"

DRAFTED = PayoutDrafted(
    batch_id=BATCH,
    program_id=PROGRAM,
    partner_id=PARTNER,
    account_id=ACCOUNT,
    account_from_version=0,
    account_to_version=3,
    amount_minor=12_50,
    currency="GBP",
    destination="acct_1",
    made_by=MAKER,
    provider="stripe",
    withheld_minor=1_25,
    withholding_bps=1_000,
    hash_version=2,
)
HASH = payout.content_hash({PAYOUT: DRAFTED})
APPROVED = PayoutApproved(approved_by=CHECKER, content_hash=HASH)
INTENT = PayoutIntentRecorded(
    attempt=1,
    idempotency_key=f"payout-{PAYOUT}-1",
    body="{}",
    api_version="v",
    effective_at=NOW,
)
SENT = TransferSent(attempt=1, effective_at=NOW)
CONFIRMED = TransferConfirmed(
    attempt=1,
    transfer_id="tr_1",
    account_id=ACCOUNT,
    program_id=PROGRAM,
    partner_id=PARTNER,
    net_minor=11_25,
    currency="GBP",
    effective_at=NOW,
)
REJECTED = TransferRejected(attempt=1, code="no_account", message="no", effective_at=NOW)
UNKNOWN = TransferUnknown(attempt=1, reason="cut off", effective_at=NOW)
SEARCHED = TransferSearchBegan(
    attempt=1, transfer_group=f"batch-{BATCH}", destination="acct_1", effective_at=NOW
)
ABSENT = TransferFoundAbsent(
    attempt=1,
    transfer_group=f"batch-{BATCH}",
    destination="acct_1",
    searched_from=NOW,
    searched_to=NOW,
    transfers_listed=0,
    effective_at=NOW,
)
HELD = PayoutLeftToHuman(attempt=1, reason="two transfers", effective_at=NOW)
PAID = PayoutPaid(effective_at=NOW)
RETURNED = PayoutReturned(effective_at=NOW, reason="closed")
REVERSED = PayoutReversed(amount_minor=11_25, left_minor=0, effective_at=NOW, origin="us", reference="trr_1")

UP_TO: dict[str, list[Fact]] = {
    "none": [],
    "draft": [DRAFTED],
    "approved": [DRAFTED, APPROVED],
    "canceled": [DRAFTED, PayoutCanceled(reason="no")],
    "intent": [DRAFTED, APPROVED, INTENT],
    "sent": [DRAFTED, APPROVED, INTENT, SENT],
    "unknown": [DRAFTED, APPROVED, INTENT, SENT, UNKNOWN],
    "held": [DRAFTED, APPROVED, INTENT, SENT, UNKNOWN, SEARCHED, HELD],
    "absent": [DRAFTED, APPROVED, INTENT, SENT, UNKNOWN, SEARCHED, ABSENT],
    "confirmed": [DRAFTED, APPROVED, INTENT, SENT, CONFIRMED],
    "rejected": [DRAFTED, APPROVED, INTENT, SENT, REJECTED],
    "paid": [DRAFTED, APPROVED, INTENT, SENT, CONFIRMED, PAID],
    "returned": [DRAFTED, APPROVED, INTENT, SENT, CONFIRMED, PAID, RETURNED],
    "reversed": [DRAFTED, APPROVED, INTENT, SENT, CONFIRMED, REVERSED],
}


def replay(facts):
    """A payout's state after facts."""
    state = payout.NO_PAYOUT
    for fact in facts:
        state = payout.evolve(state, fact)
    return state


STEPS = {
    "approve": lambda s: payout.approve(PAYOUT, s, by=CHECKER),
    "cancel": lambda s: payout.cancel(s, reason="no"),
    "intent": lambda s: payout.record_intent(PAYOUT, s, body="{}", api_version="v", now=NOW),
    "sent": lambda s: payout.sent(s, attempt=1, sent_at=NOW),
    "confirm": lambda s: payout.confirm(s, attempt=1, transfer_id="tr_1", sent_at=NOW, now=NOW),
    "reject": lambda s: payout.reject(s, attempt=1, code="no_account", message="no", sent_at=NOW, now=NOW),
    "unknown": lambda s: payout.leave_unknown(s, attempt=1, reason="cut off", sent_at=NOW, now=NOW),
    "pay": lambda s: payout.settle(s, reference=None, now=NOW),
    "return": lambda s: payout.give_back(s, reason="closed", now=NOW),
    "reverse": lambda s: payout.reverse(s, amount_minor=11_25, origin="us", reference="trr_1", now=NOW),
}
INTENT_2 = msgspec.structs.replace(INTENT, attempt=2, idempotency_key=f"payout-{PAYOUT}-2")
GRANTED: dict[tuple[str, str], list[Fact]] = {
    ("draft", "approve"): [APPROVED],
    ("draft", "cancel"): [PayoutCanceled(reason="no")],
    ("approved", "cancel"): [PayoutCanceled(reason="no")],
    ("rejected", "cancel"): [PayoutCanceled(reason="no")],
    ("absent", "cancel"): [PayoutCanceled(reason="no")],
    ("canceled", "cancel"): [],
    ("approved", "intent"): [INTENT],
    ("rejected", "intent"): [INTENT_2],
    ("absent", "intent"): [INTENT_2],
    ("intent", "sent"): [SENT],
    ("sent", "sent"): [],
    ("unknown", "sent"): [],
    ("intent", "confirm"): [SENT, CONFIRMED],
    ("sent", "confirm"): [CONFIRMED],
    ("unknown", "confirm"): [CONFIRMED],
    ("held", "confirm"): [CONFIRMED],
    **{(state, "confirm"): [] for state in ("confirmed", "paid", "returned", "reversed")},
    ("intent", "reject"): [SENT, REJECTED],
    ("sent", "reject"): [REJECTED],
    ("unknown", "reject"): [REJECTED],
    ("held", "reject"): [REJECTED],
    ("rejected", "reject"): [],
    ("intent", "unknown"): [SENT, UNKNOWN],
    ("sent", "unknown"): [UNKNOWN],
    ("unknown", "unknown"): [],
    ("confirmed", "pay"): [PAID],
    ("returned", "pay"): [PAID],
    ("paid", "pay"): [],
    ("confirmed", "return"): [RETURNED],
    ("paid", "return"): [RETURNED],
    ("returned", "return"): [],
    ("confirmed", "reverse"): [REVERSED],
    ("paid", "reverse"): [REVERSED],
    ("returned", "reverse"): [REVERSED],
    ("reversed", "reverse"): [],
}


@pytest.mark.parametrize("state", UP_TO)
@pytest.mark.parametrize("step", STEPS)
def test_each_step_leads_on_from_its_states_alone(state, step):
    """The whole table: what is granted gives these facts, everything else is refused by the state's name."""
    given = replay(UP_TO[state])

    assert given.status == state
    if (state, step) in GRANTED:
        assert STEPS[step](given) == GRANTED[state, step]
    else:
        with pytest.raises((IllegalTransition, NotFound)) as refused:
            STEPS[step](given)
        assert state == "none" or refused.value.details["state"] == state


def test_a_payout_is_not_approved_by_its_maker():
    """Two people look at money that leaves."""
    with pytest.raises(SameMakerAndChecker):
        payout.approve(PAYOUT, replay([DRAFTED]), by=MAKER)


@pytest.mark.parametrize("state", ["confirmed", "paid", "returned", "reversed"])
def test_a_second_transfer_for_one_payout_is_refused_loudly(state):
    """A confirmation with another transfer's id means that we paid twice: that is no repetition."""
    with pytest.raises(IllegalTransition, match="tr_2"):
        payout.confirm(replay(UP_TO[state]), attempt=1, transfer_id="tr_2", sent_at=NOW, now=NOW)


def test_an_outcome_of_an_earlier_attempt_is_refused():
    """Attempt 1 was definitely rejected; a confirmation of it afterwards contradicts that."""
    state = replay([*UP_TO["rejected"], INTENT_2])

    with pytest.raises(IllegalTransition, match="attempt 1 is not the last one"):
        payout.confirm(state, attempt=1, transfer_id="tr_1", sent_at=NOW, now=NOW)


def test_reversals_count_once_each_and_end_at_the_amount():
    """The same reference again is nothing new; more than was sent (the net) can't come back."""
    state = replay([*UP_TO["confirmed"], CENTS_BACK])

    def reverse(amount, reference):
        return payout.reverse(state, amount_minor=amount, origin="us", reference=reference, now=NOW)

    assert reverse(50, "trr_1") == []
    assert [(fact.amount_minor, fact.left_minor) for fact in reverse(10_75, "trr_2")] == [(10_75, 0)]
    with pytest.raises(ContentConflict):
        reverse(51, "trr_1")
    with pytest.raises(InvalidField):
        reverse(10_76, "trr_2")


CENTS_BACK = PayoutReversed(
    amount_minor=50, left_minor=10_75, effective_at=NOW, origin="us", reference="trr_1"
)


@pytest.mark.parametrize("state", ["confirmed", "paid", "returned"])
def test_what_came_back_in_part_stands_where_it_stood(state):
    """The rest is still the partner's: the bank may bring it, and give it back. Once all is back it ends."""
    after = replay([*UP_TO[state], CENTS_BACK])

    assert (after.status, after.reversals) == (state, {"trr_1": 50})
    assert payout.settle(after, reference=None, now=NOW) == GRANTED[state, "pay"]
    assert payout.give_back(after, reason="closed", now=NOW) == GRANTED[state, "return"]
    rest = payout.reverse(after, amount_minor=10_75, origin="us", reference="trr_2", now=NOW)
    assert replay([*UP_TO[state], CENTS_BACK, *rest]).status == "reversed"


def test_what_came_back_in_part_before_that_was_told_apart_stays_reversed():
    """Facts of version 1 mean what they meant: whatever came back ended the payout."""
    of_version_1 = msgspec.structs.replace(CENTS_BACK, left_minor=None)
    before = replay([*UP_TO["paid"], of_version_1])

    assert before.status == "reversed"
    rest = payout.reverse(before, amount_minor=10_75, origin="us", reference="trr_2", now=NOW)
    assert rest == [
        msgspec.structs.replace(of_version_1, amount_minor=10_75, left_minor=0, reference="trr_2")
    ]


# Batches


def batch(*facts):
    """A batch's state after facts."""
    state = payout_batch.NO_BATCH
    for fact in facts:
        state = payout_batch.evolve(state, fact)
    return state


DRAFT_COMMAND = DraftPayouts(batch_id=BATCH, program_id=PROGRAM)
BATCH_DRAFTED = PayoutBatchDrafted(
    program_id=PROGRAM,
    currency="GBP",
    payout_ids=(PAYOUT,),
    total_minor=12_50,
    made_by=MAKER,
    content_hash=HASH,
)


def decide(command, state, by=CHECKER, payouts=None):
    """What the batch's decider says."""
    return payout_batch.decide_batch(command, state, payouts=payouts or {PAYOUT: DRAFTED}, author=Author(by))


def test_a_batch_is_drafted_once():
    """The same wish again is nothing new, another one under the same id is refused, an empty one too."""

    def draft(command, state, drafts):
        return payout_batch.decide_draft(command, state, drafts=drafts, currency="GBP", maker=Author(MAKER))

    assert draft(DRAFT_COMMAND, batch(), {PAYOUT: DRAFTED}) == [BATCH_DRAFTED]
    assert draft(DRAFT_COMMAND, batch(BATCH_DRAFTED), {}) == []
    with pytest.raises(ContentConflict):
        draft(msgspec.structs.replace(DRAFT_COMMAND, minimum_minor=1), batch(BATCH_DRAFTED), {})
    with pytest.raises(NothingToPay):
        draft(DRAFT_COMMAND, batch(), {})


def test_a_batch_is_approved_as_it_was_looked_at_by_somebody_else():
    """Another hash, changed payouts and the maker are refused; the same approval again is nothing new."""
    approve = ApprovePayouts(batch_id=BATCH, content_hash=HASH)
    approved = PayoutBatchApproved(approved_by=CHECKER, content_hash=HASH)
    changed = msgspec.structs.replace(DRAFTED, amount_minor=12_51)

    assert decide(approve, batch(BATCH_DRAFTED)) == [approved]
    assert decide(approve, batch(BATCH_DRAFTED, approved)) == []
    with pytest.raises(IllegalTransition):
        decide(approve, batch(BATCH_DRAFTED, approved), by="key:third")
    with pytest.raises(SameMakerAndChecker):
        decide(approve, batch(BATCH_DRAFTED), by=MAKER)
    with pytest.raises(ContentChanged):
        decide(msgspec.structs.replace(approve, content_hash="0" * 64), batch(BATCH_DRAFTED))
    with pytest.raises(ContentChanged):
        decide(approve, batch(BATCH_DRAFTED), payouts={PAYOUT: changed})
    with pytest.raises(NotFound):
        decide(approve, batch())


def test_a_batch_is_canceled_before_and_after_its_approval():
    """Once is enough; which of its payouts still can be is a matter of each."""
    cancel = CancelPayouts(batch_id=BATCH, reason="wrong month")
    canceled = PayoutBatchCanceled(canceled_by=CHECKER, reason="wrong month")
    approved = PayoutBatchApproved(approved_by=CHECKER, content_hash=HASH)

    assert decide(cancel, batch(BATCH_DRAFTED)) == [canceled]
    assert decide(cancel, batch(BATCH_DRAFTED, approved)) == [canceled]
    assert decide(cancel, batch(BATCH_DRAFTED, canceled)) == []
    with pytest.raises(IllegalTransition, match="not from canceled"):
        decide(ApprovePayouts(batch_id=BATCH, content_hash=HASH), batch(BATCH_DRAFTED, canceled))


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("amount_minor", 1),
        ("currency", "EUR"),
        ("destination", "acct_2"),
        ("account_id", uuid4()),
        ("account_from_version", 1),
        ("account_to_version", 4),
        ("provider", "bank"),
        ("withheld_minor", 1_24),
        ("withholding_bps", 999),
        ("hash_version", 3),
    ],
)
def test_the_hash_covers_each_field_that_an_approval_freezes(field, other):
    """One changed field changes it; the order in which payouts are named does not."""
    changed = msgspec.structs.replace(DRAFTED, **{field: other})
    second = UUID(int=99)

    assert payout.content_hash({PAYOUT: changed}) != HASH
    assert payout.content_hash({second: DRAFTED}) != HASH
    assert payout.content_hash({PAYOUT: DRAFTED, second: changed}) == payout.content_hash(
        {second: changed, PAYOUT: DRAFTED}
    )


def test_the_hash_is_that_of_its_documented_bytes():
    """Anybody can compute it from what the documentation says, without our code."""
    documented = (
        '[{"account_from_version":0,"account_id":"00000000-0000-0000-0000-000000000003",'
        '"account_to_version":3,"amount_minor":1250,"currency":"GBP","destination":"acct_1","hash_version":2,'
        '"payout_id":"00000000-0000-0000-0000-000000000005","provider":"stripe","withheld_minor":125,'
        '"withholding_bps":1000}]'
    )
    # printf '%s' "$documented" | sha256sum

    assert msgspec.json.encode(msgspec.json.decode(documented), order="sorted").decode() == documented
    assert HASH == "7bf24fbe6e3b9be9b1eef1847d4282b5950d44d5a6a617ce43ba9379e6461918"


def test_a_draft_from_before_withholding_keeps_its_hash():
    """What was approved under hash version 1 is still what was approved: the same bytes, not one more."""
    old = msgspec.structs.replace(DRAFTED, hash_version=1, withheld_minor=0, withholding_bps=0)

    # printf '%s' '[{"account_from_version":0,…,"destination":"acct_1","payout_id":"…5"}]' | sha256sum
    assert payout.content_hash({PAYOUT: old}) == (
        "bd4818b8967df27e554d87567e5ca3c6618f0c09458a6bf5395f529eef23408f"
    )
