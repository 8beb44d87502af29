"""The OpenAPI document tells everything, and the reference page loads nothing from elsewhere."""

import json
import re
from importlib import resources
from pathlib import Path

import jsonschema_rs
import pytest
from falcon.inspect import inspect_app

from api.app import create_app, routes
from api.operations import methods_of, operation_of
from api.problems import TYPES
from tests.api.house import House, sale

OURS = ("revshare.example", "example.com")


@pytest.fixture
def document(sqlite_house: House):
    """The document as it is served."""
    return sqlite_house.client.simulate_get("/openapi.json").json


def test_every_route_is_in_it(sqlite_house, document):
    """Each method of each route, with its scopes, an example where there is a body, and its problems."""
    assert document["openapi"] == "3.1.0"
    app = create_app(sqlite_house.services)
    found = {
        (re.sub(r":\w+\}", "}", route.path), method.method.lower())
        for route in inspect_app(app).routes
        for method in route.methods
        if not method.internal and method.method != "HEAD"
    }
    documented = {(path, method) for path, item in document["paths"].items() for method in item}

    assert documented == found
    for route, resource in routes(sqlite_house.services).items():
        for method in methods_of(resource):
            promised = operation_of(resource, method)
            said = document["paths"][re.sub(r":\w+\}", "}", route)][method.lower()]
            assert promised is not None
            assert set(said["x-scopes"]) == ({*promised.scopes, "admin"} if promised.scopes else set())
            assert said["security"] == ([] if promised.public else [{"apiKey": []}])
            assert said["summary"]
            assert said["description"]
            if promised.body is not None:
                kinds = said["requestBody"]["content"]
                assert "example" in kinds.get("application/json", kinds.get("text/csv")), route
            wanted = {"401", "403"} if not promised.public else set()
            assert wanted | {"500", "503"} <= set(said["responses"])
            names = [p["name"] for p in said["parameters"] if p["in"] == "header"]
            assert ("Idempotency-Key" in names) == (method == "POST" and not promised.public)
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))


def test_every_tag_is_declared_and_used(document):
    """The reference page groups by tags: each says what it holds, and holds something."""
    declared = [tag["name"] for tag in document["tags"]]
    used = {tag for item in document["paths"].values() for said in item.values() for tag in said["tags"]}

    assert set(declared) == used
    assert len(declared) == len(used)
    assert all(tag["description"] for tag in document["tags"])


def test_no_parameter_can_be_null(document):
    """Nobody can write it in an address: what is not asked for is left away. Each has a type of its own."""
    found = [
        parameter["schema"]
        for item in document["paths"].values()
        for said in item.values()
        for parameter in said["parameters"]
    ]

    assert len(found) > 200
    assert "null" not in json.dumps(found)
    assert {schema["type"] for schema in found} == {"string", "integer"}
    assert any("enum" in schema for schema in found)


def test_what_finance_reads_is_asked_for_by_both_times(document):
    """Balances, rewards, journal, statements, reports. A proof is of the one log that there is."""
    tags = {"balances", "rewards", "reports", "statements"}
    without = {
        path
        for path, item in document["paths"].items()
        if "get" in item
        and tags & {*item["get"]["tags"]}
        and not {"effective_as_of", "recorded_as_of"} <= {each["name"] for each in item["get"]["parameters"]}
    }

    assert without == {
        "/v1/statements/{statement_id}/proof",
        "/v1/programs/{program_id}/periods",  # closings never change, and name when they were made
        "/v1/programs/{program_id}/periods/{period}",
    }


def test_every_reference_and_every_example_holds(document):
    """No reference leads nowhere; each example is what its schema asks for."""
    text = json.dumps(document)
    for name in set(re.findall(r'"#/components/schemas/([^"]+)"', text)):
        assert name in document["components"]["schemas"]
    for path, item in document["paths"].items():
        for operation in item.values():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is None:
                continue
            schema = {**content["schema"], "components": document["components"]}
            jsonschema_rs.validator_for(schema).validate(content["example"])
            assert path


def test_answers_are_as_the_document_says(house, document):
    """What the doors give validates against the schemas that the document has for them."""
    program_id = house.program()
    partner_id = house.partner(program_id)
    house.referred(program_id)
    made = house.post("/v1/conversions", sale(program_id))
    house.catch_up()
    program = f"/v1/programs/{program_id}"
    partner = f"/v1/partners/{partner_id}"
    agreement = house.get("/v1/agreements").json["items"][0]["agreement_id"]
    asked = {
        "/v1/programs": "/v1/programs",
        "/v1/programs/{program_id}": program,
        "/v1/programs/{program_id}/terms": f"{program}/terms",
        "/v1/programs/{program_id}/terms/{terms_version}": f"{program}/terms/1",
        "/v1/programs/{program_id}/balances": f"{program}/balances",
        "/v1/partners": "/v1/partners",
        "/v1/partners/{partner_id}": partner,
        "/v1/agreements": "/v1/agreements",
        "/v1/agreements/{agreement_id}": f"/v1/agreements/{agreement}",
        "/v1/referrals": "/v1/referrals",
        "/v1/customers": "/v1/customers",
        "/v1/conversions": "/v1/conversions",
        "/v1/conversions/{conversion_id}": made.headers["location"],
        "/v1/rewards": "/v1/rewards",
        "/v1/journal": "/v1/journal",
        "/v1/keys": "/v1/keys",
        "/v1/status": "/v1/status",
        "/v1/payouts": "/v1/payouts",
    }
    for path, address in asked.items():
        answer = house.get(address)
        assert answer.status_code == 200, address
        said = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        schema = {**said, "components": document["components"]}
        jsonschema_rs.validator_for(schema, validate_formats=True).validate(answer.json)


def test_every_problem_has_a_page(sqlite_house):
    """A problem's `type` is the address of a page that explains it."""
    for name, kind in TYPES.items():
        page = sqlite_house.client.simulate_get(f"/problems/{name}")
        assert page.status_code == 200
        assert kind.title.replace("'", "&#x27;") in page.text


def test_the_reference_page_asks_nobody_else(sqlite_house):
    """Each file that the page names is ours and is served; the page's policy refuses all others."""
    page = sqlite_house.client.simulate_get("/docs")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)

    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert len(loaded) >= 4
    for address in loaded:
        assert address.startswith("/"), address
        assert not address.startswith("//"), address
        served = sqlite_house.client.simulate_get(address)
        assert served.status_code == 200
        assert len(served.content) > 100
    script = sqlite_house.client.simulate_get("/static/docs.js").text
    assert "http" not in script
    assert "validatorUrl: null" in script


def test_the_vendored_files_load_nothing():
    """No import, font, style or source map from another host; the licence is there."""
    folder = Path(str(resources.files("api") / "static" / "swagger-ui"))
    style = (folder / "swagger-ui.css").read_text("utf-8")
    script = (folder / "swagger-ui-bundle.js").read_text("utf-8")

    assert re.findall(r"@import|url\(\s*[\"']?(?:https?:)?//", style) == []
    assert "sourceMappingURL" not in style + script
    # What the bundle may fetch is the document that it is told, and a validator that docs.js turns off.
    assert re.findall(r"(?:importScripts|import)\(\s*[\"']https?://", script) == []
    assert "Apache License" in (folder / "LICENSE").read_text("utf-8")
