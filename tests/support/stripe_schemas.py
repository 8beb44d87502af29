"""Holds answers of the stand-in against what Stripe publishes: SDK types, specification, fixtures."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import jsonschema_rs
import requests

from tests.support.stripe_drift import RECORDED as SDK_TYPES
from tests.support.stripe_drift import installed

DATA = Path(__file__).resolve().parents[1] / "data" / "stripe"
PUBLISHED = DATA / "stripe-spec3-2023-08-16.subset.json"
INSTALLED = Path("the installed SDK")
"""Stands for the types of whichever SDK is installed, read at test time (stripe_drift.py)."""


@cache
def document(path: Path, *, closed: bool) -> dict[str, Any]:
    """An OpenAPI 3.0 document as plain JSON Schema; closed: no member that is not written there."""
    content = installed() if path is INSTALLED else json.loads(path.read_text(encoding="utf-8"))
    plain: dict[str, Any] = _plain(content, closed=closed)
    return plain


def _plain(node: Any, *, closed: bool) -> Any:
    """`nullable` is OpenAPI's word: in JSON Schema a type that may be null is one of two."""
    if isinstance(node, list):
        return [_plain(part, closed=closed) for part in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _plain(value, closed=closed) for key, value in node.items() if key != "nullable"}
    if closed and isinstance(plain.get("properties"), dict) and plain.get("type") == "object":
        plain.setdefault("additionalProperties", False)
    return {"anyOf": [plain, {"type": "null"}]} if node.get("nullable") is True else plain


@cache
def validator(path: Path, schema: str, *, closed: bool) -> jsonschema_rs.Validator:
    """Checks against a schema (JSON text, so that it can be remembered) of the document."""
    components = document(path, closed=closed)["components"]
    return jsonschema_rs.Draft7Validator({**json.loads(schema), "components": components})


def mistakes(path: Path, name: str, answer: Any, *, closed: bool) -> list[str]:
    """What is wrong with an object by a component's schema."""
    schema = json.dumps({"$ref": f"#/components/schemas/{name}"})
    found = validator(path, schema, closed=closed).iter_errors(answer)
    return [f"{name} {list(error.instance_path)}: {error.message}" for error in found]


def call_mistakes(response: requests.Response) -> list[str]:
    """What is wrong with an answer; and with what was sent, if it was accepted nevertheless."""
    found = answer_mistakes(response)
    return found + request_mistakes(response.request) if response.status_code == 200 else found


def answer_mistakes(response: requests.Response) -> list[str]:
    """What is wrong with an answer, by the SDK's types for its address; errors by the published shape."""
    content = response.json()
    if response.status_code != 200:
        return mistakes(PUBLISHED, "error", content, closed=False)
    method, path = str(response.request.method).lower(), str(response.request.path_url).split("?")[0]
    answer, wrong = _typed(content), []
    for types in (SDK_TYPES, INSTALLED):
        schema = _answer_schema(types, method, _template(method, path))
        wrong += [
            f"{method.upper()} {path} by {types.name} {list(error.instance_path)}: {error.message}"
            for error in validator(types, schema, closed=True).iter_errors(answer)
        ]
    return wrong


@cache
def _answer_schema(types: Path, method: str, template: str) -> str:
    operation = document(types, closed=True)["paths"][template][method]
    return json.dumps(operation["responses"]["200"]["content"]["application/json"]["schema"])


def _typed(content: Any) -> Any:
    """Thin events carry the members of their own type, which the type common to all of them lacks."""
    if isinstance(content, dict) and isinstance(content.get("data"), list):
        return {**content, "data": [_typed(each) for each in content["data"]]}
    if isinstance(content, dict) and content.get("object") == "v2.core.event":
        return {name: content[name] for name in content if name != "related_object"}
    return content


def request_mistakes(request: requests.PreparedRequest) -> list[str]:
    """What is wrong with parameters and body, by the SDK's types for the address."""
    path, _, query = str(request.path_url).partition("?")
    method = str(request.method).lower()
    template = _template(method, path)
    operation = document(SDK_TYPES, closed=True)["paths"][template][method]
    body: Any = request.body or ""
    sent: str = body.decode() if isinstance(body, bytes) else body
    form = _form_of(operation, method)
    if request.method == "POST":
        given = json.loads(sent or "{}") if path.startswith("/v2/") else _as_typed(_nested(sent), form)
    else:
        # The next page of API v2 is an address that the SDK follows as it is.
        given = {name: value for name, value in _as_typed(_nested(query), form).items() if name != "page"}
    wrong = []
    for types in (SDK_TYPES, INSTALLED):
        schema = _request_schema(types, method, template)
        wrong += [
            f"{request.method} {path} takes, by {types.name}, {list(error.instance_path)}: {error.message}"
            for error in validator(types, schema, closed=True).iter_errors(given)
        ]
    return wrong


@cache
def _request_schema(types: Path, method: str, template: str) -> str:
    return json.dumps(_form_of(document(types, closed=True)["paths"][template][method], method))


def _form_of(operation: dict[str, Any], method: str) -> dict[str, Any]:
    """What an operation takes, as one object."""
    if method == "post":
        content = operation.get("requestBody", {}).get("content", {})
        return next((one["schema"] for one in content.values()), {"type": "object"})
    parameters = [one for one in operation["parameters"] if one["in"] == "query"]
    properties = {one["name"]: one["schema"] for one in parameters}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _nested(encoded: str) -> dict[str, Any]:
    """The nest that the brackets of a form say; lists by their index."""
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        first, *rest = re.findall(r"[^\[\]]+|(?<=\[)(?=\])", name)
        branch = tree
        for step, below in zip([first, *rest], rest, strict=False):
            branch = branch.setdefault(step or str(len(branch)), {})
            assert below is not None
        leaf = ([first, *rest])[-1]
        branch[leaf or str(len(branch))] = value
    return tree


def _as_typed(value: Any, schema: dict[str, Any]) -> Any:
    """A text of a form as what the schema says that it is; what does not fit stays a text."""
    options = schema.get("anyOf", [schema])
    kinds = {option.get("type") for option in options}
    if isinstance(value, dict):
        if "array" in kinds:
            items = next(option["items"] for option in options if option.get("type") == "array")
            return [_as_typed(each, items) for each in value.values()]
        known: dict[str, Any] = next((option for option in options if option.get("type") == "object"), {})
        properties, others = known.get("properties", {}), known.get("additionalProperties", {})
        others = others if isinstance(others, dict) else {}
        return {name: _as_typed(each, properties.get(name, others)) for name, each in value.items()}
    if "integer" in kinds and re.fullmatch(r"-?\d+", value):
        return int(value)
    if "boolean" in kinds and value in ("true", "false"):
        return value == "true"
    return value


def _template(method: str, path: str) -> str:
    """The path of the document that an address belongs to. Raises LookupError when there is none."""
    for template, operations in document(SDK_TYPES, closed=True)["paths"].items():
        if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", template), path) and method in operations:
            return str(template)
    raise LookupError(f"the SDK has no {method} {path}")


@cache
def fixtures() -> dict[str, dict[str, Any]]:
    """Stripe's published fixtures, by kind of object."""
    content: dict[str, dict[str, Any]] = json.loads((DATA / "fixtures3.subset.json").read_text())["resources"]
    return content
