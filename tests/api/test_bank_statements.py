"""Statements and somebody's word at the doors: who may, in which forms, and what is answered."""

from uuid import uuid4

import pytest

from tests.api.house import House, pointers, problem
from tests.api.test_bank_files import DEBTOR, approved
from tests.support.bank_statement import camt053, movement, statement_csv

XML, CSV = "application/xml", "text/csv"


@pytest.fixture
def bank_house(database_url):
    """An installation that pays by a bank account of its own."""
    made = House(database_url, debtor=DEBTOR)
    yield made
    made.close()


def exported(house):
    """A payout's id that a file told the bank to pay; it is the next day now."""
    path = approved(house)
    made = house.post(f"{path}/bank-files", {}).json
    house.clock.forward(days=1)
    house.catch_up()
    return made["payout_ids"][0]


def send(house, content, kind=XML, key=None):
    """Import a statement."""
    return house.send("POST", "/v1/bank-statements", key, body=content, headers={"Content-Type": kind})


def test_a_statement_is_imported_and_its_report_can_be_read_again(bank_house):
    """With the person, counts, each entry, and our account masked; unknown ones are not there."""
    payout_id = exported(bank_house)
    ada = bank_house.key("finance:approve", person="Ada")
    told = movement(None, 20_00, end_to_end_id=payout_id, booked_on="2026-06-02")

    report = send(bank_house, camt053(told, movement(None, 7_00)), key=ada)

    assert report.status_code == 200
    assert (report.json["recorded"], report.json["differences"]) == (1, 0)
    [statement] = report.json["statements"]
    assert statement["counts"] == {"not_ours": 1, "paid": 1}
    assert (statement["account_iban"], statement["imported_by_person"]) == ("LU**************0000", "Ada")
    assert statement["lines"][0]["payout_id"] == payout_id
    read_only = bank_house.key("finance:read")
    path = f"/v1/bank-statements/{statement['bank_statement_id']}"
    shown = bank_house.get(path, read_only)
    assert shown.json == {name: value for name, value in statement.items() if name != "recorded"}
    assert problem(bank_house.get(f"/v1/bank-statements/{uuid4()}")) == (404, "not-found")
    assert problem(bank_house.get(path, bank_house.shop)) == (403, "forbidden")
    assert problem(send(bank_house, camt053(told), key=read_only)) == (403, "forbidden")


def test_imported_statements_are_listed_page_by_page(bank_house):
    """The last that said something new first, each once, without its entries; for finance alone."""
    payout_id = exported(bank_house)
    told = movement(None, 20_00, end_to_end_id=payout_id, booked_on="2026-06-02")
    for name in ("S-1", "S-2", "S-3"):
        assert send(bank_house, camt053(movement(None, 7_00), statement_id=name)).status_code == 200
        bank_house.clock.forward(hours=1)
    for _ in range(2):  # the same again says nothing new
        assert send(bank_house, camt053(movement(None, 7_00), told, statement_id="S-1")).status_code == 200
        bank_house.clock.forward(hours=1)
    read_only = bank_house.key("finance:read")

    first = bank_house.get("/v1/bank-statements", read_only, params={"limit": 2}).json
    address, _, query = first["next"].partition("?")
    rest = bank_house.get(address, read_only, query_string=query).json
    items = [*first["items"], *rest["items"]]

    assert [item["statement_id"] for item in items] == ["S-1", "S-3", "S-2"]
    assert (items[0]["counts"], items[0]["differences"]) == ({"not_ours": 1, "paid": 1}, 0)
    whole = bank_house.get(f"/v1/bank-statements/{items[0]['bank_statement_id']}", read_only).json
    assert items[0] == {name: value for name, value in whole.items() if name != "lines"}
    assert rest["next"] is None
    assert problem(bank_house.get("/v1/bank-statements", bank_house.shop)) == (403, "forbidden")


