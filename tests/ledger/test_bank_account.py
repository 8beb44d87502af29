"""Bank accounts of partners: what is linked, where the money goes then, what is refused at which field."""

from uuid import uuid4

import msgspec
import pytest

from ledger import partner
from ledger.bank_commands import LinkBankAccount
from ledger.commands import LinkPayoutAccount
from ledger.events.bank import BankAccountLinked
from ledger.events.partner import PartnerPayoutsPaused, PayoutAccountLinked
from ledger.refusals import InvalidField, UnknownPartner
from tests.ledger.test_partner import APPLIED, NOW, decide, replay

ID = uuid4()
IBAN = "DE89370400440532013000"
LINK = LinkBankAccount(partner_id=ID, iban=IBAN, holder_name="Acme GmbH")
LINKED = BankAccountLinked(iban=IBAN, holder_name="Acme GmbH")
STRIPE = PayoutAccountLinked(provider="stripe", destination="acct_1A")


def test_money_goes_to_the_account_that_was_linked_last():
    """Over Stripe, to the bank, and back again; the same wish twice is one fact."""
    printed = msgspec.structs.replace(LINK, iban="de89 3704 0044 0532 0130 00", bic="cobadeffxxx")
    with_bic = msgspec.structs.replace(LINKED, bic="COBADEFFXXX")

    assert decide([APPLIED, STRIPE], LINK) == [LINKED]
    assert decide([APPLIED, STRIPE, LINKED], LINK) == []
    assert decide([APPLIED, STRIPE, LINKED], printed) == [with_bic]
    assert replay([APPLIED, STRIPE]).provider == "stripe"
    at_bank = replay([APPLIED, STRIPE, LINKED])
    assert (at_bank.provider, at_bank.payout_accounts["bank"]) == ("bank", IBAN)
    back = LinkPayoutAccount(partner_id=ID, destination="acct_1A")
    assert decide([APPLIED, STRIPE, LINKED], back) == [STRIPE]
    assert replay([APPLIED, STRIPE, LINKED, STRIPE]).provider == "stripe"
    assert decide([APPLIED, STRIPE, LINKED, STRIPE], LINK) == [LINKED]
    assert replay([APPLIED]).provider is None


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"iban": "DE88370400440532013000"}, "/iban"),
        ({"iban": "BR1800360305000010009795493C1"}, "/iban"),
        ({"holder_name": ""}, "/holder_name"),
        ({"holder_name": "Фирма"}, "/holder_name"),
        ({"holder_name": "x" * 71}, "/holder_name"),
        ({"bic": "COBADEF"}, "/bic"),
        ({"bic": "COBA99FF"}, "/bic"),
        ({"bic": ""}, "/bic"),
    ],
)
def test_a_refusal_points_at_its_field(change, pointer):
    """What can't be paid to is not linked."""
    with pytest.raises(InvalidField) as refused:
        decide([APPLIED], msgspec.structs.replace(LINK, **change))

    assert refused.value.pointer == pointer


def test_nobody_s_account_is_linked():
    """There has to be a partner."""
    with pytest.raises(UnknownPartner):
        decide([], LINK)


def test_what_is_wrong_at_stripe_holds_no_payout_by_our_bank():
    """But what finance says does."""
    restricted = PartnerPayoutsPaused(cause="account_restricted", reason="Stripe says no", effective_at=NOW)
    finance = PartnerPayoutsPaused(cause="finance", reason="under review", effective_at=NOW)
    state = replay([APPLIED, STRIPE, restricted])

    assert partner.payouts_held(state, "stripe") == "Stripe says no (account restricted)"
    assert partner.payouts_held(state, "bank") is None
    assert partner.payouts_held(replay([APPLIED, restricted, finance]), "bank") == "under review (finance)"
