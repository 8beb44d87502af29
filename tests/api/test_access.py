"""Keys open what their scopes say: every route is tried with every scope."""

import time
from uuid import UUID, uuid4

import pytest

from api.app import routes
from api.auth import Gate
from api.operations import methods_of, operation_of
from ledger import ids
from ledger.access import ApiKey
from tests.api.house import House, problem, sale

SCOPES = ("conversions:write", "finance:read", "finance:approve", "admin")
NOBODY = "00000000-0000-0000-0000-000000000001"


def address(route: str) -> str:
    """A route with something in its places."""
    for name, value in (
        ("terms_version:int", "1"),
        ("number:int", "1"),
        ("size:int", "1"),
        ("code", "NONE"),
        ("name", "too-large"),
    ):
        route = route.replace("{" + name + "}", value)
    while "{" in route:
        start, end = route.index("{"), route.index("}")
        route = route[:start] + NOBODY + route[end + 1 :]
    return route


def test_every_door_opens_to_its_scopes_and_to_no_others(sqlite_house: House):
    """No key 401, a key without the scope 403, with it anything but these."""
    keys = {scope: sqlite_house.key(scope) for scope in SCOPES}
    wrong = []
    for route, resource in routes(sqlite_house.services).items():
        for method in methods_of(resource):
            promised = operation_of(resource, method)
            assert promised is not None, f"{method} {route} promises nothing"
            without = sqlite_house.client.simulate_request(method, address(route))
            if (without.status_code == 401) == promised.public:
                wrong.append((method, route, "no key", without.status_code))
            if promised.public:
                continue
            for scope, key in keys.items():
                opens = scope == "admin" or scope in promised.scopes
                status = sqlite_house.send(method, address(route), key).status_code
                if (status == 403) == opens or status == 401:
                    wrong.append((method, route, scope, status))

    assert wrong == []


def test_head_is_get_without_the_body(sqlite_house: House):
    """At every door that GET has: its status and its headers, to the same keys (RFC 9110, 9.3.2)."""
    changing = {"x-request-id", "content-length"}  # the latter counts what may change from one to the other
    for route, resource in routes(sqlite_house.services).items():
        there = "GET" in methods_of(resource)
        for key in (sqlite_house.admin, sqlite_house.shop):
            got, head = (sqlite_house.send(method, address(route), key) for method in ("GET", "HEAD"))
            assert head.content == b"", route
            assert head.status_code == got.status_code, route
            if there:
                assert head.status_code != 405, route
                assert set(head.headers) - {"content-length"} == set(got.headers) - {"content-length"}, route
                same = set(got.headers) - changing - {"etag"}
                assert {n: head.headers[n] for n in same} == {n: got.headers[n] for n in same}, route
    partners = sqlite_house.send("HEAD", "/v1/partners")
    assert partners.headers["etag"] == sqlite_house.get("/v1/partners").headers["etag"]
    assert partners.headers["content-length"] == str(len(sqlite_house.get("/v1/partners").content))


def test_a_partner_sees_its_own_and_nothing_else(house: House):
    """Balances, journal, conversions, rewards, payouts, codes: its own; another's are not there."""
    program_id = house.program()
    ours, theirs = house.partner(program_id, "brightside"), house.partner(program_id, "shade")
    house.referred(program_id, "brightside", "C-1")
    house.referred(program_id, "shade", "C-2")
    mine = house.post("/v1/conversions", sale(program_id, "1")).headers["location"]
    other = house.post("/v1/conversions", sale(program_id, "2", customer="C-2")).headers["location"]
    for number, partner_id in enumerate((ours, theirs)):
        code = {"program_id": program_id, "partner_id": partner_id, "code": f"CODE{number}"}
        assert house.post("/v1/referral-codes", code).status_code == 201
    house.catch_up()
    key = house.key("partner:read", partner_id=UUID(ours))
    rewards = house.get("/v1/rewards").json["items"]

    for path in ("/v1/rewards", "/v1/journal", "/v1/referral-codes", f"/v1/partners/{ours}/balances"):
        items = house.get(path, key).json["items"]
        assert {item["partner_id"] for item in items} == {ours}, path
    assert [c["external_id"] for c in house.get("/v1/conversions", key).json["items"]] == ["1"]
    assert house.get("/v1/payouts", key).json["items"] == []
    assert house.get(mine, key).status_code == 200
    assert problem(house.get(other, key)) == (404, "not-found")
    for reward in rewards:
        status = house.get(f"/v1/rewards/{reward['reward_id']}", key).status_code
        assert status == (200 if reward["partner_id"] == ours else 404)
    assert problem(house.get(f"/v1/partners/{theirs}/balances", key)) == (404, "not-found")
    asked = house.get("/v1/rewards", key, query_string=f"partner_id={theirs}")
    assert problem(asked) == (404, "not-found")
    for path in ("/v1/partners", "/v1/referrals", "/v1/keys", f"/v1/programs/{program_id}/balances"):
        assert problem(house.get(path, key))[0] == 403, path


