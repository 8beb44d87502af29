"""What came back while its webhook was lost for good: reconciling has it looked at."""

from uuid import uuid4

import pytest

from payouts.outcomes import Confirmed
from payouts.reconciling import reconcile
from payouts.webhooks import inbox
from payouts.webhooks.worker import WebhookWorker
from tests.support.reconciled import finance_and_stripe
from tests.support.transfers import intent


@pytest.fixture
def finance(database_url):
    """Paid through a stand-in of its own: what others paid there would be theirs only."""
    with finance_and_stripe(database_url) as (department, _):
        yield department


def run(finance):
    """A reconciliation of everything, two hours on."""
    finance.later(hours=2)
    return reconcile(finance.ledger, finance.gateway, by="cli")


def waiting(finance):
    """How many webhooks, or reminders of our own, wait to be worked on."""
    with finance.ledger.database.read() as connection:
        return inbox.count(connection, "waiting")


def test_a_reversal_whose_webhook_was_lost_is_looked_at_once_it_was_found(finance):
    """However often it is found it counts once, and what came back is payable; the next run is clean."""
    acme = finance.partner(available_minor=30_00)
    batch = finance.approved()
    finance.pay()
    payout = finance.payout(batch)
    hooks = WebhookWorker(finance.ledger, finance.gateway)
    hooks.step()
    for amount in (10_00, 1_00):
        finance.gateway._client.v1.transfers.reversals.create(payout.transfer_id, {"amount": amount})

    found = [run(finance), run(finance)]
    assert waiting(finance) == 2
    while hooks.step():
        finance.runner.catch_up()
    after = run(finance)

    assert [each.differences for each in found] == [2, 2]
    assert after.is_clean
    assert finance.balance(acme) == {"available": 11_00, "paid": 19_00, "earned": 30_00}
    assert waiting(finance) == 0
    finance.check_zero_sum()


def test_reversals_of_what_the_ledger_did_not_send_are_not_looked_at(finance):
    """A transfer of somebody else, or one that a restored ledger lacks, is a difference of its own."""
    finance.partner(available_minor=30_00)
    destination = finance.payout(finance.approved()).destination
    for named in ("order-7", str(uuid4())):
        made = finance.gateway.create_transfer(intent(destination, metadata={"payout_id": named}))
        assert isinstance(made, Confirmed)
        finance.gateway._client.v1.transfers.reversals.create(made.transfer_id, {"amount": 1})
    found = run(finance)

    assert found.differences == 4
    assert waiting(finance) == 0
