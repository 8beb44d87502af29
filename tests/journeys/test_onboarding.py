"""One partner's way: onboarded by a link, active by a webhook, paid, and given back by its bank."""

from collections.abc import Iterator

import pytest

from payouts.simulator.faults import Fault
from tests.api.house import sale
from tests.support.onboarding import OnboardingHouse


@pytest.fixture
def place(database_url: str) -> Iterator[OnboardingHouse]:
    """An installation and its provider on each database."""
    made = OnboardingHouse(database_url)
    yield made
    made.close()


def agree(place, program_id, partner_id):
    """The partner takes part in the program."""
    agreed = {
        "program_id": program_id,
        "partner_id": str(partner_id),
        "terms_version": 1,
        "accepted_by": "them",
    }
    place.house.post("/v1/agreements", {**agreed, "effective_at": "2020-01-01T00:00:00Z"})


def pay(place, program_id):
    """The payout that one drafts, another one approves, and the worker sends: its address."""
    house = place.house
    maker, checker = house.key("finance:approve"), house.key("finance:approve")
    batch = house.post("/v1/payout-batches", {"program_id": program_id}, maker).json
    approval = {"content_hash": batch["content_hash"]}
    assert house.post(f"/v1/payout-batches/{batch['batch_id']}/approve", approval, checker).status_code == 200
    place.turn()
    return f"/v1/payouts/{batch['payouts'][0]['payout_id']}"


@pytest.mark.parametrize("told", ["GB", None], ids=["its own word", "its account"])
def test_its_country_decides_the_tax_from_onboarding_to_the_journal_and_back(place, told):
    """20% for the tax office, until the transfer is taken back from outside: then nothing is owed to it."""
    house = place.house
    program_id = house.program()
    rates = {"withholding": [{"country": "GB", "rate_bps": 2_000}]}
    assert house.post(f"/v1/programs/{program_id}/payout-settings", rates).status_code == 200
    partner_id = place.partner(country=told)
    agree(place, program_id, partner_id)
    house.referred(program_id)
    house.post("/v1/conversions", sale(program_id))
    if told:
        place.follow(place.onboard(partner_id).json["onboarding_link"]["url"])
    else:
        account_id = place.gateway.create_account("theirs", "GB", "o@example.com", "k")
        place.stripe.tweak(account_id, onboarded=True)
        place.house.post(f"/v1/partners/{partner_id}/payout-account", {"destination": account_id})
    place.turn()
    payout = house.get(pay(place, program_id)).json

    def withheld():
        legs = house.get("/v1/journal", query_string=f"program_id={program_id}").json["items"]
        return [leg["amount_minor"] for leg in legs if leg["account"] == "withholding_payable"]

    [transfer] = place.stripe.objects("transfer")
    assert (payout["status"], payout["amount_minor"]) == ("confirmed", 2_000)
    assert (payout["withheld_minor"], payout["net_minor"], transfer["amount"]) == (400, 1_600, 1_600)
    assert withheld() == [-400]
    place.gateway._client.v1.transfers.reversals.create(transfer["id"], {})
    place.turn()
    [balance] = house.get(f"/v1/partners/{partner_id}/balances").json["items"]
    assert sorted(withheld()) == [-400, 400]
    assert (balance["available_minor"], balance["withheld_minor"], balance["paid_minor"]) == (2_000, 0, 0)


def test_from_a_link_to_a_payout_that_the_bank_returns(place):
    """Nothing is sent before transfers are active; nothing is sent again after the bank gave it back."""
    house, stripe = place.house, place.stripe
    program_id = house.program()
    partner_id = place.partner()
    agree(place, program_id, partner_id)
    house.referred(program_id)
    house.post("/v1/conversions", sale(program_id))
    link = place.onboard(partner_id).json["onboarding_link"]["url"]
    place.turn()

    refused = house.post("/v1/payout-batches", {"program_id": program_id})
    assert refused.status_code == 409
    assert "transfers are not active" in refused.json["skipped"][0]["reason"]

    place.follow(link)
    place.turn()
    assert place.account(partner_id)["transfers_active"] is True
    assert place.account(partner_id)["obstacles"] == []

    payout = pay(place, program_id)
    assert house.get(payout).json["status"] == "confirmed"

    destination = place.account(partner_id)["destination"]
    stripe.play(Fault(on="payout", do="payout_fails", seconds=86_400))
    stripe.pay_out(destination)
    place.later(days=2, minutes=1)
    assert house.get(payout).json["status"] == "paid"
    place.later(days=1)
    assert house.get(payout).json["status"] == "returned"

    place.later(days=1)
    house.post("/v1/payout-batches", {"program_id": program_id})
    place.turn()
    assert len(stripe.objects("transfer")) == 1
    stripe.pay_out(destination)
    place.later(days=2, minutes=1)
    assert house.get(payout).json["status"] == "paid"
    assert len(stripe.objects("transfer")) == 1
