"""An OpenAPI document out of the types of whichever SDK is installed, read from its source.

Stripe generates those types from its own specification: a resource is a class with OBJECT_NAME, parameters
are a TypedDict, and a service's method calls `_request(METHOD, PATH, …)`. The same was done by others for the
file that `tests/data/stripe` holds; comparing the two shows by name what an update of the SDK changes.
"""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

Schema = dict[str, Any]

_PLAIN = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "bool": {"type": "boolean"},
    "float": {"type": "number"},
    "Decimal": {"type": "string"},
    "Any": {},
    "object": {},
}
_LISTS = {"List", "list", "Sequence"}
_MAPS = {"Dict", "dict", "Mapping", "UntypedStripeObject"}
_BASES_WITHOUT_MEMBERS = {"StripeObject", "TypedDict", "RequestOptions"}


class Module(NamedTuple):
    """A module of the SDK: its classes by qualified name, and where its other names come from."""

    name: str
    classes: dict[str, ast.ClassDef]
    imported: dict[str, tuple[str, str]]


class Place(NamedTuple):
    """A class of the SDK."""

    module: str
    name: str

    @property
    def node(self) -> ast.ClassDef:
        """Its source."""
        return module(self.module).classes[self.name]


@cache
def root() -> Path:
    """Where the SDK is installed."""
    spec = find_spec("stripe")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@cache
def module(name: str) -> Module:
    """A module, read."""
    path = root().joinpath(*name.split(".")[1:])
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(source.read_text("utf-8"))
    classes: dict[str, ast.ClassDef] = {}

    def look(body: Iterable[ast.stmt], outer: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                classes[outer + node.name] = node
                look(node.body, f"{outer}{node.name}.")

    look(tree.body, "")
    imported = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("stripe")
        for alias in node.names
        if node.module is not None
    }
    return Module(name, classes, imported)


def find(place: Place, name: str) -> Place | None:
    """The class that a name means inside a class: one of its own, of the module, or imported."""
    inside = module(place.module)
    outer = place.name.split(".")
    for depth in range(len(outer), -1, -1):
        qualified = ".".join([*outer[:depth], name])
        if qualified in inside.classes:
            return Place(place.module, qualified)
    if name in inside.imported:
        source, original = inside.imported[name]
        return find(Place(source, ""), original)
    return None


def object_name(place: Place) -> str | None:
    """The `object` of a resource, None for a class that is a part of one."""
    for node in place.node.body:
        if isinstance(node, ast.AnnAssign) and dotted(node.target) == "OBJECT_NAME":
            return str(ast.literal_eval(node.value)) if node.value is not None else None
    return None


def dotted(node: ast.AST) -> str:
    """A name with its dots."""
    return ast.unparse(node)


class Derived:
    """The document as it grows: components are added when something leads to them."""

    def __init__(self, resources: frozenset[str]) -> None:
        self._resources = resources
        self.schemas: dict[str, Schema] = {}

    def of_class(self, place: Place) -> Schema:
        """A reference to a class: to its component when it is a resource, otherwise the class itself."""
        name = object_name(place)
        if name is None:
            return self.members(place)
        if name not in self._resources:
            return {"type": "object", "x-out-of-subset": place.name}
        if name not in self.schemas:
            self.schemas[name] = {"x-resourceId": name}  # it may lead back to itself
            self.schemas[name].update(self.members(place))
        return {"$ref": f"#/components/schemas/{name}"}

    def members(self, place: Place) -> Schema:
        """The object that a class describes. Parameters are closed, answers are as the validator wants."""
        typed_dict = any("Params" in part for part in (place.module, place.name.split(".")[0]))
        properties, required = {}, []
        for owner in self.lineage(place):
            for node in owner.node.body:
                if not isinstance(node, ast.AnnAssign) or dotted(node.annotation).startswith("ClassVar"):
                    continue
                name = dotted(node.target)
                if name.startswith("_"):
                    continue
                name = name.removesuffix("_") if name == "from_" else name
                schema, optional = self.annotation(owner, node.annotation)
                properties[name] = schema
                if not optional and not (schema.get("nullable") and not typed_dict):
                    required.append(name)
        whole: Schema = {"type": "object", "title": place.name, "properties": properties}
        if required:
            whole["required"] = sorted(required)
        if typed_dict:
            whole["additionalProperties"] = False
        return whole

    def lineage(self, place: Place) -> list[Place]:
        """The class and the bases that have members."""
        found = [place]
        for base in place.node.bases:
            name = dotted(base).partition("[")[0]
            above = None if name in _BASES_WITHOUT_MEMBERS else find(place, name)
            if above is not None and "Resource" not in name and name != "StripeObject":
                found = [*self.lineage(above), *found]
        return found

    def annotation(self, place: Place, node: ast.expr) -> tuple[Schema, bool]:
        """The schema of an annotation, and whether the member may be absent."""
        node = unquoted(node)
        if isinstance(node, ast.Subscript) and dotted(node.value) == "NotRequired":
            return self.schema(place, node.slice), True
        return self.schema(place, node), False

    def schema(self, place: Place, node: ast.expr) -> Schema:
        """The schema of a type."""
        node = unquoted(node)
        if isinstance(node, ast.Subscript):
            return self._generic(place, dotted(node.value).rpartition(".")[2], node.slice)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return self._union(place, [*flat(node)])
        name = dotted(node)
        if name in _PLAIN:
            return dict(_PLAIN[name])
        found = find(place, name)
        if found is None and "." in name:
            found = find(place, name.partition(".")[0]) and Place(place.module, name)
        if found is None or found.name not in module(found.module).classes:
            return {"x-unknown": name}
        return self.of_class(found)

    def _generic(self, place: Place, name: str, inner: ast.expr) -> Schema:
        parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        if name == "Optional":
            return {**self.schema(place, inner), "nullable": True}
        if name == "ExpandableField":
            return self._union(place, [ast.Name("str"), inner])
        if name == "Union":
            return self._union(place, parts)
        if name == "Literal":
            values = [ast.literal_eval(part) for part in parts]
            kind = "boolean" if isinstance(values[0], bool) else "string"
            return {"type": kind, "enum": sorted(values)}
        if name in _LISTS:
            return {"type": "array", "items": self.schema(place, inner)}
        if name in _MAPS:
            return {"type": "object", "additionalProperties": self.schema(place, parts[-1])}
        if name == "ListObject":
            return self._list(place, inner)
        return {"x-unknown": name}

    def _list(self, place: Place, inner: ast.expr) -> Schema:
        items = {"type": "array", "items": self.schema(place, inner)}
        v2 = ".v2" in module(place.module).imported.get("ListObject", ("", ""))[0]
        text = {"type": "string"}
        if v2:
            more = {"type": "string", "nullable": True}
            named = {"data": items, "next_page_url": more, "previous_page_url": more}
            return {"type": "object", "properties": named, "required": ["data"]}
        properties = {"object": {"type": "string", "enum": ["list"]}, "data": items}
        properties |= {"has_more": {"type": "boolean"}, "url": text}
        return {"type": "object", "properties": properties, "required": sorted(properties)}

    def _union(self, place: Place, parts: Iterable[ast.expr]) -> Schema:
        options = [self.schema(place, part) for part in parts]
        texts = [option for option in options if option.get("type") == "string"]
        named = {value for option in texts for value in option.get("enum", ())}
        if named and len(texts) == len(options):
            is_open = any("enum" not in option for option in texts)
            return {"type": "string", "enum": sorted(named), **({"x-open-enum": True} if is_open else {})}
        # An untyped object beside a mapping of the same is the same to who reads JSON.
        distinct: list[Schema] = []
        for option in options:
            if option not in distinct:
                distinct.append(option)
        return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def unquoted(node: ast.expr) -> ast.expr:
    """An annotation without its quotation marks."""
    while isinstance(node, ast.Constant) and isinstance(node.value, str):
        node = ast.parse(node.value, mode="eval").body
    return node


