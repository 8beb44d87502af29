"""Amounts in Stripe's minor units: exactly ours, or not sent at all."""

import uuid

import msgspec
import pytest

from ledger.events.payout import PayoutDrafted
from ledger.money import CURRENCY_DIGITS
from payouts.currencies import STRIPE_UNITS, from_stripe_minor, to_stripe_minor
from payouts.outcomes import Confirmed, TransferIntent, UnsendableIntent
from payouts.worker import transfer_body
from tests.support.stripe_process import held

SAME = [
    # Ours (ISO 4217), Stripe's: 12.34 GBP, 500 JPY, 5 ISK, 12.00 MGA (whose fifths Stripe does not know), …
    ("GBP", 12_34, 12_34),
    ("JPY", 500, 500),
    ("ISK", 5, 500),
    ("MGA", 12_00, 12),
    ("UGX", 5, 500),
    ("KWD", 5_120, 5_120),
    ("HUF", 10_45, 10_45),
    ("TWD", 10_45, 10_45),
    ("XOF", 7, 7),
]


def draft(currency: str, amount_minor: int, destination: str = "acct_1") -> PayoutDrafted:
    """A payout of this much."""
    return PayoutDrafted(
        batch_id=uuid.uuid4(),
        program_id=uuid.uuid4(),
        partner_id=uuid.uuid4(),
        account_id=uuid.uuid4(),
        account_from_version=0,
        account_to_version=1,
        amount_minor=amount_minor,
        currency=currency,
        destination=destination,
        made_by="key:maker",
        provider="stripe",
        withheld_minor=0,
        withholding_bps=0,
        hash_version=2,
    )


@pytest.mark.parametrize(("currency", "ours", "stripes"), SAME)
def test_there_and_back_it_is_the_same_money(currency, ours, stripes):
    """The intent's body holds Stripe's count."""
    body = msgspec.json.decode(transfer_body(uuid.uuid4(), 1, draft(currency, ours)))

    assert (body["amount"], body["currency"]) == (stripes, currency.lower())
    assert from_stripe_minor(stripes, currency) == ours


@pytest.mark.parametrize(
    ("currency", "ours"),
    [("MGA", 12_20), ("MGA", 1), ("KWD", 5_124), ("TND", 1), ("IQD", 1_000), ("CLF", 10_000), ("XXX", 1)],
)
def test_what_cannot_be_exact_is_not_sent(currency, ours):
    """Fifths of an ariary, a fils, and what Stripe does not say how it counts."""
    with pytest.raises(UnsendableIntent):
        transfer_body(uuid.uuid4(), 1, draft(currency, ours))


@pytest.mark.parametrize(("currency", "stripes"), [("ISK", 550), ("UGX", 1), ("IQD", 1_000)])
def test_what_stripe_says_and_is_no_amount_of_ours(currency, stripes):
    """Half a krona."""
    with pytest.raises(UnsendableIntent):
        from_stripe_minor(stripes, currency)


def test_the_table_names_currencies_and_only_where_they_differ():
    """Codes of ISO 4217; a currency that both count in hundredths needs no line."""
    assert set(STRIPE_UNITS) <= set(CURRENCY_DIGITS)
    assert all(CURRENCY_DIGITS[code] != 2 for code in set(STRIPE_UNITS) - {"MGA"})


@pytest.mark.parametrize("amount", range(1, 60))
def test_every_krona_can_be_sent(amount):
    """ISK and UGX have no fractions, so none is refused."""
    assert [to_stripe_minor(amount, code) for code in ("ISK", "UGX")] == [amount * 100, amount * 100]


@pytest.mark.parametrize(("currency", "ours", "stripes"), SAME[:6])
def test_the_stand_in_moves_what_was_meant(stripe_gateway, currency, ours, stripes):
    """Confirmed, and what is found again is told in our units."""
    account_id = stripe_gateway.create_account("P-1", "GB", "finance@example.com", str(uuid.uuid4()))
    stripe_gateway.top_up_test_balance(currency, ours, str(uuid.uuid4()))
    payout_id, due = uuid.uuid4(), draft(currency, ours, account_id)

    outcome = stripe_gateway.create_transfer(
        TransferIntent(f"payout-{payout_id}-1", transfer_body(payout_id, 1, due))
    )

    assert isinstance(outcome, Confirmed)
    assert held(stripe_gateway.address, account_id) == {currency.lower(): stripes}
    [found] = stripe_gateway.find_transfers(f"batch-{due.batch_id}", account_id)
    assert (found.amount, found.amount_reversed) == (ours, 0)
