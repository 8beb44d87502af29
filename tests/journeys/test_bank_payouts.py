"""One batch, through the doors: one partner is paid over Stripe, the other one by our own bank."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from ledger.bank_file import Debtor
from payouts.accounts import ensure_destinations
from payouts.worker import PayoutWorker
from tests.api.house import House, sale
from tests.support.bank_file import Order, read
from tests.support.bank_statement import OURS, camt053, movement

XML = {"Content-Type": "application/xml"}


@pytest.fixture
def house(database_url: str) -> Iterator[House]:
    """An installation that pays over Stripe and by a bank account of its own."""
    made = House(database_url, debtor=Debtor("Us GmbH", OURS))
    yield made
    made.close()


def balance(house: House, partner_id: str) -> dict[str, int]:
    """A partner's balance by the door, without the zeros."""
    house.catch_up()
    [shown] = house.get(f"/v1/partners/{partner_id}/balances").json["items"]
    names = ("pending", "available", "in_transit", "paid", "earned")
    return {name: value for name in names if (value := shown[f"{name}_minor"])}


def booked(order: Order, *, back: bool = False) -> dict[str, Any]:
    """What the bank tells of an order that it read in our file."""
    told = {"end_to_end_id": order.end_to_end_id, "counterparty_iban": order.iban}
    return movement(None, order.cents, back=back, booked_on="2026-06-03", **told)


def test_one_batch_pays_one_partner_over_stripe_and_one_by_the_bank(house):
    """Drafted by one, approved by another, exported, booked, and one of them comes back."""
    program_id = house.program(currency="EUR")
    by_bank, by_stripe = house.partner(program_id, "brightside"), house.partner(program_id, "northwind")
    account = {"iban": "DE89 3704 0044 0532 0130 00", "holder_name": "Brightside GmbH"}
    assert house.post(f"/v1/partners/{by_bank}/bank-account", account).status_code == 200
    desk, gateway = house.services.desk, house.gateway
    ensure_destinations(house.ledger, gateway, desk, [UUID(by_stripe)], by="cli", country="DE")
    house.referred(program_id, "brightside", "C-1")
    house.referred(program_id, "northwind", "C-2")
    for number, customer in (("INV-1", "C-1"), ("INV-2", "C-2")):
        sold = sale(program_id, number, customer=customer, currency="EUR")
        assert house.post("/v1/conversions", sold, house.shop).status_code == 201
    house.clock.forward(days=1)
    house.catch_up()

    ada, bob = (house.key("finance:approve", person=name) for name in ("Ada", "Bob"))
    drafted = house.post("/v1/payout-batches", {"program_id": program_id}, ada).json
    batch = f"/v1/payout-batches/{drafted['batch_id']}"
    assert {each["provider"] for each in drafted["payouts"]} == {"bank", "stripe"}
    approval = {"content_hash": drafted["content_hash"]}
    assert house.post(f"{batch}/approve", approval, bob).json["status"] == "approved"
    house.catch_up()
    worker = PayoutWorker(house.ledger, gateway)
    worker.step()
    exported = house.post(f"{batch}/bank-files", {}, bob)
    assert exported.status_code == 201
    house.catch_up()
    worker.step()
    assert balance(house, by_bank) == {"in_transit": 20_00, "earned": 20_00}
    assert balance(house, by_stripe) == {"paid": 20_00, "earned": 20_00}

    [order] = read(house.get(f"{batch}/bank-files/1/pain.001", bob).text).orders
    house.clock.forward(days=2)
    statement = camt053(booked(order), movement(None, 1_234_56, back=True))
    first = house.send("POST", "/v1/bank-statements", bob, body=statement, headers=XML).json
    assert (first["recorded"], first["differences"]) == (1, 0)
    assert [line["verdict"] for line in first["statements"][0]["lines"]] == ["paid", "not_ours"]
    assert balance(house, by_bank) == {"paid": 20_00, "earned": 20_00}
    before = house.get("/v1/journal?limit=200").json
    again = house.send("POST", "/v1/bank-statements", bob, body=statement, headers=XML).json
    house.catch_up()
    assert (again["recorded"], again["statements"][0]["lines"]) == (0, first["statements"][0]["lines"])
    assert house.get("/v1/journal?limit=200").json == before
    status = {each["partner_id"]: each["status"] for each in house.get(batch).json["payouts"]}
    assert status == {by_bank: "paid", by_stripe: "confirmed"}

    back = camt053(booked(order, back=True), statement_id="S-2")
    returned = house.send("POST", "/v1/bank-statements", bob, body=back, headers=XML).json
    assert returned["statements"][0]["lines"][0]["detail"] == "AC04: Closed account"
    assert balance(house, by_bank) == {"available": 20_00, "earned": 20_00}
    assert balance(house, by_stripe) == {"paid": 20_00, "earned": 20_00}
    legs = house.get("/v1/journal?limit=200").json["items"]
    assert sum(leg["amount_minor"] for leg in legs) == 0
    sums = {
        name: sum(leg["amount_minor"] for leg in legs if leg["account"] == name)
        for name in ("bank_balance", "stripe_balance", "payout_clearing")
    }
    assert sums == {"bank_balance": 0, "stripe_balance": -20_00, "payout_clearing": 0}
    next_batch = house.post("/v1/payout-batches", {"program_id": program_id}, ada).json
    assert [(each["partner_id"], each["amount_minor"]) for each in next_batch["payouts"]] == [
        (by_bank, 20_00)
    ]