def flat(node: ast.expr) -> Iterator[ast.expr]:
    """The parts of `A | B | C`."""
    if isinstance(node, ast.BinOp):
        yield from flat(node.left)
        yield from flat(node.right)
    else:
        yield unquoted(node)


@cache
def document(operations: frozenset[tuple[str, str]], resources: frozenset[str]) -> Schema:
    """The document of those operations (`post`, `/v1/transfers`), with those resources in full."""
    derived = Derived(resources)
    paths: dict[str, dict[str, Any]] = {}
    for source in sorted(root().rglob("_*_service.py")):
        text = source.read_text("utf-8")
        if not any(path in text for _method, path in operations):
            continue
        name = ".".join(["stripe", *source.relative_to(root()).with_suffix("").parts])
        for place, method, verb, path in requests_in(name):
            if (verb, path) in operations:
                paths.setdefault(path, {})[verb] = operation(derived, place, method, verb, path)
    return {"openapi": "3.0.0", "paths": paths, "components": {"schemas": derived.schemas}}


def requests_in(name: str) -> Iterator[tuple[Place, ast.FunctionDef, str, str]]:
    """Every method of a service that asks Stripe something: where it is, what it calls."""
    for service, node in module(name).classes.items():
        for method in node.body:
            if not isinstance(method, ast.FunctionDef):
                continue
            for call in ast.walk(method):
                if isinstance(call, ast.Call) and dotted(call.func) == "self._request":
                    target = call.args[1]
                    if isinstance(target, ast.Call):
                        target = target.func.value if isinstance(target.func, ast.Attribute) else target
                    yield (
                        Place(name, service),
                        method,
                        str(ast.literal_eval(call.args[0])),
                        str(ast.literal_eval(target)),
                    )


def operation(derived: Derived, place: Place, method: ast.FunctionDef, verb: str, path: str) -> Schema:
    """What an operation takes and gives."""
    arguments = {argument.arg: argument.annotation for argument in method.args.args}
    wanted = arguments.get("params")
    form: Schema = {"type": "object", "properties": {}, "additionalProperties": False}
    if wanted is not None:
        form = derived.schema(place, wanted)
        form.pop("nullable", None)
    assert method.returns is not None
    content = {"application/json": {"schema": derived.schema(place, method.returns)}}
    described: Schema = {"responses": {"200": {"content": content}}, "parameters": []}
    if verb == "post":
        kind = "application/json" if path.startswith("/v2/") else "application/x-www-form-urlencoded"
        described["requestBody"] = {"content": {kind: {"schema": form}}}
    else:
        needed = form.get("required", [])
        described["parameters"] = [
            {"in": "query", "name": name, "schema": schema, "required": name in needed}
            for name, schema in form["properties"].items()
        ]
    return described
