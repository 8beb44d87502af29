"""Payouts by our bank, by somebody's word and by entries: which step leads on, and what follows."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from ledger import bank_payout, payout
from ledger.bank_commands import TellBankOutcome
from ledger.bank_file import BankTransfer, end_to_end_id
from ledger.bank_payout import DIFFERENCES, Entry
from ledger.events.bank import BankOutcomeTold
from ledger.events.payout import PayoutApproved, PayoutDrafted, PayoutIntentRecorded
from ledger.refusals import EffectiveTimeInFuture, IllegalTransition, InvalidField

PAYOUT = uuid4()
NOW = datetime(2026, 6, 3, 9, tzinfo=UTC)
EXPORTED = datetime(2026, 6, 1, 14, tzinfo=UTC)
DRAFTED = PayoutDrafted(
    batch_id=uuid4(),
    program_id=uuid4(),
    partner_id=uuid4(),
    account_id=uuid4(),
    account_from_version=0,
    account_to_version=3,
    amount_minor=50_00,
    currency="EUR",
    destination="DE89370400440532013000",
    made_by="key:maker",
    provider="bank",
    withheld_minor=5_00,
    withholding_bps=1_000,
    hash_version=2,
)
SENT = BankTransfer(
    message_id="M",
    end_to_end_id=end_to_end_id(PAYOUT),
    amount_minor=45_00,
    currency="EUR",
    creditor_name="Acme",
    creditor_iban="DE89370400440532013000",
    creditor_bic=None,
    text="Payout",
    debtor_iban="LU280019400644750000",
)
INTENT = PayoutIntentRecorded(
    attempt=1,
    idempotency_key="k",
    body=msgspec.json.encode(SENT).decode(),
    api_version="pain.001.001.09",
    effective_at=EXPORTED,
)
APPROVED = PayoutApproved(approved_by="key:checker", content_hash="h")
EXPORT = (DRAFTED, APPROVED, INTENT)
LEFT = Entry(
    statement_id="S-1",
    entry_reference="1",
    direction="debit",
    amount_minor=45_00,
    currency="EUR",
    booked_at=datetime(2026, 6, 2, tzinfo=UTC),
)
BACK = msgspec.structs.replace(LEFT, direction="credit", entry_reference="2", reason_code="AC04")
SAYS = TellBankOutcome(payout_id=PAYOUT, outcome="paid", reference="R-1", reason="seen online")


def replay(*facts):
    """A payout after facts."""
    state = payout.NO_PAYOUT
    for fact in facts:
        state = payout.evolve(state, fact)
    return state


def tell(state, **change):
    """Somebody's word at noon."""
    command = msgspec.structs.replace(SAYS, **change)
    return bank_payout.tell(command, state, person="Ada", now=NOW)


def names(facts):
    """The types of facts."""
    return [type(fact).__name__ for fact in facts]


PAID = ["BankOutcomeTold", "TransferSent", "TransferConfirmed", "PayoutPaid"]


def test_a_word_is_recorded_with_its_author_and_what_follows():
    """Paid, then returned: it left and came back; the person and the bank's reference stand in both."""
    state = replay(*EXPORT)
    paid = tell(state)
    after = replay(*EXPORT, *paid)
    returned = tell(after, outcome="returned", reference="R-2", reason_code="AC04")
    end = replay(*EXPORT, *paid, *returned)

    assert names(paid) == PAID
    assert names(returned) == ["BankOutcomeTold", "PayoutReversed", "PayoutReturned"]
    assert (after.status, after.transfer_id, end.status) == ("paid", "R-1", "returned")
    assert end.reversals == {"R-2": 45_00}
    assert [(told.source, told.person) for told in end.told] == [("finance", "Ada"), ("finance", "Ada")]


def test_what_never_left_is_rejected():
    """It is ended, with the reason; nothing is paid for it any more, and no word changes that."""
    rejected = tell(replay(*EXPORT), outcome="rejected", reason_code="RC01", reason="unknown BIC")
    end = replay(*EXPORT, *rejected)

    assert names(rejected) == ["BankOutcomeTold", "TransferSent", "TransferRejected"]
    assert (end.status, end.reason) == ("rejected", "RC01: unknown BIC")
    for outcome in ("paid", "returned"):
        with pytest.raises(IllegalTransition):
            tell(end, outcome=outcome)
    judged = bank_payout.judge(PAYOUT, end, LEFT, NOW)
    assert (judged.verdict, judged.facts) == ("unexpected", ())