def test_csv_is_taken_and_what_is_neither_is_refused(bank_house):
    """By its content type, and by what it is."""
    payout_id = exported(bank_house)
    told = movement(None, 20_00, end_to_end_id=payout_id, booked_on="2026-06-02")

    assert send(bank_house, statement_csv(told), CSV).json["recorded"] == 1
    assert problem(send(bank_house, camt053(told), CSV)) == (422, "unreadable-statement")
    assert problem(send(bank_house, statement_csv(told))) == (422, "unreadable-statement")
    assert problem(send(bank_house, b"{}", "application/json")) == (415, "unsupported-media-type")
    assert problem(send(bank_house, b"  ")) == (400, "missing-body")


def test_finance_says_what_became_of_a_payout(bank_house):
    """Paid, then returned, with reference and reason; a retry answers the same, nonsense is refused."""
    payout_id = exported(bank_house)
    path = f"/v1/payouts/{payout_id}/bank-outcome"
    paid = {"outcome": "paid", "reference": "R-1", "reason": "seen online"}
    back = {"outcome": "returned", "reference": "R-2", "reason": "closed account", "reason_code": "AC04"}

    first = bank_house.post(path, paid)
    assert (first.status_code, first.json["status"], first.json["transfer_id"]) == (200, "paid", "R-1")
    assert bank_house.post(path, paid).json == first.json
    assert problem(bank_house.post(path, paid | {"reference": "R-9"})) == (409, "illegal-transition")
    returned = bank_house.post(path, back).json
    assert (returned["status"], returned["reason"]) == ("returned", "closed account")
    assert returned["destination"] == "DE****************3000"

    for change, field in (
        ({"outcome": "lost"}, "/outcome"),
        ({"reference": ""}, "/reference"),
        ({"reason": ""}, "/reason"),
    ):
        refused = bank_house.post(path, paid | change)
        assert (problem(refused), set(pointers(refused))) == ((422, "invalid-field"), {field})
    assert problem(bank_house.post(f"/v1/payouts/{uuid4()}/bank-outcome", paid)) == (404, "not-found")
    assert problem(bank_house.post(path, paid, bank_house.key("finance:read"))) == (403, "forbidden")


def test_a_mistaken_rejection_is_withdrawn_with_a_reason(bank_house):
    """In transit again, once; refused by name where the money went out with another payout since."""
    payout_id = exported(bank_house)
    path = f"/v1/payouts/{payout_id}/bank-outcome"
    word = {"outcome": "rejected", "reference": "file", "reason": "never uploaded"}
    why = {"reason": "The statement shows it."}
    early = bank_house.post(f"{path}/withdraw", why)
    bank_house.post(path, word)
    done = [bank_house.post(f"{path}/withdraw", why) for _ in range(2)]
    bank_house.post(path, word)
    bank_house.catch_up()
    program = {"program_id": done[0].json["program_id"]}
    made = bank_house.post("/v1/payout-batches", program, bank_house.key("finance:approve")).json
    batch = f"/v1/payout-batches/{made['batch_id']}"
    assert bank_house.post(f"{batch}/approve", {"content_hash": made["content_hash"]}).status_code == 200
    assert bank_house.post(f"{batch}/bank-files", {}).status_code == 201
    late = bank_house.post(f"{path}/withdraw", {"reason": "Really."})

    assert problem(early) == (409, "illegal-transition")
    assert [(d.status_code, d.json["status"], d.json["reason"]) for d in done] == [
        (200, "intent", "The statement shows it.")
    ] * 2
    assert problem(late) == (409, "paid-again")
    assert made["payouts"][0]["payout_id"] in late.json["detail"]
    assert problem(bank_house.post(f"/v1/payouts/{uuid4()}/bank-outcome/withdraw", why)) == (404, "not-found")


def test_what_never_left_is_payable_again(bank_house):
    """The next batch pays it."""
    payout_id = exported(bank_house)
    word = {"outcome": "rejected", "reference": "file", "reason": "never uploaded"}

    done = bank_house.post(f"/v1/payouts/{payout_id}/bank-outcome", word).json

    assert (done["status"], done["reason"]) == ("rejected", "refused: never uploaded")
    bank_house.catch_up()
    program = {"program_id": done["program_id"]}
    again = bank_house.post("/v1/payout-batches", program).json
    assert [each["amount_minor"] for each in again["payouts"]] == [20_00]
