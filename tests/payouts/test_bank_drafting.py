"""Partners off Stripe in a batch: the same draft, the same two people, the same hash over where it goes."""

import pytest

from ledger.refusals import ContentChanged, NothingToPay
from tests.support.bank import IBANS, BankFinance


def test_one_batch_holds_partners_of_both_kinds(bank):
    """Each with its provider and destination, frozen by the approval's hash."""
    acme, bolt = bank.at_bank("acme", available_minor=50_00), bank.partner("bolt", available_minor=30_00)

    batch = bank.draft()

    kinds = {payout.partner_id: (payout.provider, payout.amount_minor) for payout in batch.payouts}
    assert kinds == {acme: ("bank", 50_00), bolt: ("stripe", 30_00)}
    assert bank.payout(batch, acme).destination == IBANS[0]
    bank.link(acme, IBANS[1])
    assert bank.approve(batch).status == "approved"
    assert bank.payout(batch, acme).destination == IBANS[0]


def test_a_new_account_makes_another_hash(bank):
    """What was looked at is what is approved."""
    acme = bank.at_bank("acme", available_minor=50_00)
    first = bank.draft()
    bank.link(acme, IBANS[1])
    bank.earn(bank.at_bank("bolt"), 20_00)
    second = bank.draft()

    with pytest.raises(ContentChanged):
        bank.approve(type(first)(**{**_fields(second), "content_hash": first.content_hash}))


def _fields(batch):
    return {name: getattr(batch, name) for name in batch.__struct_fields__}


def test_the_account_that_was_linked_last_is_paid(bank):
    """Who moves from Stripe to a bank account is drafted for that, and back."""
    acme = bank.partner("acme", available_minor=50_00)
    bank.link(acme)

    assert bank.payout(bank.draft(), acme).provider == "bank"


def test_a_bank_account_is_paid_in_euros_only(database_url, stripe_gateway):
    """A program in pounds names what it passes over, and pays the others."""
    department = BankFinance(database_url, stripe_gateway, currency="GBP")
    acme, bolt = department.at_bank("acme", available_minor=50_00), department.partner("bolt")
    with pytest.raises(NothingToPay) as nothing:
        department.draft()
    department.earn(bolt, 20_00)

    batch = department.draft()

    says = "it is paid to a bank account, in EUR, and the program pays GBP"
    assert [(each.partner_id, each.reason) for each in batch.skipped] == [(acme, says)]
    assert [each.reason for each in nothing.value.details["skipped"]] == [says]
    assert [payout.partner_id for payout in batch.payouts] == [bolt]
    department.close()


def test_no_transfer_is_larger_than_sepa_moves(bank):
    """It is named, before a bank would refuse the whole file."""
    acme = bank.at_bank("acme", available_minor=100_000_000_000)
    bank.earn(bank.at_bank("bolt", iban=IBANS[1]), 20_00)

    [skipped] = bank.draft().skipped

    assert skipped.partner_id == acme
    assert skipped.reason == "100000000000 minor units are more than one SEPA transfer moves"
