"""Bad input gets a 4xx problem with a stable type that names the field; nothing is stored, nothing lost."""

import json
from typing import Any

import falcon
import pytest

from api.errors import to_problem
from ledger.intake import PART_ITEMS
from ledger.store.commit import Overloaded
from tests.api.house import pointers, problem, sale

CHANGED: list[tuple[dict[str, Any], str, str]] = [
    ({"amount_minor": -1}, "invalid-field", "/amount_minor"),
    ({"amount_minor": 0}, "invalid-field", "/amount_minor"),
    ({"amount_minor": 265.0}, "invalid-field", "/amount_minor"),
    ({"amount_minor": 2.5}, "invalid-field", "/amount_minor"),
    ({"amount_minor": True}, "invalid-field", "/amount_minor"),
    ({"amount_minor": "100"}, "invalid-field", "/amount_minor"),
    ({"amount_minor": 2**63}, "invalid-field", "/amount_minor"),
    ({"amount_minor": 10**40}, "invalid-field", "/amount_minor"),
    ({"currency": "XYZ"}, "wrong-currency", "/currency"),
    ({"currency": "gbp"}, "invalid-field", "/currency"),
    ({"currency": "EUR"}, "wrong-currency", "/currency"),
    ({"effective_at": "2026-05-30T09:00:00"}, "invalid-field", "/effective_at"),
    ({"effective_at": "yesterday"}, "invalid-field", "/effective_at"),
    ({"effective_at": 1_700_000_000}, "invalid-field", "/effective_at"),
    ({"effective_at": "2126-05-30T09:00:00Z"}, "effective-time-in-future", "/effective_at"),
    ({"effective_at": "9999-12-31T23:59:59-14:00"}, "invalid-field", "/effective_at"),
    ({"kind": "theft"}, "invalid-field", "/kind"),
    ({"customer": ""}, "invalid-field", "/customer"),
    ({"customer": "C\u0000"}, "invalid-field", "/customer"),
    ({"customer": "C" * 201}, "invalid-field", "/customer"),
    ({"customer": None}, "invalid-field", "/customer"),
    ({"program_id": "acme"}, "invalid-field", "/program_id"),
    ({"program_id": "00000000-0000-0000-0000-000000000000"}, "unknown-program", "/program_id"),
    ({"surprise": 1}, "invalid-field", "/surprise"),
]


@pytest.mark.parametrize(("changes", "name", "pointer"), CHANGED)
def test_a_wrong_field_is_named(sqlite_house, changes, name, pointer):
    """422, and the pointer leads to the field; the right content is new afterwards."""
    program_id = sqlite_house.program()

    refused = sqlite_house.post("/v1/conversions", {**sale(program_id), **changes})

    assert problem(refused) == (422, name)
    assert pointers(refused) == [pointer]
    assert sqlite_house.post("/v1/conversions", sale(program_id)).status_code == 201


BODIES: list[tuple[bytes, int, str]] = [
    (b"", 400, "missing-body"),
    (b"  \n", 400, "missing-body"),
    (b"{", 400, "unreadable-body"),
    (b'{"amount_minor": NaN}', 400, "unreadable-body"),
    (b'{"amount_minor": Infinity}', 400, "unreadable-body"),
    (b'{"customer": "\xff\xfe"}', 400, "unreadable-body"),
    (b'{"customer": "\\ud800"}', 400, "unreadable-body"),
    (b"\xef\xbb\xbf{}", 400, "unreadable-body"),
    (b"[" * 50_000, 400, "unreadable-body"),
    (b"[1] x", 400, "unreadable-body"),
    (b" " * (1024 * 1024 + 1), 413, "too-large"),
]


@pytest.mark.parametrize("path", ["/v1/conversions", "/v1/programs"])
@pytest.mark.parametrize(("body", "status", "name"), BODIES, ids=[str(n) for n in range(len(BODIES))])
def test_a_body_that_is_none(sqlite_house, path, body, status, name):
    """Broken JSON and UTF-8, NaN, depth without end, too much of it: on the hot path and on the others."""
    refused = sqlite_house.post(path, body=body, headers={"Content-Type": "application/json"})

    # The typed decode stops at the first mistake: no object, or no kind, is told before what comes after it.
    typed = path == "/v1/conversions" and body[:5] in (b"[[[[[", b"[1] x", b'{"cus') and b"ud800" not in body
    assert problem(refused) == ((422, "invalid-field") if typed else (status, name))


