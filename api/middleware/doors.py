"""Before a responder runs: the key is checked, the body is read, the schema loads it."""

from typing import Any, Final

import falcon
from marshmallow import Schema, ValidationError

from api.auth import Gate, forbidden, nothing_there
from api.bodies import check_media_type, parse_object, read_body
from api.errors import from_marshmallow
from api.operations import operation_of
from api.problems import HttpProblem

BODY_METHODS: Final = ("POST", "PUT", "PATCH")


class Access:
    """The key first: who may not enter learns nothing of what is behind the door."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def process_resource(
        self, req: falcon.Request, _resp: falcon.Response, resource: Any, params: dict[str, Any]
    ) -> None:
        """Find the caller; refuse who lacks the scope, and another partner's things."""
        promised = operation_of(resource, req.method)
        req.context.operation = promised
        req.context.path_fields = frozenset(params)
        if promised is None or promised.public:
            return
        caller = req.context.caller = self._gate.caller(req)
        if not caller.may(promised.scopes):
            raise forbidden(promised.scopes)
        if "partner_id" in params and not caller.sees(params["partner_id"]):
            raise nothing_there()


class Bodies:
    """Reads the bytes of a body once; the conversions path decodes them itself."""

    def process_resource(
        self, req: falcon.Request, _resp: falcon.Response, _resource: Any, _params: dict[str, Any]
    ) -> None:
        """Refuse a wrong content type and too many bytes."""
        promised = req.context.operation
        if promised is None or req.method not in BODY_METHODS:
            return
        req.context.raw = read_body(req, promised.bytes_max)
        if promised.raw or promised.body is not None:
            req.context.media_type = check_media_type(req, promised.media_types)
        elif req.context.raw.strip() not in (b"", b"{}"):
            raise HttpProblem("invalid-field", "this request takes no body")


class Schemas:
    """Loads query and body by the responder's schemas; it gets them as `query` and `body`."""

    def __init__(self) -> None:
        self._unasked: dict[Schema, dict[str, Any]] = {}
        """What a schema makes of no query at all, which most requests have: it is always the same."""

    def process_resource(
        self, req: falcon.Request, _resp: falcon.Response, _resource: Any, params: dict[str, Any]
    ) -> None:
        """Refuse with every mistake at once, each with its pointer."""
        promised = req.context.operation
        if promised is None:
            return
        if promised.query is not None:
            params["query"] = self._query(promised.query, req)
        if promised.body is not None and not promised.raw:
            params["body"] = promised.body.load(parse_object(req.context.raw))

    def _query(self, schema: Schema, req: falcon.Request) -> dict[str, Any]:
        if req.query_string:
            return _load_query(schema, req)
        known = self._unasked.get(schema)
        if known is None:
            known = self._unasked[schema] = _load_query(schema, req)
        return dict(known)


def _load_query(schema: Schema, req: falcon.Request) -> dict[str, Any]:
    given = req.params
    if any(isinstance(value, list) for value in given.values()):
        twice = [name for name, value in given.items() if isinstance(value, list)]
        raise HttpProblem("invalid-query", f"{twice[0]} stands there twice")
    try:
        loaded: dict[str, Any] = schema.load(given)
        return loaded
    except ValidationError as error:
        problem = from_marshmallow(error)
        raise HttpProblem("invalid-query", "a query parameter is wrong", problem.errors) from None
