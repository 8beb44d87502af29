"""What two documents of Stripe's types say differently, one line by name for each difference."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from payouts.simulator.app import ROUTES
from tests.support.stripe_sdk_types import document

Shape = dict[str, str]
Document = dict[str, Any]


RECORDED = Path(__file__).resolve().parents[1] / "data" / "stripe" / "stripe-sdk-16.1.0.subset.json"


@cache
def recorded() -> Document:
    """The document that is kept in `tests/data/stripe`."""
    content: Document = json.loads(RECORDED.read_text("utf-8"))
    return content


@cache
def resources() -> frozenset[str]:
    """The kinds of object that the kept document describes in full."""
    schemas = recorded()["components"]["schemas"].values()
    return frozenset(one["x-resourceId"] for one in schemas if "x-resourceId" in one)


@cache
def operations() -> frozenset[tuple[str, str]]:
    """What the stand-in serves: (`post`, `/v1/transfers`), by the paths of the kept document."""
    served = [
        (verb, route.path)
        for route in ROUTES
        for verb, has in (("get", route.list or route.one), ("post", route.post))
        if has is not None
    ]
    paths = recorded()["paths"]
    return frozenset(
        (verb, next((known for known in paths if same_path(known, path)), path)) for verb, path in served
    )


def installed() -> Document:
    """The same, of what the stand-in serves, out of the installed SDK."""
    return document(operations(), resources())


class Reading:
    """A document read into lines of `place: what stands there`."""

    def __init__(self, source: Document) -> None:
        self._schemas: dict[str, Any] = source["components"]["schemas"]
        self._paths: dict[str, Any] = source["paths"]
        self.lines: Shape = {}
        self.reached: dict[str, str] = {}
        """Resources that something read so far leads to: by the name of their class, their component."""

    def operation(self, verb: str, template: str) -> None:
        """Read what an operation takes, and what it gives."""
        here = [operations for path, operations in self._paths.items() if same_path(path, template)]
        described = here[0].get(verb) if here else None
        name = f"{verb.upper()} {template}"
        if described is None:
            self.lines[name] = "not there"
            return
        self.lines[name] = "there"
        content = described.get("requestBody", {}).get("content", {})
        for kind, body in content.items():
            self.lines[f"{name} body"] = kind
            self._object(f"{name} takes", body["schema"])
        for parameter in described.get("parameters", []):
            if parameter["in"] == "query":
                self._say(f"{name} takes {parameter['name']}", parameter["schema"])
        answer = described["responses"]["200"]["content"]["application/json"]["schema"]
        self._say(f"{name} gives", answer)

    def resource(self, name: str) -> None:
        """Read the members of a resource, by the name of its class."""
        self._object(name, self._schemas[self.reached[name]])

    def _object(self, place: str, schema: dict[str, Any]) -> None:
        needed = schema.get("required", [])
        for name, member in schema.get("properties", {}).items():
            self._say(f"{place}.{name}", member, " (always)" if name in needed else "")

    def _say(self, place: str, schema: dict[str, Any], suffix: str = "") -> None:
        self.lines[place] = self._text(place, schema) + ("?" if schema.get("nullable") else "") + suffix

    def _text(self, place: str, schema: dict[str, Any]) -> str:
        if "$ref" in schema:
            component = schema["$ref"].rpartition("/")[2]
            target = self._schemas[component]
            if "x-resourceId" not in target:
                return self._text(place, target)
            self.reached.setdefault(target["title"], component)
            return f"<{target['title']}>"
        if "x-out-of-subset" in schema:
            return f"<{schema['x-out-of-subset']}>"
        if "anyOf" in schema:
            parts = schema["anyOf"]
            if all(part.get("type") == "string" for part in parts):
                return text_of(parts)
            options = [self._text(place, option) for option in parts]
            return " | ".join(dict.fromkeys(sorted(options)))
        match schema.get("type"):
            case "array":
                return f"[{self._text(f'{place}[]', schema['items'])}]"
            case "object" if "properties" in schema:
                self._object(place, schema)
                return "{…}"
            case "object":
                return f"{{* {self._text(f'{place}.*', schema.get('additionalProperties') or {})}}}"
            case "string":
                return text_of([schema])
            case kind:
                values = "/".join(map(str, schema.get("enum", [])))
                return values or str(kind or "anything")


def text_of(options: list[dict[str, Any]]) -> str:
    """A text, with the values that it is known to have. The empty one, which unsets, is not among them."""
    values = sorted({value for option in options for value in option.get("enum", ())} - {""})
    is_open = not values or any(option.get("x-open-enum") or "enum" not in option for option in options)
    return f"string {'/'.join(values)}{'/…' if values and is_open else ''}".strip()


def same_path(path: str, template: str) -> bool:
    """Whether two addresses are one, whatever their variables are called."""
    parts, others = path.split("/"), template.split("/")
    return len(parts) == len(others) and all(
        one == other or (one.startswith("{") and other.startswith("{"))
        for one, other in zip(parts, others, strict=True)
    )


def differences(before: Document, now: Document) -> list[str]:
    """One line for each thing that is new, gone or other in `now`, of all that the calls lead to."""
    readings = Reading(before), Reading(now)
    for verb, path in sorted(operations()):
        for reading in readings:
            reading.operation(verb, path)
    read: set[str] = set()
    while todo := set(readings[0].reached) & set(readings[1].reached) - read:
        for name in sorted(todo):
            for reading in readings:
                reading.resource(name)
        read |= todo
    was, is_now = readings[0].lines, readings[1].lines
    gone = [f"- {place}: {was[place]}" for place in was.keys() - is_now.keys()]
    new = [f"+ {place}: {is_now[place]}" for place in is_now.keys() - was.keys()]
    other = [
        f"~ {place}: {was[place]} -> {is_now[place]}"
        for place in was.keys() & is_now.keys()
        if was[place] != is_now[place]
    ]
    return sorted(gone) + sorted(new) + sorted(other)