def test_text_that_is_no_utf_8(house):
    """In an otherwise right sale it is a 400; in a batch only that item is left out."""
    program_id = house.program()
    good, bad = (json.dumps(sale(program_id, name)).encode() for name in ("1", "2"))
    bad = bad.replace(b"C-1", b"C-\xff")
    kinds = {"Content-Type": "application/json"}, {"Content-Type": "application/x-ndjson"}

    one = house.post("/v1/conversions", body=bad, headers=kinds[0])
    array = house.post("/v1/conversions/batch", body=b"[" + bad + b"," + good + b"]", headers=kinds[0])
    lines = house.post("/v1/conversions/batch", body=bad + b"\n" + good, headers=kinds[1])

    assert problem(one) == (400, "unreadable-body")
    assert [item["status"] for item in array.json["items"]] == ["invalid", "new"]
    assert [item["status"] for item in lines.json["items"]] == ["invalid", "duplicate"]


def test_a_name_that_stands_twice_is_ambiguous(sqlite_house):
    """Readers differ in which one they take: nobody should have to guess."""
    body = b'{"reference": "a", "reference": "b", "name": "A", "type": "co_marketing", "currency": "EUR"}'

    refused = sqlite_house.post("/v1/programs", body=body, headers={"Content-Type": "application/json"})

    assert problem(refused) == (400, "unreadable-body")
    assert "reference" in refused.json["detail"]


TWICE = [
    b'"amount_minor": 1',
    b'"amount_minor" : 1',
    b'"amount\\u005fminor": 1',
    b'"customer": "C-2"',
    b'"kind": "sale"',
    b'"product": null, "product": "P"',
    b'"product":null,"amount_minor":1',
    b'"product":"P","product":null',
    b'"product":"P","amount_minor":1',
]


@pytest.mark.parametrize("twice", TWICE)
def test_a_name_that_stands_twice_in_a_conversion(sqlite_house, twice):
    """Alone a 400, in a batch an item that is left out; the others are taken."""
    program_id = sqlite_house.program()
    bad = json.dumps(sale(program_id)).encode()[:-1] + b", " + twice + b"}"
    good = json.dumps(sale(program_id, "INV-2", product="amount_minor", customer='a "kind": b')).encode()
    kind = {"Content-Type": "application/json"}

    one = sqlite_house.post("/v1/conversions", body=bad, headers=kind)
    many = sqlite_house.post("/v1/conversions/batch", body=b"[" + bad + b"," + good + b"]", headers=kind)

    assert problem(one) == (400, "unreadable-body")
    assert "stands there twice" in one.json["detail"]
    assert [item["status"] for item in many.json["items"]] == ["invalid", "new"]
    assert many.json["items"][0]["problem"]["type"] == "/problems/unreadable-body"


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/xml", "application/json; charset=latin-1", "multipart/form-data"]
)
@pytest.mark.parametrize(
    "path", ["/v1/conversions", "/v1/conversions/batch", "/v1/referrals/batch", "/v1/partners"]
)
def test_a_wrong_content_type(sqlite_house, path, kind):
    """415, and what is taken is said."""
    refused = sqlite_house.post(path, body=b"{}", headers={"Content-Type": kind})

    assert problem(refused) == (415, "unsupported-media-type")


def test_a_compressed_body_is_not_taken(sqlite_house):
    """What unpacks to more than the limit never gets the chance."""
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

    assert problem(sqlite_house.post("/v1/conversions", body=b"x", headers=headers))[0] == 415


@pytest.mark.parametrize("path", ["/v1/conversions/batch", "/v1/referrals/batch"])
def test_a_batch_over_its_limit(sqlite_house, path):
    """16 MiB, and not a byte more; no array is no batch; one broken line leaves the others alone."""
    huge = sqlite_house.post(
        path, body=b"[" + b" " * (16 * 1024 * 1024) + b"]", headers={"Content-Type": "application/json"}
    )
    none = sqlite_house.post(path, body=b'{"a": 1}', headers={"Content-Type": "application/json"})

    assert problem(huge) == (413, "too-large")
    assert problem(none) == (400, "unreadable-body")