def test_a_partner_learns_nothing_of_others_from_what_is_refused(house: House):
    """Why another earned nothing; that a conversion, or a payout, of others is there."""
    program_id = house.program()
    ours, theirs = house.partner(program_id, "brightside"), house.partner(program_id, "shade")
    customer = ids.customer_id(UUID(program_id), "C-1")
    house.referred(program_id, "brightside")
    shares = [{"partner_id": ours, "share_bps": 5_000}, {"partner_id": theirs, "share_bps": 5_000}]
    decided = {"shares": shares, "reason": "agreed", "effective_at": "2026-01-02T00:00:00Z"}
    house.catch_up()
    assert house.post(f"/v1/customers/{customer}/reattribute", decided).status_code == 201
    assert house.post(f"/v1/partners/{theirs}/suspend", {"reason": "fraud"}).status_code == 200
    house.clock.forward(days=1)
    late = "2026-06-02T09:00:00Z"
    mine = house.post("/v1/conversions", sale(program_id, "1", effective_at=late)).headers["location"]
    key = house.key("partner:read", partner_id=UUID(ours))

    unseen, nowhere = house.get(mine, key), house.get(f"/v1/conversions/{NOBODY}", key)
    assert problem(unseen) == problem(nowhere) == (404, "not-found")
    assert unseen.json["detail"] == nowhere.json["detail"]
    assert "retry-after" not in unseen.headers
    assert "retry-after" in house.get(mine).headers

    house.catch_up()
    assert house.get(mine).json["not_rewarded"] is not None
    shown = house.get(mine, key).json
    assert [reward["partner_id"] for reward in shown["rewards"]] == [ours]
    assert shown["not_rewarded"] is None

    account = {"return_url": "https://partners.example.com/"}
    assert house.post(f"/v1/partners/{ours}/payout-account", account).status_code == 200
    [payout] = house.post("/v1/payout-batches", {"program_id": program_id}).json["payouts"]
    other = house.key("partner:read", partner_id=UUID(theirs))
    there = house.get(f"/v1/payouts/{payout['payout_id']}", other).json
    nowhere = house.get(f"/v1/payouts/{NOBODY}", other).json
    assert {**there, "instance": ""} == {**nowhere, "instance": ""}
    assert house.get(f"/v1/payouts/{payout['payout_id']}", key).status_code == 200


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic eDp5", "Bearer rs_nonsense", f"Bearer rs_{'0' * 32}_{'A' * 43}"],
)
def test_what_is_no_key_opens_nothing(sqlite_house: House, header):
    """401 with a challenge, whatever it looks like."""
    answer = sqlite_house.client.simulate_get("/v1/programs", headers={"Authorization": header})

    assert problem(answer) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_key_is_shown_once_and_revoked_for_ever(house: House):
    """The token opens; after its revocation, and the second that a worker may remember it, it does not."""
    made = house.post("/v1/keys", {"name": "shop", "scopes": ["finance:read"]})
    token, key_id = made.json["token"], made.json["key_id"]

    assert made.headers["cache-control"] == "no-store"
    assert house.get("/v1/programs", token).status_code == 200
    assert "token" not in house.get(f"/v1/keys/{key_id}").json
    revoked = house.post(f"/v1/keys/{key_id}/revoke", {"reason": "leaked"})
    assert revoked.json["revoked"] is True
    time.sleep(1.1)
    assert problem(house.get("/v1/programs", token)) == (401, "unauthenticated")
    house.catch_up()
    listed = house.get("/v1/keys").json["items"]
    assert {key["key_id"]: key["revoked"] for key in listed}[key_id] is True
    secret = token.split("_", 2)[-1]  # it may hold a _ itself
    assert all(secret not in str(key) for key in listed)


