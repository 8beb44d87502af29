"""Lists and GETs: pages that miss nothing, cursors that can't be made up, ETags, balances as of a time."""

import pytest

from api.pagination import write_cursor
from tests.api.house import SOON, problem, sale


@pytest.mark.parametrize(
    "path", ["/v1/partners", "/v1/conversions", "/v1/rewards", "/v1/journal", "/v1/referrals", "/v1/keys"]
)
def test_pages_hold_everything_once(house, path):
    """Following `next` gives what one large page gives, in the same order; the link says the same."""
    program_id = house.program()
    for number in range(5):
        house.partner(program_id, f"partner-{number}")
        house.referred(program_id, f"partner-{number}", f"C-{number}")
        house.post("/v1/conversions", sale(program_id, str(number), customer=f"C-{number}"))
        house.key("admin")
    house.catch_up()

    whole = house.get(path, query_string="limit=200").json
    pages, following = [], f"{path}?limit=2"
    while following:
        address, _, query = following.partition("?")
        answer = house.get(address, query_string=query)
        pages += answer.json["items"]
        following = answer.json["next"]
        assert (following is None) == ("link" not in answer.headers)

    assert len(whole["items"]) >= 5
    assert whole["next"] is None
    assert pages == whole["items"]


@pytest.mark.parametrize("forged", ["x", "!!!", "AAAA", "eyJhIjoxfQ", "a" * 2000])
def test_a_cursor_that_we_did_not_write(sqlite_house, forged):
    """400: neither made up, nor another list's, nor one with another key within."""
    for cursor in (forged, write_cursor("/v1/programs", ["a", "b"]), write_cursor("/v1/partners", [1])):
        refused = sqlite_house.get("/v1/partners", query_string=f"cursor={cursor}")

        assert problem(refused) == (400, "invalid-cursor")


def test_an_etag_saves_the_second_answer(house):
    """304 without a body while nothing changed; a new ETag once it did."""
    program_id = house.program()
    path = f"/v1/programs/{program_id}"

    first = house.get(path)
    same = house.get(path, headers={"If-None-Match": f'"other", {first.headers["etag"]}'})
    house.post(f"{path}/terms", {"terms": {**_TERMS, "holding_days": 7}})
    changed = house.get(path, headers={"If-None-Match": first.headers["etag"]})

    assert first.headers["etag"].startswith('"')
    assert (same.status_code, same.content) == (304, b"")
    assert changed.status_code == 200
    assert changed.json["terms_version"] == 2


def test_balances_as_they_were(house):
    """Before the sale there was nothing; pages of the past are pages too."""
    program_id = house.program()
    for number in range(3):
        house.partner(program_id, f"p{number}")
        house.referred(program_id, f"p{number}", f"C-{number}")
        house.post("/v1/conversions", sale(program_id, f"a{number}", customer=f"C-{number}"))
    house.catch_up()
    then = house.clock.now.isoformat()
    house.clock.forward(days=1)
    house.post("/v1/conversions", sale(program_id, "late", customer="C-0"))
    house.catch_up()
    path = f"/v1/programs/{program_id}/balances"

    now = house.get(path).json["items"]
    past = house.get(path, params={"as_of": then}).json["items"]
    first = house.get(path, params={"as_of": then, "limit": 2}).json
    address, _, query = first["next"].partition("?")
    second = house.get(address, query_string=query).json

    assert sorted(b["earned_minor"] for b in now) == [2_000, 2_000, 4_000]
    assert [b["earned_minor"] for b in past] == [2_000] * 3
    assert first["items"] + second["items"] == past
    assert second["next"] is None
    assert house.get(path, params={"recorded_as_of": then}).json["items"] == past
    assert house.get(path, params={"as_of": "2001-01-01T00:00:00Z"}).json["items"] == []
    twice = {"as_of": then, "recorded_as_of": then}
    assert problem(house.get(path, params=twice)) == (400, "invalid-query")
    assert problem(house.get(path, params={"as_of": "2001-01-01"})) == (400, "invalid-query")


@pytest.mark.parametrize("times", [{}, {"recorded_as_of": "2026-01-01T00:00:00Z"}])
def test_no_balances_is_not_nobody(house, times):
    """A partner in whose account nothing happened has none; whom nobody knows has no page, nor a program."""
    program_id = house.program()
    partner_id = house.partner(program_id, "p")
    house.catch_up()
    nobody = "00000000-0000-4000-8000-000000000000"

    for path, name in ((f"/v1/partners/{partner_id}", "partner"), (f"/v1/programs/{program_id}", "program")):
        assert house.get(f"{path}/balances", params=times).json["items"] == []
        unknown = house.get(f"{path.rpartition('/')[0]}/{nobody}/balances", params=times)
        assert problem(unknown) == (404, f"unknown-{name}")


def test_what_was_true_and_what_was_known(house):
    """A sale that is told late and dated back: balances, rewards and journal show it in one time only."""
    program_id = house.program()
    partner_id = house.partner(program_id, "p")
    house.referred(program_id, "p", "C")
    known = house.clock.now.isoformat()
    house.clock.forward(days=5)
    house.post("/v1/conversions", sale(program_id, "late", customer="C", effective_at=SOON))
    house.catch_up()
    true = {"effective_as_of": SOON}
    both = {"effective_as_of": SOON, "recorded_as_of": known}

    for path in (f"/v1/partners/{partner_id}/balances", "/v1/rewards", "/v1/journal"):
        now = house.get(path).json["items"]
        assert len(now) > 0
        assert len(house.get(path, params=true).json["items"]) == len(now), path
        assert house.get(path, params=both).json["items"] == [], path
        assert house.get(path, params={"recorded_as_of": known}).json["items"] == [], path
    [reward] = house.get("/v1/rewards").json["items"]
    one = f"/v1/rewards/{reward['reward_id']}"
    assert house.get(one, params=true).json["amount_minor"] == 2_000
    assert problem(house.get(one, params={"recorded_as_of": known})) == (404, "not-found")


def test_a_reward_as_it_was_before_it_was_taken_back(house):
    """Reversed today, whole in the past; a stage that is asked for is that of then."""
    program_id = house.program()
    house.partner(program_id, "p")
    house.referred(program_id, "p", "C")
    house.post("/v1/conversions", sale(program_id, "a", customer="C"))
    house.catch_up()
    then = {"recorded_as_of": house.clock.now.isoformat()}
    house.clock.forward(days=3)
    refund = {"kind": "refund", "program_id": program_id, "source": "shop", "external_id": "a"}
    refund |= {"refund_id": "r", "amount_minor": 10_000, "currency": "GBP", "effective_at": SOON}
    assert house.post("/v1/conversions", refund).status_code == 201
    house.catch_up()

    [now] = house.get("/v1/rewards").json["items"]
    [past] = house.get("/v1/rewards", params=then).json["items"]

    assert (now["reversed_minor"], past["reversed_minor"]) == (2_000, 0)
    assert {**past, "reversed_minor": 2_000} == now
    assert house.get(f"/v1/rewards/{now['reward_id']}", params=then).json == past
    assert house.get("/v1/rewards", params={**then, "stage": "matured"}).json["items"] == [past]
    assert house.get("/v1/rewards", params={**then, "stage": "held"}).json["items"] == []


_TERMS = {
    "language": 1,
    "rules": [{"kinds": ["sale"], "reward": {"rate_bps": 1000}}],
    "holding_days": 30,
    "attribution": {"model": "first_touch", "window_days": 90},
    "minimum_payout_minor": 1000,
}
