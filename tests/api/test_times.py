"""Times at the ends of the calendar: each door that takes one answers, and never with a fault of ours."""

from collections.abc import Iterator
from typing import Any

from tests.api.house import House, sale
from tests.api.test_fuzz import known

ENDS = ["0001-01-01T00:00:00+14:00", "0001-01-02T00:00:00Z", "9999-12-31T23:59:59-14:00"]


def is_time(schema: dict[str, Any]) -> bool:
    """Whether a schema is that of a time."""
    return any(option.get("format") == "date-time" for option in [schema, *schema.get("anyOf", [])])


def doors(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], str]]:
    """Method, path, a right body, and the name of a time in it or in the query."""
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "query" and is_time(parameter["schema"]):
                    yield method, path, {}, parameter["name"]
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            for option in _options(content.get("schema", {}), schemas):
                for name, schema in option.get("properties", {}).items():
                    if is_time(schema):
                        yield method, path, content.get("example", {}), name


def _options(schema: dict[str, Any], schemas: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    yield schema
    for option in [*schema.get("oneOf", []), *schema.get("anyOf", [])]:
        yield from _options(option, schemas)


def a_statement(house: House, program_id: str) -> str:
    """A month is closed in which somebody earned: its statement's id."""
    house.post("/v1/conversions", sale(program_id, "earlier", effective_at="2026-05-30T09:00:00Z"))
    house.catch_up()
    assert house.post(f"/v1/programs/{program_id}/periods", {"period": "2026-05"}).status_code == 201
    house.catch_up()
    return str(house.get("/v1/statements").json["items"][0]["statement_id"])


def test_a_time_at_an_end_of_the_calendar_is_answered(sqlite_house):
    """Taken, or refused by the name of its field."""
    ids = known(sqlite_house)
    ids["statement_id"] = a_statement(sqlite_house, ids["program_id"])
    asked = set()
    for method, path, body, name in doors(sqlite_house.get("/openapi.json").json):
        filled = {**body, **{field: value for field, value in ids.items() if field in body}}
        for time in ENDS:
            options = {"params": {name: time}} if method == "get" else {"json": {**filled, name: time}}
            answer = sqlite_house.send(method.upper(), path.format(**ids), **options)

            asked.add((method, path, name))
            assert answer.status_code < 500, f"{method} {path} {name}={time}: {answer.text}"

    assert len(asked) > 10
