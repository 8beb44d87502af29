"""Holds answers of the stand-in against what Stripe publishes: SDK types, specification, fixtures."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import requests

DATA = Path(__file__).resolve().parents[1] / "data" / "stripe"
SDK_TYPES = DATA / "stripe-sdk-16.1.0.subset.json"
PUBLISHED = DATA / "stripe-spec3-2023-08-16.subset.json"


@cache
def document(path: Path, *, closed: bool) -> dict[str, Any]:
    """An OpenAPI 3.0 document as plain JSON Schema; closed: no member that is not written there."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
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


def answer_mistakes(response: requests.Response) -> list[str]:
    """What is wrong with an answer, by the SDK's types for its address; errors by the published shape."""
    content = response.json()
    if response.status_code != 200:
        return mistakes(PUBLISHED, "error", content, closed=False)
    operation = _operation(str(response.request.method).lower(), str(response.request.path_url).split("?")[0])
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    found = validator(SDK_TYPES, json.dumps(schema), closed=True).iter_errors(content)
    return [f"{response.request.path_url} {list(error.instance_path)}: {error.message}" for error in found]


def _operation(method: str, path: str) -> dict[str, Any]:
    """The operation of the document that an address belongs to. Raises LookupError when there is none."""
    for template, operations in document(SDK_TYPES, closed=True)["paths"].items():
        if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", template), path) and method in operations:
            operation: dict[str, Any] = operations[method]
            return operation
    raise LookupError(f"the SDK has no {method} {path}")


@cache
def fixtures() -> dict[str, dict[str, Any]]:
    """Stripe's published fixtures, by kind of object."""
    content: dict[str, dict[str, Any]] = json.loads((DATA / "fixtures3.subset.json").read_text())["resources"]
    return content
