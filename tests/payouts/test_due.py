"""Who is due what: minimums, holds, currencies, taxes; whoever is left out is told why."""

import pytest

from ledger.commands import FileTaxForm, LinkPayoutAccount, PausePartnerPayouts, SeePayoutAccount
from ledger.events.program import CountryWithholding
from ledger.payout_commands import ChangePayoutSettings, SetWithholding
from ledger.refusals import NothingToPay
from payouts import batches, due, outlook
from tests.payouts.test_worker import CONFIRMED_FACTS


def wish(finance, command):
    """Somebody of finance asks for something."""
    return finance.world.desk.execute(command, by="cli")


def settings(finance, **changes):
    """The program pays out like this."""
    wish(finance, ChangePayoutSettings(program_id=finance.world.program_id, **changes))


def seen(finance, partner_id, **changes):
    """How the partner's account stands at the provider."""
    state = finance.world.desk.partner(partner_id)
    stands = {
        "transfers_active": True,
        "payouts_enabled": True,
        "disabled_reason": None,
        "currently_due": (),
        "country": "GB",
        "default_currency": "gbp",
        **changes,
    }
    account = {"provider": "stripe", "destination": state.payout_accounts["stripe"]}
    wish(
        finance,
        SeePayoutAccount(partner_id=partner_id, effective_at=finance.world.now, **account, **stands),
    )


def skipped(batch):
    """Who was left out, and why."""
    return {each.partner_id: each.reason for each in batch.skipped}


def test_tax_is_withheld_frozen_and_posted(finance):
    """Decided at the draft, kept back from what is sent, owed to the tax office in the books."""
    acme, bolt = (
        finance.partner("acme", available_minor=33_33),
        finance.partner("bolt", available_minor=20_00),
    )
    wish(finance, SetWithholding(partner_id=acme, rate_bps=1_500, reason="no treaty"))
    batch = finance.draft()
    wish(finance, SetWithholding(partner_id=acme, rate_bps=3_000, reason="changed"))

    finance.approve(batch)
    finance.pay()

    paid = finance.payout(batch, acme)
    shown = (paid.amount_minor, paid.withholding_bps, paid.withheld_minor, paid.net_minor)
    assert shown == (33_33, 1_500, 5_00, 28_33)
    assert (batch.total_minor, batch.withheld_minor) == (53_33, 5_00)
    assert finance.payout(batch, bolt).withheld_minor == 0
    assert finance.facts_of(paid) == CONFIRMED_FACTS
    assert sorted(transfer.amount for transfer in finance.transfers(batch)) == [20_00, 28_33]
    accounts = finance.world.balances()[acme]
    assert (accounts["withholding_payable"], accounts["stripe_balance"]) == (-5_00, -28_33)
    assert "commission_payable" not in accounts
    assert sum(line.amount_minor for line in batches.lines(finance.ledger, paid.payout_id)) == 33_33
    finance.check_zero_sum()


def test_a_country_s_rate_is_the_default(finance):
    """What was said of the partner goes before it, also when that is nothing."""
    acme, bolt = (
        finance.partner("acme", available_minor=20_00),
        finance.partner("bolt", available_minor=20_00),
    )
    settings(finance, withholding=(CountryWithholding(country="GB", rate_bps=1_000),))
    for partner_id in (acme, bolt):
        seen(finance, partner_id)
    wish(finance, SetWithholding(partner_id=bolt, rate_bps=0, reason="treaty"))

    batch = finance.draft()

    assert {p.partner_id: p.withheld_minor for p in batch.payouts} == {acme: 2_00, bolt: 0}


def test_the_highest_minimum_counts(finance):
    """Of terms (10.00), settings and the wish."""
    finance.partner("acme", available_minor=20_00)
    bolt = finance.partner("bolt", available_minor=40_00)
    settings(finance, minimum_minor=30_00)

    batch = finance.draft(minimum_minor=5_00)

    assert [p.partner_id for p in batch.payouts] == [bolt]
    assert list(skipped(batch).values()) == ["less than the minimum of 3000 is payable"]


def test_an_account_that_nobody_has_looked_at_is_not_paid_to(finance, monkeypatch):
    """Not drafted before it was seen; nor sent, where it was drafted when that was no reason yet."""
    acme = finance.partner("acme", available_minor=20_00)
    wish(finance, LinkPayoutAccount(partner_id=acme, destination="acct_2"))
    with pytest.raises(NothingToPay) as refused:
        finance.draft()
    assert "nobody has looked" in str(refused.value.details)
    with monkeypatch.context() as before:
        before.setattr(due, "obstacles", lambda *_about, **_more: ())
        batch = finance.approved()

    finance.pay()
    assert finance.payout(batch).status == "approved"
    waits_for = outlook.of_batch(finance.ledger, batch.batch_id).payouts[0].waits_for
    assert waits_for == "nobody has looked yet how its account of stripe stands"
    seen(finance, acme)
    assert outlook.of_batch(finance.ledger, batch.batch_id).payouts[0].next == "send"


def test_who_cannot_be_paid_is_left_out_with_the_reason(finance):
    """Held, restricted, in another currency, without the form that the program's income asks for."""
    names = ("due", "held", "restricted", "euro", "foreign")
    partners = {name: finance.partner(name, available_minor=20_00) for name in names}
    filed = {"form": "w-8ben-e", "reference": "vault/1", "effective_at": finance.world.now}
    for name, partner_id in partners.items():
        seen(finance, partner_id)
        if name != "foreign":
            wish(finance, FileTaxForm(partner_id=partner_id, **filed))
    settings(finance, us_source=True)
    wish(finance, PausePartnerPayouts(partner_id=partners["held"], reason="address under review"))
    finance.later(seconds=1)
    why = {"transfers_active": False, "disabled_reason": "requirements.past_due"}
    seen(finance, partners["restricted"], **why)
    seen(finance, partners["euro"], default_currency="eur")

    batch = finance.draft()

    assert [p.partner_id for p in batch.payouts] == [partners["due"]]
    assert skipped(batch) == {
        partners["held"]: "the partner's payouts are held: address under review (finance)",
        partners["restricted"]: "transfers are not active: requirements.past_due",
        partners["euro"]: "its account takes EUR, and the program pays GBP",
        partners["foreign"]: "there is no W-8 on file",
    }


def test_an_amount_that_is_all_tax_waits(finance):
    """A penny of which more than half is withheld leaves nothing to send."""
    acme = finance.partner(available_minor=10_00)
    wish(finance, SetWithholding(partner_id=acme, rate_bps=9_999, reason="order"))
    finance.earn(finance.partner("bolt"), 10_00)

    batch = finance.draft()

    assert skipped(batch) == {acme: "nothing is left of it once the tax is withheld"}
