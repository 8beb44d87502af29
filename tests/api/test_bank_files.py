"""Files for our bank at the doors: exported once, read as often as one likes, by finance alone."""

import hashlib
from uuid import UUID, uuid4

import pytest

from api.settings import InvalidSettings, read_settings
from ledger.bank_file import Debtor
from tests.api.house import House, pointers, problem, sale
from tests.support.bank_file import read

ACCOUNT = {"iban": "DE89370400440532013000", "holder_name": "Brightside GmbH"}
DEBTOR = Debtor("Us GmbH", "LU280019400644750000", "BCEELULL")


@pytest.fixture
def bank_house(database_url):
    """An installation that pays by a bank account of its own."""
    made = House(database_url, debtor=DEBTOR)
    yield made
    made.close()


def approved(house: House) -> str:
    """An approved batch of one partner with a bank account."""
    program_id = house.program(currency="EUR")
    partner_id = house.partner(program_id)
    house.post(f"/v1/partners/{partner_id}/bank-account", ACCOUNT)
    house.referred(program_id)
    house.post("/v1/conversions", sale(program_id, currency="EUR"), house.shop)
    house.clock.forward(days=1)
    house.catch_up()
    batch = house.post("/v1/payout-batches", {"program_id": program_id}).json
    approve = {"content_hash": batch["content_hash"]}
    path = f"/v1/payout-batches/{batch['batch_id']}"
    assert house.post(f"{path}/approve", approve, house.key("finance:approve")).status_code == 200
    return path


def test_a_file_is_exported_once_and_downloaded_as_it_is(bank_house):
    """201, then 200 with the same words; the text has the hash that was told, and whole IBANs."""
    path = approved(bank_house)
    somebody = bank_house.key("finance:approve", person="Ada")

    first = bank_house.post(f"{path}/bank-files", {}, somebody)
    again = bank_house.post(f"{path}/bank-files", {"number": 1}, somebody)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json == again.json
    assert (first.json["transfers"], first.json["total_minor"]) == (1, 20_00)
    assert first.json["exported_by_person"] == "Ada"
    assert first.json["debtor_iban"] == "LU**************0000"
    assert first.headers["location"] == f"{path}/bank-files/1"
    read_only = bank_house.key("finance:read")
    shown = bank_house.get(f"{path}/bank-files/1", read_only).json
    assert shown == {name: value for name, value in first.json.items() if name != "left_out"}
    text = bank_house.get(f"{path}/bank-files/1/pain.001", read_only)
    assert (text.headers["content-type"], text.headers["cache-control"]) == ("application/xml", "no-store")
    assert hashlib.sha256(text.content).hexdigest() == first.json["content_sha256"]
    [order] = read(text.text).orders
    assert (order.iban, order.cents) == (ACCOUNT["iban"], 20_00)
    payout = bank_house.get(f"/v1/payouts/{first.json['payout_ids'][0]}").json
    assert (payout["status"], UUID(hex=order.end_to_end_id)) == ("intent", UUID(payout["payout_id"]))


def test_what_can_not_be_exported_is_refused_by_name(bank_house):
    """No such batch, a wrong number or day, another day than the first time, nothing left, no key for it."""
    path = approved(bank_house)
    files = f"{path}/bank-files"

    assert problem(bank_house.post(f"/v1/payout-batches/{uuid4()}/bank-files", {})) == (404, "not-found")
    assert problem(bank_house.get(f"{files}/1")) == (404, "not-found")
    assert problem(bank_house.get(f"{files}/1/pain.001")) == (404, "not-found")
    for wrong, field in (({"number": 2}, "/number"), ({"execution_date": "2020-01-01"}, "/execution_date")):
        refused = bank_house.post(files, wrong)
        assert problem(refused) == (422, "invalid-field")
        assert pointers(refused) == [field]
    assert problem(bank_house.post(files, {}, bank_house.key("finance:read"))) == (403, "forbidden")
    assert bank_house.post(files, {}).status_code == 201
    other_day = bank_house.post(files, {"execution_date": "2026-06-20"})
    assert problem(other_day) == (409, "content-conflict")
    assert problem(bank_house.post(files, {"number": 2})) == (409, "nothing-to-pay")


def test_nobody_pays_from_an_account_that_was_not_named(sqlite_house):
    """The refusal says which settings are missing, and nothing is recorded."""
    path = approved(sqlite_house)

    refused = sqlite_house.post(f"{path}/bank-files", {})

    assert problem(refused) == (409, "bank-account-not-configured")
    assert sqlite_house.get(path).json["payouts"][0]["status"] == "approved"


NAMES = ("PAYOUT_BANK_NAME", "PAYOUT_BANK_IBAN", "PAYOUT_BANK_BIC")


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((None, None, None), None),
        (("Us & Co", "lu28 0019 4006 4475 0000", None), Debtor("Us + Co", "LU280019400644750000")),
        (("Us", "LU280019400644750000", "bceelull"), Debtor("Us", "LU280019400644750000", "BCEELULL")),
    ],
)
def test_our_own_account_comes_from_the_environment(monkeypatch, values, found):
    """As it is printed; nothing is needed where nobody is paid by a bank."""
    _say(monkeypatch, values)

    assert read_settings().debtor == found


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        (("Us", None, None), "PAYOUT_BANK_IBAN"),
        ((None, "LU280019400644750000", None), "PAYOUT_BANK_NAME"),
        (("Us", "LU290019400644750000", None), "PAYOUT_BANK_IBAN"),
        (("Us", "BR1800360305000010009795493C1", None), "PAYOUT_BANK_IBAN"),
        (("Фирма", "LU280019400644750000", None), "PAYOUT_BANK_NAME"),
        (("Us", "LU280019400644750000", "BIC"), "PAYOUT_BANK_BIC"),
    ],
)
def test_a_mistake_in_it_names_its_variable(monkeypatch, values, wrong):
    """And does not repeat the number."""
    _say(monkeypatch, values)

    with pytest.raises(InvalidSettings) as refused:
        read_settings()

    assert set(refused.value.mistakes) == {wrong}
    assert "0019" not in str(refused.value)


def _say(monkeypatch, values):
    for name, value in zip(NAMES, values, strict=True):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)


def test_after_a_restore_a_file_is_recorded_that_left_and_none_is_made(bank_house):
    """Until finance says that every file is accounted for; the gate tells why."""
    gate = "/v1/payout-gate"
    path = approved(bank_house)
    somebody = bank_house.key("finance:approve", person="Ada")

    told = bank_house.post(f"{gate}/restored", {"reason": "Put back."}).json
    refused = [problem(bank_house.post(f"{path}/bank-files", {}))]
    bank_house.clock.forward(hours=2)
    recorded = bank_house.post(f"{path}/bank-files", {"has_left": "Online banking shows it."})
    known = bank_house.post(f"{gate}/bank-files-known", {"reason": "One file left."}, somebody)

    assert (told["is_open"], told["bank_files_doubt"]) == (False, "Put back.")
    assert refused == [(409, "bank-files-in-doubt")]
    assert recorded.status_code == 201
    assert known.json["bank_files_doubt"] is None
    assert problem(bank_house.post(f"{gate}/restored", {})) == (422, "invalid-field")