def test_a_key_is_remembered_for_a_second_and_a_wrong_one_never():
    """Within the second its stream is not asked again; afterwards it is."""
    asked = []
    now = [0.0]
    key = ApiKey(key_id=uuid4(), name="k", scopes=("admin",), secret_sha256="", partner_id=None)

    def authenticate(token: str) -> ApiKey | None:
        asked.append(token)
        return key if token == "right" else None

    gate = Gate(authenticate, clock=lambda: now[0])
    found = [gate._look_up("right"), gate._look_up("right"), gate._look_up("wrong"), gate._look_up("wrong")]
    now[0] = 1.01
    gate._look_up("right")

    assert [caller is not None for caller in found] == [True, True, False, False]
    assert asked == ["right", "wrong", "wrong", "right"]


def test_while_one_asks_again_the_others_go_by_what_was_known_but_no_longer_than_a_second():
    """One look at the stream, not as many as there are threads; a slow look does not prolong a key's life."""
    now = [0.0]
    key = ApiKey(key_id=uuid4(), name="k", scopes=("admin",), secret_sha256="", partner_id=None)
    met: list[object] = []

    def authenticate(_token: str) -> ApiKey | None:
        if now[0] == 0.8:
            met.append(gate._look_up("right"))  # another request, while this one asks
            now[0] = 1.01
            met.append(gate._look_up("right"))  # and one after the second is over: it asks for itself
        return key if now[0] < 1 else None

    gate = Gate(authenticate, clock=lambda: now[0])
    gate._look_up("right")
    now[0] = 0.8
    gate._look_up("right")

    assert [caller is not None for caller in met] == [True, False]


