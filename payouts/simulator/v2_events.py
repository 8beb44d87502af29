"""Events of API v2: thin ones, that name what changed."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from payouts.simulator import problems
from payouts.simulator.forms import Params
from payouts.simulator.listing import v2_page
from payouts.simulator.problems import StripeProblem
from payouts.simulator.settings import DAY_S
from payouts.simulator.store import Body
from payouts.simulator.work import Work

KEPT_S = 30 * DAY_S
_COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def listed(work: Work, params: Params) -> Body:
    """GET /v2/core/events: by object_id, types, created; those of the last 30 days."""
    where: dict[str, Any] = {"created > ?": work.now - KEPT_S}
    about, kinds = params.optional_text("object_id"), params.texts("types")
    if about is not None:
        where["json_extract(body, '$.related_object.id') = ?"] = about
    if kinds:
        where["json_extract(body, '$.type') IN (SELECT value FROM json_each(?))"] = json.dumps(kinds)
    bounds = params.nest("created")
    for name, sign in _COMPARISONS.items():
        bound = bounds.optional_text(name)
        if bound is not None:
            where[f"created {sign} ?"] = _seconds(bound)
    bounds.refuse_the_rest()
    return v2_page(work, params, "/v2/core/events", "v2.core.event", where)


def one(work: Work, event: str) -> Body:
    """GET /v2/core/events/{id}."""
    found = work.tx.get("v2.core.event", work.owner, event)
    if found is None:
        raise problems.not_found_v2(f"Event not found: {event}")
    return found


def _seconds(text: str) -> int:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", text):
        raise StripeProblem(400, f"Invalid time: {text}", code="invalid_fields")
    try:
        return int(datetime.fromisoformat(text).astimezone(UTC).timestamp())
    except ValueError as wrong:
        raise StripeProblem(400, f"Invalid time: {text}", code="invalid_fields") from wrong
