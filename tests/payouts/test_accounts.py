"""Payout accounts for partners that have none: one each, also after a crash between making and linking."""

import pytest

from ledger.desk import PARTNER
from payouts.accounts import ensure_destinations
from payouts.eligibility import obstacles
from tests.support.finance import Killed


def destination(finance, partner_id):
    """Where a partner's money goes."""
    return finance.ledger.load(partner_id, PARTNER).state.payout_accounts.get("stripe")


def ensure(finance, partners, desk=None):
    """Link what is missing."""
    return ensure_destinations(
        finance.ledger, finance.gateway, desk or finance.world.desk, partners, by="cli"
    )


def test_each_partner_gets_one_account_that_can_be_paid(finance):
    """A second call finds everything in place."""
    partners = [finance.partner(name, linked=False) for name in ("acme", "bolt")]

    assert ensure(finance, partners) == 2

    accounts = [destination(finance, partner_id) for partner_id in partners]
    assert len(set(accounts)) == 2
    assert all(finance.gateway.account(account).transfers_active for account in accounts)
    for partner_id in partners:
        state = finance.ledger.load(partner_id, PARTNER).state
        assert state.account_seen("stripe").transfers_active
        assert obstacles(state, "stripe", now=finance.world.now) == ()
    assert ensure(finance, partners) == 0
    assert [destination(finance, partner_id) for partner_id in partners] == accounts


def test_an_account_made_before_a_crash_is_linked_after_it(finance):
    """The key is derived from the partner, so the same account is found and no second one made."""
    acme = finance.partner("acme", linked=False)
    asked = []

    class Dying:
        def execute(self, command, *, by):
            asked.append(command.destination)
            raise Killed

    with pytest.raises(Killed):
        ensure(finance, [acme], Dying())
    ensure(finance, [acme])

    assert asked == [destination(finance, acme)]