def test_the_same_word_twice_is_one_and_another_one_is_refused():
    """A retry answers as before; paid twice under two references is no step."""
    state = replay(*EXPORT, *tell(replay(*EXPORT)))

    assert tell(state) == []
    with pytest.raises(IllegalTransition):
        tell(state, reference="R-2")


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        ((DRAFTED,), "paid"),
        ((DRAFTED, APPROVED), "paid"),
        ((DRAFTED, APPROVED), "rejected"),
        (EXPORT, "returned"),
        ((msgspec.structs.replace(DRAFTED, provider="stripe"), APPROVED, INTENT), "paid"),
    ],
)
def test_there_are_no_other_steps(facts, outcome):
    """Nothing is paid that no file told the bank; Stripe's payouts are Stripe's to tell."""
    with pytest.raises(IllegalTransition):
        tell(replay(*facts), outcome=outcome)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"reason": " "}, InvalidField),
        ({"reference": ""}, InvalidField),
        ({"effective_at": NOW + timedelta(days=1)}, EffectiveTimeInFuture),
    ],
)
def test_a_word_needs_its_reason_and_reference(change, refusal):
    """And is not about tomorrow."""
    with pytest.raises(refusal):
        tell(replay(*EXPORT), **change)


@pytest.mark.parametrize(
    ("booked_at", "effective_at"),
    [
        (datetime(2026, 6, 2, tzinfo=UTC), datetime(2026, 6, 2, tzinfo=UTC)),
        (datetime(2026, 6, 1, tzinfo=UTC), EXPORTED),
        (datetime(2026, 6, 9, tzinfo=UTC), NOW),
        (None, NOW),
    ],
)
def test_money_leaves_when_it_was_booked_between_the_file_and_now(booked_at, effective_at):
    """A bank that tells the day alone books before a file of the same day; the journal does not."""
    entry = msgspec.structs.replace(LEFT, booked_at=booked_at)

    facts: Any = bank_payout.judge(PAYOUT, replay(*EXPORT), entry, NOW).facts

    assert names(facts) == PAID
    assert {fact.effective_at for fact in facts if type(fact).__name__ != "TransferSent"} == {effective_at}


def test_a_statement_proves_what_somebody_said_before():
    """Its entry is recorded as the proof, and moves nothing; a second entry is a double."""
    said = replay(*EXPORT, *tell(replay(*EXPORT)))

    proof = bank_payout.judge(PAYOUT, said, LEFT, NOW)
    proven = replay(*EXPORT, *tell(replay(*EXPORT)), *proof.facts)

    assert (proof.verdict, names(proof.facts)) == ("paid", ["BankOutcomeTold"])
    other = msgspec.structs.replace(LEFT, entry_reference="9")
    assert bank_payout.judge(PAYOUT, proven, LEFT, NOW).facts == ()
    assert bank_payout.judge(PAYOUT, proven, other, NOW).verdict == "duplicate"
    returned = [*tell(said, outcome="returned", reference="R-2")]
    back = bank_payout.judge(PAYOUT, replay(*EXPORT, *tell(replay(*EXPORT)), *returned), BACK, NOW)
    assert (back.verdict, names(back.facts)) == ("returned", ["BankOutcomeTold"])


def test_after_a_return_nothing_is_paid_again():
    """Another booking under the same name is a double: the money went out anew, in no payout of ours."""
    state = replay(*EXPORT)
    for entry in (LEFT, BACK):
        for fact in bank_payout.judge(PAYOUT, state, entry, NOW).facts:
            state = payout.evolve(state, fact)
    again = msgspec.structs.replace(LEFT, statement_id="S-2")

    assert state.status == "returned"
    assert bank_payout.judge(PAYOUT, state, again, NOW).verdict == "duplicate"
    with pytest.raises(IllegalTransition):
        tell(state, reference="R-9")


def test_a_reason_says_what_the_bank_said():
    """Code and words, or that there were none."""
    state = replay(*EXPORT, *bank_payout.judge(PAYOUT, replay(*EXPORT), LEFT, NOW).facts)
    told = {}
    for code, words in (("AC04", "Closed"), ("MD07", None), (None, "gone"), (None, None)):
        entry = msgspec.structs.replace(BACK, reason_code=code, reason=words)
        told[code, words] = bank_payout.judge(PAYOUT, state, entry, NOW).detail

    assert list(told.values()) == ["AC04: Closed", "MD07", "gone", "the bank gave no reason"]
    assert "paid" not in DIFFERENCES
    assert isinstance(state.told[0], BankOutcomeTold)