WRITERS = {
    "/v1/programs": "admin",
    "/v1/programs/{program_id:uuid}/terms": "admin",
    "/v1/programs/{program_id:uuid}/groups": "admin",
    "/v1/programs/{program_id:uuid}/payout-settings": "finance:approve",
    "/v1/programs/{program_id:uuid}/withholding-remittances": "finance:approve",
    "/v1/partners": "admin",
    "/v1/partners/{partner_id:uuid}/review": "admin",
    "/v1/partners/{partner_id:uuid}/approve": "admin",
    "/v1/partners/{partner_id:uuid}/decline": "admin",
    "/v1/partners/{partner_id:uuid}/suspend": "admin",
    "/v1/partners/{partner_id:uuid}/reinstate": "admin",
    "/v1/partners/{partner_id:uuid}/group": "admin",
    "/v1/partners/{partner_id:uuid}/locale": "admin",
    "/v1/partners/{partner_id:uuid}/bank-account": "finance:approve",
    "/v1/partners/{partner_id:uuid}/payout-account": "finance:approve",
    "/v1/partners/{partner_id:uuid}/payout-account/link": "finance:approve",
    "/v1/partners/{partner_id:uuid}/tax-forms": "finance:approve",
    "/v1/partners/{partner_id:uuid}/payout-hold": "finance:approve",
    "/v1/partners/{partner_id:uuid}/payout-resume": "finance:approve",
    "/v1/partners/{partner_id:uuid}/withholding": "finance:approve",
    "/v1/partners/{partner_id:uuid}/write-offs": "finance:approve",
    "/v1/agreements": "admin",
    "/v1/agreements/end": "admin",
    "/v1/referral-codes": "admin",
    "/v1/referrals": "conversions:write",
    "/v1/referrals/batch": "conversions:write",
    "/v1/customers/{customer_id:uuid}/reattribute": "finance:approve",
    "/v1/conversions": "conversions:write",
    "/v1/conversions/batch": "conversions:write",
    "/v1/payout-batches": "finance:approve",
    "/v1/payout-batches/{batch_id:uuid}/approve": "finance:approve",
    "/v1/payout-batches/{batch_id:uuid}/bank-files": "finance:approve",
    "/v1/payout-batches/{batch_id:uuid}/cancel": "finance:approve",
    "/v1/payout-gate/freeze": "finance:approve",
    "/v1/payout-gate/thaw": "finance:approve",
    "/v1/payout-gate/restored": "finance:approve",
    "/v1/payout-gate/bank-files-known": "finance:approve",
    "/v1/payout-gate/take-in": "finance:approve",
    "/v1/reconciliations": "finance:approve",
    "/v1/reconciliations/differences/resolve": "finance:approve",
    "/v1/payouts/{payout_id:uuid}/bank-outcome": "finance:approve",
    "/v1/bank-statements": "finance:approve",
    "/v1/payouts/{payout_id:uuid}/resolve": "finance:approve",
    "/v1/payouts/{payout_id:uuid}/cancel": "finance:approve",
    "/v1/payouts/{payout_id:uuid}/bank-outcome/withdraw": "finance:approve",
    "/v1/payout-batches/{batch_id:uuid}/send": "finance:approve",
    "/v1/webhook-events/{event_id}/retry": "finance:approve",
    "/v1/webhook-events/{event_id}/dismiss": "finance:approve",
    "/webhooks/stripe": None,
    "/v1/audit/checkpoints/{size:int}/cosignatures": "finance:read",
    "/v1/programs/{program_id:uuid}/periods": "finance:approve",
    "/v1/statements/{statement_id:uuid}/correct": "finance:approve",
    "/v1/keys": "admin",
    "/v1/keys/{key_id:uuid}/revoke": "admin",
}
PARTNERS_OWN = {
    "/v1/partners/{partner_id:uuid}/payout-account",
    "/v1/partners/{partner_id:uuid}/balances",
    "/v1/conversions",
    "/v1/conversions/{conversion_id:uuid}",
    "/v1/rewards",
    "/v1/rewards/{reward_id:uuid}",
    "/v1/journal",
    "/v1/payouts",
    "/v1/payouts/{payout_id:uuid}",
    "/v1/referral-codes",
    "/v1/statements",
    "/v1/statements/{statement_id:uuid}",
    "/v1/statements/{statement_id:uuid}/proof",
    "/v1/partners/{partner_id:uuid}/statement-preview",
}
OPEN = {
    *("/r/{code}", "/healthz", "/readyz", "/metrics", "/docs", "/problems/{name}", "/webhooks/stripe"),
    *("/audit/checkpoint", "/audit/tile/{path:path}", "/v1/audit/key"),
}


def test_who_may_do_what_is_written_down_here(sqlite_house: House):
    """Loosening a scope takes a change of this table, too."""
    promised = {
        (route, method): operation_of(resource, method)
        for route, resource in routes(sqlite_house.services).items()
        for method in methods_of(resource)
    }
    scopes = {door: operation.scopes for door, operation in promised.items() if operation is not None}

    assert {method for _, method in scopes} == {"GET", "POST"}
    assert {route: said for (route, method), said in scopes.items() if method == "POST"} == {
        route: (scope,) if scope else () for route, scope in WRITERS.items()
    }
    assert {route for (route, _), said in scopes.items() if "partner:read" in said} == PARTNERS_OWN
    without = {route for (route, _), said in scopes.items() if not said}
    assert {route for route in without if not route.startswith("/static/")} == OPEN
    for (route, method), said in scopes.items():
        if method == "GET" and said and said != ("admin",):
            assert {"finance:read", "finance:approve"} <= set(said), route
