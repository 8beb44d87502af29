"""Payouts of another provider: the worker of Stripe's passes them over, in every state."""

from uuid import uuid4

import msgspec
import pytest
import sqlalchemy as sa

from ledger import payout
from ledger.payout import PayoutState
from ledger.store.application import Change
from payouts.batches import PAYOUT
from payouts.outcomes import Rejected
from projections import tables
from tests.support.finance import CHECKER, MAKER, Script


@pytest.mark.parametrize("state", ["approved", "intent"])
@pytest.mark.parametrize("shown", ["bank", "stripe"])
def test_a_payout_by_our_bank_is_never_sent_to_stripe(finance, state, shown):
    """Neither is its intent recorded nor one that is there sent, even if a view has its provider wrong."""
    acme = finance.partner("acme", available_minor=30_00)
    template = finance.ledger.load(finance.payout(finance.draft()).payout_id, PAYOUT).state.draft
    payout_id = uuid4()
    drafted = msgspec.structs.replace(template, provider="bank", destination="bank_1", made_by=MAKER)
    before = PayoutState("draft", drafted)
    facts = [drafted, *payout.approve(payout_id, before, by=CHECKER)]
    if state == "intent":
        approved = PayoutState("approved", drafted)
        facts += payout.record_intent(
            payout_id, approved, body="{}", api_version="none", now=finance.ledger.clock()
        )
    assert finance.ledger.append([Change(payout_id, 0, facts)], by=CHECKER)
    finance.later(hours=1)
    finance.runner.catch_up()
    with finance.ledger.database.write() as connection:
        connection.execute(sa.update(tables.payouts).values(provider=shown))
    gateway = Script(Rejected("never", "asked"))

    finance.pay(finance.worker(gateway))

    assert gateway.intents == []
    assert finance.ledger.load(payout_id, PAYOUT).state.status == state
    assert finance.balance(acme)["available"] == 30_00
