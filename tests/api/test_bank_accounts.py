"""Bank accounts at the doors: linked by finance, refused by field, whole for nobody but finance."""

from uuid import UUID

import pytest

from tests.api.house import House, pointers, problem, sale

IBAN = "DE89370400440532013000"
SHOWN = "DE****************3000"
ACCOUNT = {"iban": "DE89 3704 0044 0532 0130 00", "holder_name": "Brightside GmbH"}


def linked(house: House) -> tuple[str, str]:
    """A program, and a partner of it with a bank account."""
    program_id = house.program(currency="EUR")
    partner_id = house.partner(program_id)
    done = house.post(f"/v1/partners/{partner_id}/bank-account", ACCOUNT)
    assert done.json == {
        "partner_id": partner_id,
        "iban": SHOWN,
        "holder_name": "Brightside GmbH",
        "bic": None,
    }
    return program_id, partner_id


def test_finance_links_and_reads_a_bank_account(house):
    """Whole at its own address, masked on the partner and in lists."""
    _, partner_id = linked(house)
    house.catch_up()
    read, approve = house.key("finance:read"), house.key("finance:approve")

    for key in (read, approve):
        shown = house.get(f"/v1/partners/{partner_id}/bank-account", key)
        assert (shown.json["iban"], shown.headers["cache-control"]) == (IBAN, "no-store")
    account = {"provider": "bank", "destination": SHOWN}
    assert house.get(f"/v1/partners/{partner_id}", read).json["payout_account"] == account
    assert house.get("/v1/partners", read).json["items"][0]["payout_account"] == account
    assert house.get(f"/v1/partners/{partner_id}/payout-account", read).json["destination"] == SHOWN


def test_others_neither_link_nor_read_it(house):
    """Not with a key that reads, and not by the partner's own."""
    program_id = house.program()
    partner_id = house.partner(program_id)
    path = f"/v1/partners/{partner_id}/bank-account"
    own = house.key("partner:read", partner_id=UUID(partner_id))

    assert problem(house.get(path)) == (404, "not-found")
    assert problem(house.post(path, ACCOUNT, house.key("finance:read"))) == (403, "forbidden")
    assert problem(house.get(path, own)) == (403, "forbidden")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"iban": "DE88370400440532013000"}, "/iban"),
        ({"iban": "DE8937040044053201300"}, "/iban"),
        ({"iban": ""}, "/iban"),
        ({"iban": 12}, "/iban"),
        ({"holder_name": "Фирма"}, "/holder_name"),
        ({"holder_name": None}, "/holder_name"),
        ({"bic": "NOBIC"}, "/bic"),
    ],
)
def test_a_refusal_names_the_field_and_repeats_no_number(sqlite_house, change, pointer):
    """422, with what is wrong, and nothing of the account in it."""
    partner_id = sqlite_house.partner(sqlite_house.program())

    refused = sqlite_house.post(f"/v1/partners/{partner_id}/bank-account", ACCOUNT | change)

    assert problem(refused) == (422, "invalid-field")
    assert pointers(refused) == [pointer]
    assert "0440" not in refused.text


def test_an_iban_is_whole_for_whoever_approves_and_for_nobody_else(house):
    """The batch and the payout by their ids, with a key of finance; masked elsewhere."""
    program_id, partner_id = linked(house)
    house.referred(program_id)
    house.post("/v1/conversions", sale(program_id, currency="EUR"), house.shop)
    house.clock.forward(days=1)
    house.catch_up()

    drafted = house.post("/v1/payout-batches", {"program_id": program_id}).json
    house.catch_up()

    [payout] = drafted["payouts"]
    assert (payout["provider"], payout["destination"]) == ("bank", SHOWN)
    read, own = house.key("finance:read"), house.key("partner:read", partner_id=UUID(partner_id))
    batch = house.get(f"/v1/payout-batches/{drafted['batch_id']}", read).json
    assert batch["payouts"][0]["destination"] == IBAN
    one = f"/v1/payouts/{payout['payout_id']}"
    assert house.get(one, read).json["destination"] == IBAN
    assert house.get(one, own).json["destination"] == SHOWN
    for key in (read, own):
        assert house.get("/v1/payouts", key).json["items"][0]["destination"] == SHOWN
    assert IBAN not in house.get("/v1/payout-batches", read).text
