"""The worker: from approved to confirmed, and never a second transfer, whatever breaks in between."""

import msgspec
import pytest

from ledger.commands import LinkPayoutAccount, SuspendPartner
from ledger.events.payout import (
    PayoutApproved,
    PayoutBatchApproved,
    PayoutCanceled,
    PayoutIntentRecorded,
)
from ledger.refusals import NothingToPay
from ledger.store.application import Change
from payouts import currencies
from payouts.outcomes import API_VERSION, Confirmed, NotSent, Rejected, RetryLater, Unknown
from payouts.turn import Turn
from tests.support.finance import CHECKER, Cut, Killed, Script, die

CONFIRMED_FACTS = [
    "PayoutDrafted",
    "PayoutApproved",
    "PayoutIntentRecorded",
    "TransferSent",
    "TransferConfirmed",
]


def canceled_reason(finance, payout):
    """Why a payout was canceled."""
    facts = [r.fact for r in finance.ledger.history(payout.payout_id)]
    return next(fact.reason for fact in facts if isinstance(fact, PayoutCanceled))


# The way through


def test_from_draft_to_confirmed_with_every_account_in_balance(finance):
    """Earned money goes from available to paid; the stand-in holds exactly these transfers."""
    acme = finance.partner("acme", available_minor=30_00)
    bolt = finance.partner("bolt", available_minor=12_34)
    assert finance.balance(acme) == {"available": 30_00, "earned": 30_00}
    batch = finance.approved()

    assert finance.pay() == 2

    for partner_id, amount in {acme: 30_00, bolt: 12_34}.items():
        payout = finance.payout(batch, partner_id)
        assert payout.status == "confirmed"
        assert finance.facts_of(payout) == CONFIRMED_FACTS
        assert finance.balance(partner_id) == {"paid": amount, "earned": amount}
    sent = {t.id: t.amount for t in finance.transfers(batch)}
    assert sent == {p.transfer_id: p.amount_minor for p in map(finance.payout, [batch] * 2, [acme, bolt])}
    finance.check_zero_sum()
    assert finance.pay() == 0


def test_the_intent_is_stored_before_the_socket_opens(finance):
    """With its money reserved, its key, and the very bytes that are sent."""
    acme = finance.partner(available_minor=30_00)
    batch = finance.approved()
    payout = finance.payout(batch)
    seen = []

    def look(intent):
        stored = [r.fact for r in finance.ledger.history(payout.payout_id)][-1]
        assert isinstance(stored, PayoutIntentRecorded)
        assert (stored.idempotency_key, stored.body) == (intent.idempotency_key, intent.body)
        seen.append((stored, finance.balance(acme)))

    finance.pay(finance.worker(Cut(finance.gateway, before=look)))

    [(intent, balance)] = seen
    assert balance == {"in_transit": 30_00, "earned": 30_00}
    assert intent.idempotency_key == f"payout-{payout.payout_id}-1"
    assert intent.api_version == API_VERSION
    assert msgspec.json.decode(intent.body) == {
        "amount": 30_00,
        "currency": "gbp",
        "destination": payout.destination,
        "metadata": {
            "attempt": "1",
            "content_hash": payout.content_hash,
            "payout_id": str(payout.payout_id),
        },
        "transfer_group": f"batch-{batch.batch_id}",
    }


def test_money_goes_where_the_approved_draft_said(finance):
    """An account linked after the draft waits for the next batch."""
    acme = finance.partner(available_minor=30_00)
    batch = finance.approved()
    wish = LinkPayoutAccount(partner_id=acme, destination="acct_0000000000000000")
    finance.world.desk.execute(wish, by="cli")

    finance.pay()

    assert [t.destination for t in finance.transfers(batch)] == [batch.payouts[0].destination]


# What changed since the draft


def test_what_differs_from_what_was_approved_is_never_sent(finance):
    """The worker takes the hash of the draft anew: an approval of anything else, however it came, is none."""
    acme = finance.partner(available_minor=30_00)
    batch = finance.draft()
    payout = finance.payout(batch)
    said = {"approved_by": CHECKER, "content_hash": "0" * 64}
    forged = [
        Change(batch.batch_id, 1, [PayoutBatchApproved(**said)]),
        Change(payout.payout_id, 1, [PayoutApproved(**said)]),
    ]
    assert finance.ledger.append(forged, by=CHECKER)

    finance.pay()

    canceled = finance.payout(batch)
    assert canceled.status == "canceled"
    assert "not what was approved" in canceled.reason
    assert finance.transfers(batch) == []
    assert finance.balance(acme) == {"available": 30_00, "earned": 30_00}


def test_two_batches_for_the_same_money_pay_it_once(finance):
    """Two makers who did not see each other's draft: the second payout is canceled with the reason."""
    acme = finance.partner(available_minor=30_00)
    first, second = finance.draft(), finance.draft_unseen()
    finance.approve(first)
    finance.approve(second)

    finance.pay()

    found = sorted([finance.payout(first), finance.payout(second)], key=lambda p: p.status)
    assert [p.status for p in found] == ["canceled", "confirmed"]
    assert "its lines went out with payout" in canceled_reason(finance, found[0])
    assert len(finance.transfers(first)) + len(finance.transfers(second)) == 1
    assert finance.balance(acme) == {"paid": 30_00, "earned": 30_00}