def test_a_refund_above_the_rest(house):
    """What was not sold can't be given back; the rest still can."""
    program_id = house.program()
    house.post("/v1/conversions", sale(program_id))
    refund = {
        "kind": "refund",
        "program_id": program_id,
        "source": "shop",
        "external_id": "INV-1",
        "refund_id": "R-1",
        "amount_minor": 10_001,
        "currency": "GBP",
        "effective_at": "2026-05-31T00:00:00Z",
    }

    refused = house.post("/v1/conversions", refund)

    assert problem(refused) == (422, "refund-exceeds-conversion")
    assert house.post("/v1/conversions", {**refund, "amount_minor": 10_000}).status_code == 201


def test_every_mistake_of_a_document_is_told_at_once(house):
    """The terms are validated whole, each mistake with its path; so is a resource's body."""
    program_id = house.program()
    terms = {"language": 1, "rules": [{"kinds": ["sale"], "reward": {"rate_bps": -1}}], "holding_days": "x"}

    refused = house.post(f"/v1/programs/{program_id}/terms", {"terms": terms})
    program = house.post("/v1/programs", {"reference": 5, "type": "pyramid", "more": 1})

    assert problem(refused) == (422, "invalid-terms")
    assert {"/terms/rules/0/reward/rate_bps", "/terms/holding_days"} <= set(pointers(refused))
    assert problem(program) == (422, "invalid-field")
    assert sorted(pointers(program)) == ["/currency", "/more", "/name", "/reference", "/type"]


def test_doors_that_are_not_there(sqlite_house):
    """404 and 405 are problems like all others."""
    nowhere = sqlite_house.get("/v1/nowhere")
    wrong = sqlite_house.send("DELETE", "/v1/programs")
    broken_id = sqlite_house.get("/v1/programs/not-an-id")

    assert problem(nowhere) == (404, "not-found")
    assert problem(wrong) == (405, "method-not-allowed")
    assert set(wrong.headers["allow"].split(", ")) >= {"GET", "POST"}
    assert problem(broken_id) == (404, "not-found")


def test_a_header_that_the_framework_refuses_is_named():
    """It says the name in a sentence only; `errors` has it."""
    found = to_problem(falcon.HTTPInvalidHeader("It must be a number.", "Content-Length"))

    said = {"pointer": "/Content-Length", "detail": "is invalid. It must be a number."}
    assert (found.name, found.errors) == ("invalid-header", [said])


CLOSED = {
    "/v1/programs": ("type",),
    "/v1/partners": ("status",),
    "/v1/conversions": ("kind",),
    "/v1/rewards": ("stage",),
    "/v1/journal": ("account",),
    "/v1/payouts": ("status",),
    "/v1/webhook-events": ("status",),
    "/v1/reports/trial-balance": ("by",),
    "/v1/journal/export": ("format",),
}
"""Which parameters take nothing but some words."""


def test_a_filter_by_a_word_that_there_is_not(sqlite_house):
    """400 with the parameter: an empty list would look like an answer. Each of its own words is taken."""
    document = sqlite_house.get("/openapi.json").json
    for path, names in CLOSED.items():
        said = {p["name"]: p for p in document["paths"][path]["get"]["parameters"]}
        for name in names:
            refused = sqlite_house.get(path, query_string=f"{name}=zzz")
            assert problem(refused) == (400, "invalid-query"), path
            assert pointers(refused) == [f"/{name}"]
            for word in filter(None, said[name]["schema"]["enum"]):
                assert sqlite_house.get(path, query_string=f"{name}={word}").status_code in (200, 501), word


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=ten", "limit=1&limit=2", "surprise=1", "cursor=", "type=pyramid"]
)
def test_a_wrong_query_is_named(sqlite_house, query):
    """400, and the parameter."""
    refused = sqlite_house.get("/v1/programs", query_string=query)

    assert problem(refused) == (400, "invalid-query")


def test_the_path_is_404_and_the_body_is_422(house):
    """A program that is not there: in the address there is nothing; in the body the body is wrong."""
    program_id = house.program()
    nobody = "00000000-0000-0000-0000-000000000001"
    agreed = {"program_id": program_id, "partner_id": nobody, "terms_version": 1, "accepted_by": "them"}

    by_path = house.get(f"/v1/partners/{nobody}")
    by_body = house.post("/v1/agreements", agreed)

    assert problem(by_path) == (404, "unknown-partner")
    assert problem(by_body) == (422, "unknown-partner")
    assert pointers(by_body) == ["/partner_id"]


