"""Asking that a batch be sent now: the worker waits no longer, and does what it would have done."""

from uuid import uuid4

import pytest

from ledger import ids, payout_gate
from ledger.refusals import DatabaseOlderThanProvider, IllegalTransition, NotFound, PayoutsAreFrozen
from ledger.store.application import Change
from payouts import batches, restore_check, sending_now
from payouts.outcomes import Confirmed, Rejected, Unknown
from tests.support.finance import CHECKER, MAKER, Script


def ask(finance, batch):
    """The checker asks, and the views learn of it."""
    found = sending_now.ask(finance.ledger, batch.batch_id, by=CHECKER)
    finance.runner.catch_up()
    return found


def test_an_answer_that_is_waited_for_is_asked_for_at_once_under_the_same_key(finance):
    """Without the ask nothing happens in the same moment; one ask is heeded once."""
    finance.partner(available_minor=30_00)
    batch = finance.approved()
    gateway = Script(Unknown("mismatch", "odd"))
    worker = finance.worker(gateway)
    finance.pay(worker)
    finance.pay(worker)
    waited = len(gateway.intents)

    found = ask(finance, batch)
    finance.pay(worker)
    finance.pay(worker)

    assert (waited, len(gateway.intents)) == (1, 2)
    assert gateway.intents[0] == gateway.intents[1]
    assert [each.next for each in found.payouts] == ["ask_again"]


def test_a_batch_that_waits_for_the_balance_goes_on_as_soon_as_somebody_asks(finance):
    """The balance is asked for now, not in a minute; where it covers nothing, the batch stays paused."""
    finance.partner(available_minor=30_00)
    batch = finance.approved()
    gateway = Script(Rejected("balance_insufficient", "too low"), Confirmed("tr_1"))
    worker = finance.worker(gateway)
    finance.pay(worker)
    finance.pay(worker)
    unasked = list(gateway.asked)

    ask(finance, batch)
    for _ in range(2):
        finance.pay(worker)
    still = batches.load(finance.ledger, batch.batch_id).paused_reason
    gateway.balance = {"gbp": 30_00}
    finance.later(seconds=10)
    found = ask(finance, batch)
    for _ in range(3):
        finance.pay(worker)

    assert (unasked, gateway.asked) == ([], ["balance", "balance"])
    assert still is not None
    assert found.payouts[0].waits_for == f"the batch is paused: {still}"
    assert finance.payout(batch).status == "confirmed"
    assert [intent.idempotency_key[-2:] for intent in gateway.intents] == ["-1", "-2"]


def test_a_held_partner_s_account_is_looked_at_as_soon_as_somebody_asks(finance):
    """Only the account: a hold of finance stays."""
    finance.partner(available_minor=30_00)
    batch = finance.approved()
    gateway = Script(Rejected("insufficient_capabilities_for_transfer", "no"), Confirmed("tr_1"))
    worker = finance.worker(gateway)
    finance.pay(worker)
    unasked = list(gateway.asked)

    ask(finance, batch)
    for _ in range(3):
        finance.pay(worker)

    assert unasked == []
    assert gateway.asked == [finance.payout(batch).destination]
    assert finance.payout(batch).status == "confirmed"


def test_only_what_is_approved_can_be_sent_and_one_ask_is_one_fact(finance):
    """A draft, an unknown id and frozen payouts are refused, and nothing is stored then."""
    finance.partner(available_minor=30_00)
    batch = finance.draft()
    with pytest.raises(IllegalTransition):
        ask(finance, batch)
    with pytest.raises(NotFound):
        sending_now.ask(finance.ledger, uuid4(), by=MAKER)
    finance.approve(batch)
    restore_check.freeze(finance.ledger, "odd traffic", by=MAKER)
    facts = len(finance.world.log())
    with pytest.raises(PayoutsAreFrozen):
        ask(finance, batch)
    assert len(finance.world.log()) == facts
    restore_check.thaw(finance.ledger, "all is well", by=MAKER)

    ask(finance, batch)
    first = batches.load(finance.ledger, batch.batch_id).send_asked_at
    finance.later(seconds=9)
    ask(finance, batch)
    same = batches.load(finance.ledger, batch.batch_id).send_asked_at
    finance.later(seconds=1)
    ask(finance, batch)
    again = batches.load(finance.ledger, batch.batch_id).send_asked_at

    assert first == same
    assert again == finance.world.now
    finance.pay()
    assert len(finance.transfers(batch)) == 1


def test_a_restored_database_sends_nothing_on_request(finance):
    """As long as transfers that it lost are not explained."""
    finance.partner(available_minor=30_00)
    batch = finance.approved()

    found = payout_gate.looked(
        payout_gate.OPEN,
        provider="stripe",
        looked_from=finance.world.now,
        unknown=["tr_lost"],
        now=finance.world.now,
    )
    assert finance.ledger.append([Change(ids.payout_gate_id(), 0, found)], by="payouts")

    with pytest.raises(DatabaseOlderThanProvider):
        ask(finance, batch)
