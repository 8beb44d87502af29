"""Events, version 1: every change leaves one, with the object as it was then."""

from __future__ import annotations

import json
from typing import Any

from payouts.simulator import problems
from payouts.simulator.forms import Params
from payouts.simulator.listing import created_in, field_is, page
from payouts.simulator.problems import StripeProblem
from payouts.simulator.store import Body
from payouts.simulator.work import Work

_TYPES_MAX = 20


def listed(work: Work, params: Params) -> Body:
    """GET /v1/events: by created and by `type` (`transfer.*` stands for all of them) or a list of `types`."""
    where: dict[str, Any] = created_in(params)
    kind, kinds = params.optional_text("type"), params.texts("types")
    if kind is not None and kinds:
        raise StripeProblem(400, "You may only specify one of these parameters: type, types.", param="type")
    if len(kinds) > _TYPES_MAX:
        raise StripeProblem(400, f"At most {_TYPES_MAX} types.", param="types")
    if kind is not None and "*" in kind:
        # GLOB knows more signs than the star; without them the name matches nothing, as it should.
        where["json_extract(body, '$.type') GLOB ?"] = kind.replace("[", "").replace("?", "")
    elif kind is not None:
        where[field_is("type")] = kind
    if kinds:
        where["json_extract(body, '$.type') IN (SELECT value FROM json_each(?))"] = json.dumps(kinds)
    return page(work, params, "/v1/events", "event", where, "event")


def one(work: Work, event: str) -> Body:
    """GET /v1/events/{id}."""
    found = work.tx.get("event", work.owner, event)
    if found is None:
        raise problems.no_such("event", event, "id")
    return found