def test_as_much_earned_since_does_not_pay_the_same_lines_again(finance):
    """The account could pay the second draft by then; but its lines were paid by the first."""
    acme = finance.partner(available_minor=30_00)
    first, second = finance.draft(), finance.draft_unseen()
    finance.approve(first)
    finance.pay()
    finance.earn(acme, 30_00)
    finance.approve(second)

    finance.pay()

    assert finance.payout(second).status == "canceled"
    assert finance.balance(acme) == {"available": 30_00, "paid": 30_00, "earned": 60_00}


def test_a_refund_between_draft_and_send_cancels_the_payout(finance):
    """Nothing is sent, never a part of it either; what is left goes out with the next batch."""
    acme = finance.partner()
    sale = finance.earn(acme, 30_00)
    batch = finance.approved()
    finance.refund(sale, 5)

    finance.pay()

    assert finance.payout(batch).status == "canceled"
    assert canceled_reason(finance, finance.payout(batch)).startswith("InsufficientBalance")
    assert finance.transfers(batch) == []
    assert finance.balance(acme) == {"available": 29_99, "earned": 29_99}
    assert finance.draft().total_minor == 29_99


def test_a_partner_suspended_after_approval_is_not_paid(finance):
    """The payout is canceled with the reason, before any intent."""
    acme = finance.partner(available_minor=30_00)
    batch = finance.approved()
    finance.world.desk.execute(SuspendPartner(partner_id=acme, reason="odd traffic"), by="cli")

    finance.pay()

    assert finance.facts_of(finance.payout(batch))[2:] == ["PayoutCanceled"]
    assert "suspended" in canceled_reason(finance, finance.payout(batch))
    assert finance.transfers(batch) == []


def test_a_refund_after_payout_is_clawed_back_from_the_next_reward(finance):
    """The partner owes it; a later reward pays it off before anything is payable."""
    acme = finance.partner()
    sale = finance.earn(acme, 30_00)
    finance.approved()
    finance.pay()

    finance.refund(sale, 100_00)
    owed = finance.balance(acme)
    finance.earn(acme, 35_00)

    assert owed == {"paid": 30_00, "clawback": 20_00, "earned": 10_00}
    assert finance.balance(acme) == {"available": 15_00, "paid": 30_00, "earned": 45_00}
    assert finance.draft().total_minor == 15_00
    finance.check_zero_sum()


# What breaks


def test_killed_between_intent_and_send(finance):
    """The next worker sends what was recorded: once."""
    acme = finance.partner(available_minor=30_00)
    batch = finance.approved()
    with pytest.raises(Killed):
        finance.pay(finance.worker(Cut(finance.gateway, before=die)))
    assert finance.payout(batch).status == "intent"
    assert finance.transfers(batch) == []
    finance.later(minutes=1)

    finance.pay()

    assert finance.payout(batch).status == "confirmed"
    assert len(finance.transfers(batch)) == 1
    assert finance.balance(acme) == {"paid": 30_00, "earned": 30_00}


def test_killed_between_send_and_record(finance):
    """The transfer exists and nobody wrote it down: the same key and bytes again find it."""
    acme = finance.partner(available_minor=30_00)
    batch = finance.approved()
    first = Cut(finance.gateway, after=die)
    with pytest.raises(Killed):
        finance.pay(finance.worker(first))
    [before] = finance.transfers(batch)
    assert finance.payout(batch).status == "intent"
    finance.later(hours=19)
    second = Cut(finance.gateway)

    finance.pay(finance.worker(second))

    assert second.intents == first.intents
    assert finance.payout(batch).transfer_id == before.id
    assert finance.transfers(batch) == [before]
    assert finance.balance(acme) == {"paid": 30_00, "earned": 30_00}


def test_an_answer_lost_after_the_transfer_was_made(finance):
    """Unknown: recorded, in transit, and settled by the same key; the money is never sent anew."""
    acme = finance.partner(available_minor=30_00)
    batch = finance.approved()
    worker = finance.worker(Cut(finance.gateway, after=once(Unknown("connection", "reset by peer"))))

    finance.pay(worker)
    lost = (finance.payout(batch).status, finance.balance(acme))
    finance.pay(worker)
    finance.later(minutes=1)
    finance.pay(worker)

    assert lost == ("unknown", {"in_transit": 30_00, "earned": 30_00})
    assert finance.payout(batch).status == "confirmed"
    assert finance.facts_of(finance.payout(batch))[3:] == [
        "TransferSent",
        "TransferUnknown",
        "TransferConfirmed",
    ]
    assert len(finance.transfers(batch)) == 1


def once(outcome):
    """Puts an outcome in the place of the first one."""
    outcomes = [outcome]
    return lambda found: outcomes.pop() if outcomes else found


