"""Giving up what was approved: while nothing is on its way, racing the worker, and never after the intent."""

from uuid import uuid4

import pytest

from ledger.commands import CancelPayout, CancelPayouts
from ledger.refusals import IllegalTransition, NotFound, PayoutUnderWay
from payouts import batches
from payouts.outcomes import Confirmed, Rejected, Unknown
from tests.support.finance import CHECKER, MAKER, Script


def cancel(finance, batch, reason="wrong month"):
    """The maker gives up a batch."""
    wish = CancelPayouts(batch_id=batch.batch_id, reason=reason)
    done = batches.cancel(finance.ledger, wish, by=MAKER)
    finance.runner.catch_up()
    return done


def cancel_payout(finance, payout, reason="asked us to wait"):
    """The checker gives up a payout."""
    wish = CancelPayout(payout_id=payout.payout_id, reason=reason)
    done = batches.cancel_payout(finance.ledger, wish, by=CHECKER)
    finance.runner.catch_up()
    return done


def test_an_approved_batch_is_given_up_before_anything_is_sent(finance):
    """Whoever approved it stays on it; no worker sends it, and the next batch pays the same money."""
    acme = finance.partner(available_minor=30_00)
    batch = finance.approved()

    done = cancel(finance, batch)
    facts = len(finance.world.log())
    again = cancel(finance, batch)

    assert (done.status, done.approved_by, done.new) == ("canceled", CHECKER, True)
    assert [(p.status, p.reason) for p in done.payouts] == [
        ("canceled", "its batch was canceled: wrong month")
    ]
    assert (again.status, again.new, len(finance.world.log())) == ("canceled", False, facts)
    assert finance.pay() == 0
    assert finance.transfers(batch) == []
    assert finance.balance(acme)["available"] == 30_00
    assert finance.payout(finance.approved(), acme).amount_minor == 30_00


def test_one_payout_of_an_approved_batch_is_given_up_and_the_others_go(finance):
    """The same wish again is nothing new; in a draft it is refused, since an approval is of the whole."""
    acme, bolt = finance.partner(available_minor=30_00), finance.partner("bolt", available_minor=20_00)
    batch = finance.draft()
    with pytest.raises(IllegalTransition, match="cancel that"):
        cancel_payout(finance, finance.payout(batch, acme))
    finance.approve(batch)

    done = cancel_payout(finance, finance.payout(batch, acme))
    facts = len(finance.world.log())
    again = cancel_payout(finance, finance.payout(batch, acme), reason="another word")
    finance.pay()

    assert (done.status, again.reason, len(finance.world.log()) > facts) == (
        "canceled",
        "asked us to wait",
        True,  # the worker's facts alone
    )
    assert finance.payout(batch, bolt).status == "confirmed"
    assert [t.amount for t in finance.transfers(batch)] == [20_00]
    assert finance.payout(finance.draft(), acme).amount_minor == 30_00
    with pytest.raises(NotFound):
        batches.cancel_payout(finance.ledger, CancelPayout(payout_id=uuid4(), reason="r"), by=MAKER)


@pytest.mark.parametrize("outcome", [Unknown("connection", "reset"), Confirmed("tr_1")], ids=["open", "made"])
def test_from_the_intent_on_it_is_refused_by_name_and_nothing_is_stored(finance, outcome):
    """Neither the payout nor its batch, of which another payout could still be given up."""
    acme, bolt = finance.partner(available_minor=30_00), finance.partner("bolt", available_minor=20_00)
    batch = finance.approved()
    cancel_payout(finance, finance.payout(batch, bolt))
    finance.pay(finance.worker(Script(outcome)))
    facts = len(finance.world.log())

    with pytest.raises(PayoutUnderWay, match=str(finance.payout(batch, acme).payout_id)):
        cancel(finance, batch)
    with pytest.raises(PayoutUnderWay):
        cancel_payout(finance, finance.payout(batch, acme))

    assert len(finance.world.log()) == facts
    assert batches.load(finance.ledger, batch.batch_id).status == "approved"


@pytest.mark.parametrize("step", ["before the intent", "intent recorded"])
def test_of_the_worker_and_whoever_cancels_one_is_first(finance, step):
    """Both decide on the payout's own stream: canceled before the intent it never leaves, later it does."""
    finance.partner(available_minor=30_00)
    batch = finance.approved()
    refused: list[str] = []

    def race(reached):
        if reached == step and not refused:
            try:
                cancel(finance, batch)
                refused.append("canceled")
            except PayoutUnderWay:
                refused.append("refused")

    finance.pay(finance.worker(reached=race))

    came = {"before the intent": ("canceled", "canceled", 0), "intent recorded": ("refused", "confirmed", 1)}
    assert (refused[0], finance.payout(batch).status, len(finance.transfers(batch))) == came[step]
    finance.check_zero_sum()


def test_a_paused_batch_is_given_up_and_nobody_waits_for_it_any_more(finance):
    """Its rejected payout holds no money; when the balance comes, nothing of it is sent."""
    acme = finance.partner(available_minor=30_00)
    batch = finance.approved()
    gateway = Script(Rejected("balance_insufficient", "too low"), Confirmed("tr_2"))
    worker = finance.worker(gateway)
    finance.pay(worker)
    assert batches.load(finance.ledger, batch.batch_id).paused_reason is not None

    done = cancel(finance, batch)
    gateway.balance = {"gbp": 100_00}
    for _ in range(3):
        finance.later(hours=7)
        finance.pay(worker)

    assert (done.status, done.paused_reason, finance.payout(batch).status) == ("canceled", None, "canceled")
    assert len(gateway.intents) == 1
    assert "balance" not in gateway.asked
    assert finance.balance(acme)["available"] == 30_00
