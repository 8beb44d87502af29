"""Referral links: they redirect, they count, and they never keep a visitor waiting for our books."""

from urllib.parse import parse_qs, urlsplit

import pytest

from api.resources.referrals import with_parameters
from ledger.store.database import DatabaseUnavailable
from tests.api.house import problem


def issued(house, **more):
    """A program, a partner and its code BRIGHT20."""
    program_id = house.program()
    partner_id = house.partner(program_id)
    code = {"program_id": program_id, "partner_id": partner_id, "code": "BRIGHT20", **more}
    assert house.post("/v1/referral-codes", code).status_code == 201
    return program_id, partner_id


def test_a_link_leads_on_and_counts(house):
    """302 with `ref` and `touch`, not to be kept; the touch names the partner when the customer comes."""
    program_id, partner_id = issued(house)

    answer = house.client.simulate_get("/r/BRIGHT20")

    assert answer.status_code == 302
    assert answer.headers["cache-control"] == "no-store"
    target = urlsplit(answer.headers["location"])
    query = parse_qs(target.query)
    assert (target.netloc, target.path) == ("example.com", "/hello")
    assert (query["a"], query["ref"]) == (["1"], ["BRIGHT20"])
    told = {"program_id": program_id, "customer": "C-9", "via": "link", "touch_id": query["touch"][0]}
    assert house.post("/v1/referrals", told).json["partner_id"] == partner_id
    house.catch_up()
    assert house.get("/v1/referral-codes").json["items"][0]["touches"] == 1


def test_whoever_only_looks_where_a_link_leads_is_no_visit(house):
    """HEAD has the address without `touch`, and nothing is counted; a code that is none is none here, too."""
    issued(house)

    head = house.client.simulate_head("/r/BRIGHT20")
    nobody = house.client.simulate_head("/r/NOBODY")

    assert (head.status_code, nobody.status_code) == (302, 404)
    assert head.headers["location"] == "https://example.com/hello?a=1&ref=BRIGHT20"
    assert head.headers["cache-control"] == "no-store"
    house.catch_up()
    assert house.get("/v1/referral-codes").json["items"][0]["touches"] == 0


def test_a_code_has_a_landing_address_of_its_own(house):
    """It goes before the program's."""
    issued(house, landing_url="https://example.org/only")

    assert (
        house.client.simulate_get("/r/BRIGHT20").headers["location"].startswith("https://example.org/only?")
    )


def test_a_code_that_nobody_issued(house):
    """404, and a code that can't be one as well."""
    assert problem(house.client.simulate_get("/r/NOSUCH"))[0] == 404
    assert problem(house.client.simulate_get("/r/%00"))[0] in (404, 422)


def test_a_link_works_while_the_database_is_down(sqlite_house, monkeypatch):
    """A code that was followed before still redirects, without a touch; one never seen is a 503."""
    issued(sqlite_house)
    sqlite_house.client.simulate_get("/r/BRIGHT20")

    def down(*_args, **_kwargs):
        raise DatabaseUnavailable("down")

    monkeypatch.setattr(sqlite_house.services.desk, "execute", down)
    monkeypatch.setattr(sqlite_house.services.desk, "referral_code", down)
    known = sqlite_house.client.simulate_get("/r/BRIGHT20")
    unknown = sqlite_house.client.simulate_get("/r/OTHER")

    assert known.status_code == 302
    assert "touch" not in parse_qs(urlsplit(known.headers["location"]).query)
    assert problem(unknown) == (503, "unavailable")
    assert unknown.headers["retry-after"]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("https://x.test", "https://x.test?ref=A"),
        ("https://x.test/p?q=1&q=2&e=#f", "https://x.test/p?q=1&q=2&e=&ref=A#f"),
        ("https://x.test/?ref=theirs&touch=old", "https://x.test/?ref=A"),
    ],
)
def test_what_is_in_the_address_stays(target, expected):
    """Its own query and fragment are kept; a `ref` of somebody else's is not."""
    assert with_parameters(target, "A", None) == expected


def test_finance_says_for_whom_a_customer_counts(house):
    """By the customer's id; one that no referral told of is named by program and customer."""
    program_id = house.program()
    house.partner(program_id)
    other = house.partner(program_id, "other")
    house.referred(program_id)
    house.catch_up()
    customer = house.get("/v1/customers").json["items"][0]["customer_id"]
    wish = {"shares": [{"partner_id": other, "share_bps": 10_000}], "reason": "Their call."}
    finance = house.key("finance:approve")

    made = house.post(f"/v1/customers/{customer}/reattribute", wish, finance)
    again = house.post(f"/v1/customers/{customer}/reattribute", wish, finance)
    halves = {**wish, "shares": [{"partner_id": other, "share_bps": 5_000}]}

    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json["reattributions"][0]["shares"] == wish["shares"]
    assert house.get(f"/v1/customers/{customer}").json == again.json
    assert problem(house.post(f"/v1/customers/{customer}/reattribute", halves)) == (422, "invalid-field")
    nobody = "00000000-0000-0000-0000-000000000001"
    assert problem(house.post(f"/v1/customers/{nobody}/reattribute", wish))[0] == 404
    misnamed = {**wish, "program_id": program_id, "customer": "C-1"}
    assert problem(house.post(f"/v1/customers/{nobody}/reattribute", misnamed))[0] == 422
