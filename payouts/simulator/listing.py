"""Lists as Stripe gives them: newest first, by cursor, with `has_more`."""

from __future__ import annotations

import re
from typing import Any

from payouts.simulator import problems
from payouts.simulator.forms import Params
from payouts.simulator.problems import StripeProblem
from payouts.simulator.store import Body
from payouts.simulator.work import Work

LIMIT_DEFAULT, LIMIT_MAX = 10, 100
_COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def field_is(field: str) -> str:
    """The condition that a member of the body has a value, written as the index on a group needs it."""
    return f"json_extract(body, '$.{field}') = ?"


def equal_to(params: Params, *fields: str) -> dict[str, Any]:
    """Conditions for those of the fields that were asked for."""
    asked = {field: params.optional_text(field) for field in fields}
    return {field_is(field): value for field, value in asked.items() if value is not None}


def created_in(params: Params) -> dict[str, Any]:
    """Conditions from `created=T` or `created[gt|gte|lt|lte]=T`, in seconds since 1970."""
    return _compared(params, "created", "created")


def field_compares(params: Params, field: str) -> dict[str, Any]:
    """The same for a member of the body."""
    return _compared(params, field, f"json_extract(body, '$.{field}')")


def _compared(params: Params, name: str, column: str) -> dict[str, Any]:
    if not params.is_nest(name):
        exactly = params.optional_integer(name)
        return {} if exactly is None else {f"{column} = ?": exactly}
    bounds = params.nest(name)
    where: dict[str, Any] = {}
    for comparison, sign in _COMPARISONS.items():
        bound = bounds.optional_integer(comparison)
        if bound is not None:
            where[f"{column} {sign} ?"] = bound
    bounds.refuse_the_rest()
    return where


def page(
    work: Work,
    params: Params,
    url: str,
    kind: str,
    where: dict[str, Any],
    noun: str,
    owner: str | None = None,
) -> Body:
    """One page of the owner's objects of a kind, by `limit` and `starting_after` or `ending_before`."""
    owner = work.owner if owner is None else owner
    limit = params.optional_integer("limit")
    limit = LIMIT_DEFAULT if limit is None else limit
    if not 1 <= limit <= LIMIT_MAX:
        message = f"Invalid integer: limit must be between 1 and {LIMIT_MAX}."
        raise StripeProblem(400, message, code="parameter_invalid_integer", param="limit")
    after, before = params.optional_text("starting_after"), params.optional_text("ending_before")
    if after is not None and before is not None:
        message = "You cannot parameterize both starting_after and ending_before."
        raise StripeProblem(400, message, param="starting_after")
    if after is not None:
        where = {**where, "seq < ?": _cursor(work, kind, after, "starting_after", noun)}
    if before is not None:
        where = {**where, "seq > ?": _cursor(work, kind, before, "ending_before", noun)}
    # Before a cursor means the objects next to it, so they are read from the old end and turned round.
    backwards = before is not None
    where = {**where, "listed <= ?": work.now}
    found = work.tx.select(kind, owner, where, oldest_first=backwards, limit=limit + 1)
    data = found[:limit]
    return {
        "object": "list",
        "data": data[::-1] if backwards else data,
        "has_more": len(found) > limit,
        "url": url,
    }


def _cursor(work: Work, kind: str, identifier: str, param: str, noun: str) -> int:
    """The position of the object that the cursor names."""
    position = work.tx.position(kind, work.owner, identifier)
    if position is None:
        raise problems.no_such(noun, identifier, param, status=400)
    return position


def v2_page(work: Work, params: Params, url: str, kind: str, where: dict[str, Any]) -> Body:
    """One page as API v2 gives it, newest first, with the address of the next one."""
    limit = params.optional_integer("limit")
    limit = LIMIT_DEFAULT if limit is None else limit
    if not 1 <= limit <= LIMIT_MAX:
        raise StripeProblem(400, f"limit must be between 1 and {LIMIT_MAX}.", code="invalid_fields")
    token = params.optional_text("page")
    asked: dict[str, Any] = {**where, "listed <= ?": work.now}
    if token is not None:
        if not re.fullmatch(r"page_\d{1,18}", token):
            raise StripeProblem(400, f"Invalid page: {token}", code="invalid_fields")
        asked["seq < ?"] = int(token.removeprefix("page_"))
    found = work.tx.select_placed(kind, work.owner, asked, limit=limit + 1)
    shown = found[:limit]
    more = None
    if len(found) > limit:
        same = [part for part in work.query.split("&") if part and not part.startswith("page=")]
        more = f"{url}?{'&'.join([*same, f'page=page_{shown[-1][0]}'])}"
    return {"data": [body for _seq, body in shown], "next_page_url": more, "previous_page_url": None}
