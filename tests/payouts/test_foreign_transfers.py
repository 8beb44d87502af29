"""Transfers that we can't read: those of others stop nobody, those that name a payout do, by name."""

import threading

import pytest

from payouts.gate import Gate
from payouts.gateway import GatewayError
from payouts.reconciling import reconcile
from tests.support.reconciled import finance_and_stripe
from tests.support.transfers import intent


@pytest.fixture
def both(database_url):
    """Finance and its stand-in, on one clock."""
    with finance_and_stripe(database_url) as made:
        yield made


def turn(finance, gate):
    """One turn of a gated worker, with the views caught up around it."""
    finance.runner.catch_up()
    waited = gate._turn(threading.Event(), 0.5)
    finance.runner.catch_up()
    return waited


FOREIGN = {
    "sent nowhere any more": {"destination": None},
    "no amount that we count": {"currency": "isk", "amount": 505},
}


@pytest.mark.parametrize("odd", FOREIGN.values(), ids=FOREIGN)
def test_a_transfer_of_others_that_cannot_be_read_stops_nobody(both, odd):
    """Another product sends from the same account: what it does there is not our business."""
    finance, stripe = both
    acme = finance.partner("acme", available_minor=30_00)
    destination = finance.world.desk.partner(acme).payout_accounts["stripe"]
    batch = finance.approved()
    made = stripe.sdk().v1.transfers.create({"amount": 5, "currency": "gbp", "destination": destination})
    stripe.distort("transfer", made.id, **odd)
    gate = Gate(finance.ledger, finance.gateway, finance.worker())

    turn(finance, gate)

    assert gate.refusal is None
    assert finance.payout(batch).status == "confirmed"
    finance.later(hours=2)
    run = reconcile(finance.ledger, finance.gateway, by="cli")
    assert [item.reference for item in run.items if item.is_difference] == [made.id]


def test_a_transfer_that_names_a_payout_and_cannot_be_read_holds_the_worker_back_by_name(both):
    """It may be the one that a restored ledger lacks."""
    finance, stripe = both
    acme = finance.partner("acme", available_minor=30_00)
    batch = finance.approved()
    destination = finance.world.desk.partner(acme).payout_accounts["stripe"]
    named = {"payout_id": str(finance.payout(batch).payout_id)}
    made = finance.gateway.create_transfer(intent(destination, metadata=named)).transfer_id
    stripe.distort("transfer", made, currency="isk", amount=505)

    gate = Gate(finance.ledger, finance.gateway, finance.worker())

    with pytest.raises(GatewayError, match=f"names payout {named['payout_id']}.*{made}"):
        gate.closed()
    assert turn(finance, gate) > 0
    assert finance.payout(batch).status == "approved"
