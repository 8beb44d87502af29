"""CloudEvents 1.0 on the conversions path, built and read back by the official package."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from tests.api.house import pointers, problem

FORMAT = JSONFormat()
TIME = datetime(2026, 5, 30, 9, 0, tzinfo=UTC)


def event(program_id: str, kind: str = "sale", **data: Any) -> CloudEvent:
    """An event of the official package."""
    attributes = {
        "id": "INV-1",
        "source": "/shop/größe 1",
        "type": f"revshare.conversion.{kind}",
        "specversion": "1.0",
        "time": TIME,
        "datacontenttype": "application/json",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    told = {"program_id": program_id, "customer": "C-1", "amount_minor": 10_000, "currency": "GBP"}
    return CloudEvent(attributes, {**told, **data} if kind == "sale" else {"program_id": program_id, **data})


@pytest.mark.parametrize("encode", [to_structured, to_binary])
def test_what_the_official_package_sends_is_taken(house, encode):
    """Its bytes give a sale; the package reads the same bytes as the same event."""
    sent = event(house.program())
    message: HTTPMessage = encode(sent, FORMAT)

    answer = house.post("/v1/conversions", body=message.body, headers=dict(message.headers))
    again = house.post("/v1/conversions", body=message.body, headers=dict(message.headers))

    read = from_http(message, FORMAT)
    assert (answer.status_code, again.status_code) == (201, 200)
    assert answer.json["external_id"] == read.get_id() == "INV-1"
    assert answer.json["source"] == read.get_source() == "/shop/größe 1"
    assert datetime.fromisoformat(answer.json["effective_at"]) == read.get_time() == TIME
    house.catch_up()
    story = house.get(answer.headers["location"]).json
    data: Any = read.get_data()
    assert {name: story[name] for name in ("customer", "amount_minor", "currency")} == {
        name: data[name] for name in ("customer", "amount_minor", "currency")
    }


@pytest.mark.parametrize("encode", [to_structured, to_binary])
def test_a_name_that_stands_twice_in_an_event(house, encode):
    """400, in the event and in its data; in a batch that event alone is left out."""
    message: HTTPMessage = encode(event(house.program()), FORMAT)
    headers = dict(message.headers)
    body = message.body
    doubled = body.replace(b'"amount_minor"', b'"amount_minor": 1, "amount_minor"')

    refused = house.post("/v1/conversions", body=doubled, headers=headers)

    assert doubled != body
    assert problem(refused) == (400, "unreadable-body")
    assert "amount_minor" in refused.json["detail"]
    if encode is to_structured:
        kind = {"Content-Type": "application/cloudevents-batch+json"}
        both = b"[" + doubled + b", " + body.replace(b'"id": ', b'"id": "INV-0", "id": ') + b"]"
        left = house.post("/v1/conversions/batch", body=both, headers=kind)
        assert [item["status"] for item in left.json["items"]] == ["invalid", "invalid"]


def test_both_ways_are_the_same_conversion(house):
    """Structured, then binary, then plain: one fact."""
    program_id = house.program()
    answers = []
    for encode in (to_structured, to_binary):
        message = encode(event(program_id), FORMAT)
        answers.append(house.post("/v1/conversions", body=message.body, headers=dict(message.headers)))
    plain = {
        "kind": "sale",
        "program_id": program_id,
        "source": "/shop/größe 1",
        "external_id": "INV-1",
        "customer": "C-1",
        "amount_minor": 10_000,
        "currency": "GBP",
        "effective_at": TIME.isoformat(),
    }
    answers.append(house.post("/v1/conversions", plain))

    assert [a.status_code for a in answers] == [201, 200, 200]
    assert len({a.json["conversion_id"] for a in answers}) == 1


def test_a_batch_of_events(house):
    """Each for itself: an event that is none, of another type, without its time; a refund by its id."""
    program_id = house.program()
    sold = json.loads(to_structured(event(program_id), FORMAT).body)
    events = [
        sold,
        {**sold, "specversion": "0.3"},
        {**sold, "type": "com.example.sale"},
        {**sold, "id": "2", "time": "yesterday"},
        {**sold, "id": "3", "data": {**sold["data"], "amount_minor": -1}},
        {**sold, "id": ""},
        {**sold, "id": "4", "data": "text"},
        {**sold, "id": "5", "datacontenttype": "text/xml"},
        {
            **sold,
            "id": "R-1",
            "type": "revshare.conversion.refund",
            "data": {
                "program_id": program_id,
                "external_id": "INV-1",
                "amount_minor": 100,
                "currency": "GBP",
            },
        },
    ]

    answer = house.post(
        "/v1/conversions/batch",
        body=json.dumps(events),
        headers={"Content-Type": "application/cloudevents-batch+json"},
    )

    found = answer.json["items"]
    assert [item["status"] for item in found] == ["new", *["invalid"] * 7, "new"]
    where = [e["pointer"] for item in found if "problem" in item for e in item["problem"].get("errors", [])]
    assert where == [
        "/specversion",
        "/type",
        "/time",
        "/data/amount_minor",
        "/id",
        "/data",
        "/datacontenttype",
    ]
    assert found[0]["conversion_id"] == found[8]["conversion_id"]


def test_data_in_base64_and_data_of_its_own(house):
    """Binary data is JSON in base64; what the data names itself wins over the event's attributes."""
    program_id = house.program()
    sold = json.loads(to_structured(event(program_id), FORMAT).body)
    data = json.dumps({**sold.pop("data"), "external_id": "OWN", "source": "till"}).encode()
    kind = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
    encoded = {**sold, "data_base64": base64.b64encode(data).decode()}

    answer = house.post("/v1/conversions", body=json.dumps(encoded), headers=kind)
    wrong = house.post("/v1/conversions", body=json.dumps({**sold, "data_base64": "?"}), headers=kind)

    assert (answer.json["external_id"], answer.json["source"]) == ("OWN", "till")
    assert problem(wrong) == (422, "invalid-field")
    assert pointers(wrong) == ["/data_base64"]