def test_what_we_did_not_foresee_is_told_to_nobody(sqlite_house, monkeypatch):
    """500 without a word of what happened, under the id that the log has."""

    def broken(*_args, **_kwargs):
        raise ZeroDivisionError("the secret of the house")

    monkeypatch.setattr(sqlite_house.services.intake, "record", broken)

    answer = sqlite_house.post("/v1/conversions", sale(sqlite_house.program()))

    assert problem(answer) == (500, "internal-error")
    assert "secret" not in answer.text
    assert answer.json["instance"].endswith(answer.headers["x-request-id"])


def test_a_request_id_is_kept_where_it_is_fit(sqlite_house):
    """The caller's id comes back; one that could forge a log line does not."""
    kept = sqlite_house.get("/healthz", headers={"X-Request-Id": "abc-1"})
    made = sqlite_house.get("/healthz", headers={"X-Request-Id": "abc 1 level=error"})

    assert kept.headers["x-request-id"] == "abc-1"
    assert " " not in made.headers["x-request-id"]


def test_a_full_queue_is_told_to_come_back(sqlite_house, monkeypatch):
    """503 with Retry-After, and the conversion is new when it comes back."""
    program_id = sqlite_house.program()
    with monkeypatch.context() as full:

        def refuse(*_args, **_kwargs):
            raise Overloaded("too many appends are waiting")

        full.setattr(sqlite_house.ledger, "send_units", refuse)
        refused = sqlite_house.post("/v1/conversions", sale(program_id))

    assert problem(refused) == (503, "overloaded")
    assert refused.headers["retry-after"] == "1"
    assert sqlite_house.post("/v1/conversions", sale(program_id)).status_code == 201


def test_a_batch_that_was_cut_short_counts_once_when_it_is_sent_again(sqlite_house, monkeypatch):
    """A full queue may refuse a later part of a batch: the page says so; the same again is no second sale."""
    program_id = sqlite_house.program()
    batch = [sale(program_id, f"INV-{number}") for number in range(PART_ITEMS + 1)]
    send_units, sent = sqlite_house.ledger.send_units, []
    with monkeypatch.context() as full:

        def refuse_the_second(units):
            sent.append(units)
            if len(sent) == 2:
                raise Overloaded("too many appends are waiting")
            return send_units(units)

        full.setattr(sqlite_house.ledger, "send_units", refuse_the_second)
        refused = sqlite_house.post("/v1/conversions/batch", batch)
    page = sqlite_house.get("/problems/overloaded").text
    again = sqlite_house.post("/v1/conversions/batch", batch)

    assert problem(refused) == (503, "overloaded")
    assert "Nothing was stored" not in page
    assert "what was stored counts once" in page
    assert again.json["totals"] == {"new": 1, "duplicate": PART_ITEMS, "conflict": 0, "invalid": 0}


def test_many_referrals_are_answered_each_for_itself(house):
    """As conversions are: new, duplicate, conflict, invalid, in order; by lines too."""
    program_id = house.program()
    house.partner(program_id)
    told = {"program_id": program_id, "customer": "C-1", "partner": "brightside", "reference": "r1"}
    items = [
        told,
        told,
        {**told, "note": "other"},
        {**told, "reference": "r2"},
        {**told, "customer": "C-2", "partner": "nobody"},
        {**told, "customer": 5},
        7,
        {**told, "customer": "C-3", "code": "NOSUCH"},
    ]

    answer = house.post("/v1/referrals/batch", items)
    again = house.post(
        "/v1/referrals/batch",
        body="\n".join(json.dumps(item) for item in items),
        headers={"Content-Type": "application/x-ndjson"},
    )

    assert [item["status"] for item in answer.json["items"]] == (
        ["new", "duplicate", "conflict", "new"] + ["invalid"] * 4
    )
    assert answer.json["items"][4]["problem"]["type"] == "/problems/unknown-partner"
    assert answer.json["items"][5]["problem"]["errors"] == [
        {"pointer": "/customer", "detail": "must be text"}
    ]
    assert again.json["totals"] == {"new": 0, "duplicate": 3, "conflict": 1, "invalid": 4}
