"""The OpenAPI 3.1 document, made from the routes themselves and what their responders promise."""

import re
from typing import Any, Final

import falcon
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from falcon.inspect import inspect_app
from marshmallow import fields

from api.operations import Operation, operation_of
from api.problems import PROBLEM_JSON, TYPES
from api.schemas.conversions import KINDS, NewConversionSchema
from api.schemas.fields import Id, Time
from api.schemas.problems import ProblemSchema
from api.schemas.reports import PeriodField

VERSION: Final = "1.0.0"
TITLE: Final = "revshare"
DESCRIPTION: Final = """\
The system of record of a partner program: who referred whom, what it brought in, what each partner is owed
and why, and what was paid.

Amounts are whole minor units (`amount_minor`) of an ISO 4217 currency. Times are RFC 3339 with a zone,
answered in UTC. Every POST takes an `Idempotency-Key`. Lists have a `cursor`. Errors are problem documents
(RFC 9457) whose `type` is the address of a page that explains it.
"""
TAGS: Final = {
    "programs": "What partners join, its terms and its groups.",
    "partners": "Businesses that refer customers.",
    "agreements": "The terms that a partner accepted.",
    "referrals": "Codes, links, and the customers that partners brought.",
    "conversions": "What customers did, and what became of it.",
    "rewards": "What conversions earned.",
    "balances": "Money, double entry.",
    "reports": "What finance reports from the journal, and the journal for other tools.",
    "statements": "Closed months, and what partners are told of them.",
    "why": "The facts behind a number.",
    "payout settings": "How payouts are made, and what is withheld of them.",
    "payouts": "What finance approves and Stripe pays.",
    "webhooks": "What Stripe tells us, and what became of it.",
    "reconciliations": "Stripe's books against ours.",
    "audit": "The signed log of all facts, for whoever does not trust us.",
    "keys": "Who may do what.",
    "status": "The service itself.",
    "documentation": "This document and its pages.",
}
_PARAMETER: Final = re.compile(r"\{(\w+)(?::(\w+)(?:\([^)]*\))?)?\}")
_FILES: Final = {
    "application/xml": "A document of ISO 20022.",
    "text/xml": "A document of ISO 20022.",
    "text/csv": "CSV in UTF-8, with a header.",
}
_COMMON: Final = ("internal-error", "unavailable", "bad-request")
_WITH_BODY: Final = (
    "unreadable-body",
    "missing-body",
    "unsupported-media-type",
    "too-large",
    "invalid-field",
)
_FOR_POST: Final = (
    "invalid-header",
    "idempotency-key-reused",
    "idempotency-key-in-use",
    "overloaded",
    "lost-race",
)


def document(app: "falcon.App[Any, Any]", resources: dict[str, object]) -> dict[str, Any]:
    """The document of an application. `resources` maps each route to what answers it."""
    marshmallow = MarshmallowPlugin(schema_name_resolver=_schema_name)
    spec = APISpec(
        title=TITLE,
        version=VERSION,
        openapi_version="3.1.0",
        plugins=[marshmallow],
        info={"description": DESCRIPTION, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        tags=[{"name": name, "description": says} for name, says in TAGS.items()],
        servers=[{"url": "/"}],
    )
    assert marshmallow.converter is not None
    marshmallow.converter.field_mapping[Time] = ("string", "date-time")
    marshmallow.converter.field_mapping[Id] = ("string", "uuid")
    marshmallow.converter.field_mapping[PeriodField] = ("string", None)
    marshmallow.converter.add_attribute_function(_describe_amount)  # type: ignore[no-untyped-call]
    scheme = {"type": "http", "scheme": "bearer", "description": "An API key: `rs_…`."}
    spec.components.security_scheme("apiKey", scheme)
    spec.components.schema("Problem", schema=ProblemSchema())
    for name, schema in KINDS.items():
        spec.components.schema(_schema_name(schema), schema=schema)
        assert name
    for route in sorted(inspect_app(app).routes, key=lambda found: found.path):
        operations = {
            method.method.lower(): _operation(route.path, method.method, promised)
            for method in route.methods
            if not method.internal
            and method.method != "HEAD"  # it goes with GET
            and (promised := operation_of(resources[route.path], method.method)) is not None
        }
        spec.path(path=_PARAMETER.sub(r"{\1}", route.path), operations=operations)
    made: dict[str, Any] = spec.to_dict()
    for item in made["paths"].values():
        for said in item.values():
            for parameter in said["parameters"]:
                parameter["schema"] = _as_in_an_address(parameter["schema"])
    return made


def _as_in_an_address(schema: dict[str, Any]) -> dict[str, Any]:
    """Without null: our None is a parameter that is not there, and no address can say it."""
    found = {name: value for name, value in schema.items() if value is not None}
    kinds = found.get("type")
    if isinstance(kinds, list):
        [found["type"]] = [kind for kind in kinds if kind != "null"]
    if "enum" in found:
        found["enum"] = [word for word in found["enum"] if word is not None]
    return found


def _schema_name(schema: Any) -> str:
    cls = schema if isinstance(schema, type) else type(schema)
    return str(cls.__name__).removesuffix("Schema")


def _describe_amount(_converter: Any, field: fields.Field[Any], **_kwargs: Any) -> dict[str, Any]:
    """An amount says its unit."""
    if field.name and field.name.endswith("_minor") and not field.metadata.get("description"):
        return {"description": "Minor units of the currency."}
    return {}


def _operation(path: str, method: str, promised: Operation) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": _operation_id(path, method),
        "summary": promised.summary,
        "description": _description(promised),
        "tags": [promised.tag],
        "parameters": [*_path_parameters(path), *_query_parameters(promised), *_headers(method, promised)],
        "responses": _responses(method, promised, bool(_PARAMETER.search(path))),
        "security": [] if promised.public else [{"apiKey": []}],
        "x-scopes": [] if promised.public else list(dict.fromkeys((*promised.scopes, "admin"))),
    }
    if promised.body is not None:
        content = {kind: _body(kind, promised) for kind in promised.media_types}
        said["requestBody"] = {"required": True, "content": content}
    return said


