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


def test_from_a_link_to_a_payout_that_the_bank_returns(place):
    """Nothing is sent before transfers are active; nothing is sent again after the bank gave it back."""
    house, stripe = place.house, place.stripe
    program_id = house.program()
    partner_id = place.partner()
    agreed = {
        "program_id": program_id,
        "partner_id": str(partner_id),
        "terms_version": 1,
        "accepted_by": "them",
    }
    house.post("/v1/agreements", {**agreed, "effective_at": "2020-01-01T00:00:00Z"})
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

    maker, checker = house.key("finance:approve"), house.key("finance:approve")
    batch = house.post("/v1/payout-batches", {"program_id": program_id}, maker).json
    approval = {"content_hash": batch["content_hash"]}
    assert house.post(f"/v1/payout-batches/{batch['batch_id']}/approve", approval, checker).status_code == 200
    place.turn()
    payout = f"/v1/payouts/{batch['payouts'][0]['payout_id']}"
    assert house.get(payout).json["status"] == "confirmed"

    destination = place.account(partner_id)["destination"]
    stripe.play(Fault(on="payout", do="payout_fails", seconds=86_400))
    stripe.pay_out(destination)
    place.later(days=2, minutes=1)
    assert house.get(payout).json["status"] == "paid"
    place.later(days=1)
    assert house.get(payout).json["status"] == "returned"

    place.later(days=1)
    house.post("/v1/payout-batches", {"program_id": program_id}, maker)
    place.turn()
    assert len(stripe.objects("transfer")) == 1
    stripe.pay_out(destination)
    place.later(days=2, minutes=1)
    assert house.get(payout).json["status"] == "paid"
    assert len(stripe.objects("transfer")) == 1