@pytest.mark.parametrize("said", [NotSent("AuthenticationError"), RetryLater(after_s=2)])
def test_not_sent_and_busy_are_no_outcome(finance, said):
    """The same key is tried later, no sooner than asked; nothing but the sending is recorded."""
    finance.partner(available_minor=30_00)
    batch = finance.approved()
    gateway = Script(said, Confirmed("tr_1"))
    worker = finance.worker(gateway)

    finance.pay(worker)
    waiting = finance.payout(batch).status
    finance.pay(worker)
    asked_at_once = len(gateway.intents)
    finance.later(seconds=3)
    finance.pay(worker)

    assert waiting == ("intent" if isinstance(said, NotSent) else "sent")
    assert asked_at_once == 1
    assert gateway.intents[0] == gateway.intents[1]
    assert finance.facts_of(finance.payout(batch)) == CONFIRMED_FACTS


def test_a_provider_that_answers_nobody_holds_up_the_others(finance):
    """While the connection fails no further intent is opened; each wait is longer than the last."""
    finance.partner("acme", available_minor=30_00)
    finance.partner("bolt", available_minor=30_00)
    batch = finance.approved()
    gateway = Script(Unknown("connection"), Unknown("connection"), Confirmed("tr_1"), Confirmed("tr_2"))
    worker = finance.worker(gateway)

    finance.pay(worker)
    assert sorted(p.status for p in (finance.payout(batch, p.partner_id) for p in batch.payouts)) == [
        "approved",
        "unknown",
    ]
    asked = []
    for _ in range(8):
        finance.later(seconds=1)
        finance.pay(worker)
        asked.append(len(gateway.intents))

    assert asked[:3] == [2, 2, 4]
    assert len({intent.idempotency_key for intent in gateway.intents}) == 2
    assert {finance.payout(batch, p.partner_id).status for p in batch.payouts} == {"confirmed"}


def test_a_rejected_transfer_is_payable_again(finance):
    """Its reservation is released with the rejection; the next batch has the same money."""
    acme = finance.partner(available_minor=30_00)
    batch = finance.approved()
    worker = finance.worker(Script(Rejected("amount_too_large", "not that much"), Confirmed("tr_1")))

    finance.pay(worker)

    assert finance.payout(batch).status == "rejected"
    assert finance.balance(acme) == {"available": 30_00, "earned": 30_00}
    assert finance.pay(worker) == 0
    again = finance.approved()
    assert finance.payout(again).account_from_version == 0
    finance.pay(worker)
    assert finance.payout(again).status == "confirmed"
    finance.check_zero_sum()


def test_an_amount_that_stripe_cannot_count_is_never_sent(finance, monkeypatch):
    """The payout is canceled before the socket opens, its money stays; a new batch says why not."""
    acme = finance.partner(available_minor=10_50)
    batch = finance.approved()
    gateway = Script(Confirmed("tr_1"))
    monkeypatch.setitem(currencies.STRIPE_UNITS, "GBP", currencies.Unit(2, 100))

    finance.pay(finance.worker(gateway))

    assert gateway.intents == []
    assert canceled_reason(finance, finance.payout(batch)).startswith("UnsendableIntent: 1050 minor units")
    assert finance.balance(acme) == {"available": 10_50, "earned": 10_50}
    with pytest.raises(NothingToPay) as refused:
        finance.draft()
    assert "no amount that Stripe can send" in refused.value.details["skipped"][0].reason


def test_what_another_worker_settled_is_no_longer_waited_for(finance):
    """Its pause does not outlive the payout."""
    finance.partner(available_minor=30_00)
    batch = finance.approved()
    first = finance.worker(Script(Unknown("connection")))
    finance.pay(first)
    assert first._waits.knows(finance.payout(batch).payout_id)

    finance.later(minutes=1)
    other = finance.worker(Script(Confirmed("tr_1")))
    assert finance.pay(other) == 1
    finance.pay(first)

    assert finance.payout(batch).status == "confirmed"
    assert not first._waits.knows(finance.payout(batch).payout_id)


@pytest.mark.parametrize("outcome", [Confirmed("tr_1"), Rejected("balance_insufficient", "too little")])
def test_an_outcome_that_loses_every_race_is_asked_for_again(finance, monkeypatch, outcome):
    """Others change the account all the time: that is no failure, and the same key is asked once more."""
    finance.partner(available_minor=30_00)
    batch = finance.approved()
    worker = finance.worker(gateway := Script(outcome, Confirmed("tr_1")))
    append = Turn.append
    lost: list[set[str]] = []

    def losing(turn, changes, **seen):
        told = {type(fact).__name__ for change in changes for fact in change.facts}
        if told & {"TransferConfirmed", "TransferRejected"} and len(lost) < 6:
            lost.append(told)
            return False
        return append(turn, changes, **seen)

    monkeypatch.setattr(Turn, "append", losing)
    finance.pay(worker)
    finance.later(hours=1)
    finance.pay(worker)

    assert len(lost) >= 5
    assert worker.counts["failed"] == 0
    assert [intent.idempotency_key for intent in gateway.intents] == [gateway.intents[0].idempotency_key] * 2
    assert finance.payout(batch).status == "confirmed"