def _description(promised: Operation) -> str:
    text = "\n".join(line.strip() for line in promised.description.splitlines())
    if promised.public:
        return f"{text}\n\nTakes no key."
    scopes = ", ".join(f"`{scope}`" for scope in dict.fromkeys((*promised.scopes, "admin")))
    return f"{text}\n\nScopes: one of {scopes}."


def _body(kind: str, promised: Operation) -> dict[str, Any]:
    assert promised.body is not None
    many = isinstance(promised.example, list)
    if "cloudevents" in kind:
        event: dict[str, Any] = {"type": "object", "description": "CloudEvents 1.0 in JSON."}
        return {"schema": {"type": "array", "items": event} if many else event}
    item: Any = promised.body
    if isinstance(promised.body, NewConversionSchema):
        names = {kind: f"#/components/schemas/{_schema_name(schema)}" for kind, schema in KINDS.items()}
        item = {
            "oneOf": [{"$ref": ref} for ref in names.values()],
            "discriminator": {"propertyName": "kind", "mapping": names},
        }
    if kind in _FILES:
        file = {"schema": {"type": "string", "description": _FILES[kind]}}
        return file | {"example": promised.example} if kind == "text/csv" else file
    if kind not in ("application/json",):
        return {"schema": {"type": "string", "description": "One JSON document a line."}}
    schema = {"type": "array", "items": item, "maxItems": 10_000} if many else item
    return {"schema": schema, "example": promised.example}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    kinds = {"uuid": {"type": "string", "format": "uuid"}, "int": {"type": "integer", "minimum": 1}}
    return [
        {"name": name, "in": "path", "required": True, "schema": kinds.get(kind, {"type": "string"})}
        for name, kind in _PARAMETER.findall(path)
    ]


def _query_parameters(promised: Operation) -> list[dict[str, Any]]:
    return [] if promised.query is None else [{"in": "query", "schema": promised.query}]


def _headers(method: str, promised: Operation) -> list[dict[str, Any]]:
    if method == "POST" and not promised.public:
        key = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"}
        says = "The same key with the same request is answered as the first time, for 24 hours."
        header = {"name": "Idempotency-Key", "in": "header", "description": says, "schema": key}
        return [header | {"required": True} if promised.needs_key else header]
    if method == "POST":
        says = "`t=…,v1=…`: when it was signed, and the signature."
        schema = {"type": "string", "maxLength": 2_000}
        signed = {"name": "Stripe-Signature", "in": "header", "description": says, "schema": schema}
        return [signed | {"required": True}]
    if not promised.public:
        says = "An ETag: 304 when the answer is still the same."
        return [{"name": "If-None-Match", "in": "header", "description": says, "schema": {"type": "string"}}]
    return []


def _responses(method: str, promised: Operation, in_path: bool) -> dict[str, Any]:
    answer: Any = {"type": "string"} if promised.answer is None else promised.answer
    found: dict[str, Any] = {}
    for status in promised.statuses:
        found[str(status)] = {"description": _SAYS[status]}
        if status < 300:
            others = {kind: {"schema": {"type": "string"}} for kind in promised.also_produces}
            found[str(status)]["content"] = {promised.produces: {"schema": answer}, **others}
    if method == "GET" and not promised.public:
        found["304"] = {"description": "The answer is the one that the ETag names."}
    for status, names in sorted(_problems(method, promised, in_path).items()):
        titles = "; ".join(f"`{name}`: {TYPES[name].title}" for name in names)
        content = {PROBLEM_JSON: {"schema": "Problem"}}
        found[str(status)] = {"description": titles, "content": content}
    return found


_SAYS: Final = {
    200: "Done.",
    201: "Made.",
    202: "Asked for: what came of it is at `Location`.",
    302: "The way on is in `Location`.",
}


def _problems(method: str, promised: Operation, in_path: bool) -> dict[int, list[str]]:
    names = [*promised.problems, *_COMMON]
    if not promised.public:
        names += ["unauthenticated", "forbidden"]
    if in_path:
        names += ["not-found"]
    if promised.query is not None:
        names += ["invalid-query", "invalid-cursor"]
    if method == "POST":
        names += ["invalid-field", "refused", *_FOR_POST, "too-large"]
    if promised.needs_key:
        names += ["idempotency-key-missing"]
    if promised.body is not None:
        names += _WITH_BODY
    found: dict[int, list[str]] = {}
    for name in dict.fromkeys(names):
        status = TYPES[name].status
        found.setdefault(status, []).append(name)
        if status == 404 and method == "POST":
            found.setdefault(422, []).append(name)
    return {status: list(dict.fromkeys(names)) for status, names in found.items()}


def _operation_id(path: str, method: str) -> str:
    words = [word for word in re.split(r"[^A-Za-z0-9]+", _PARAMETER.sub(r"by \1", path)) if word]
    return "_".join((method.lower(), *(w for w in words if w not in ("v1", "uuid"))))
