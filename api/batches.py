"""Batches in and out: items as an array or as lines, each answered for itself in order."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

import falcon
import msgspec
from marshmallow import ValidationError

from api.answers import send
from api.bodies import parse_json
from api.errors import LOST_RACE, again, from_marshmallow
from api.problems import TYPE_PREFIX, HttpProblem, body_of
from ledger.intake import BATCH_ITEMS_MAX

NDJSON: Final = ("application/x-ndjson", "application/jsonl")
MEDIA_TYPES: Final = ("application/json", *NDJSON)


class Line(msgspec.Struct, omit_defaults=True, gc=False):
    """The answer to one item."""

    index: int
    status: str
    conversion_id: UUID | None = None
    referral_id: UUID | None = None
    problem: dict[str, Any] | None = None


def send_lines(resp: falcon.Response, lines: Sequence[Line]) -> None:
    """Answer a batch: totals first, then each item. Where one lost a race, it says when to send it again."""
    totals = dict.fromkeys(("new", "duplicate", "conflict", "invalid"), 0)
    totals |= Counter(line.status for line in lines)
    raced = TYPE_PREFIX + LOST_RACE
    if any(line.problem is not None and line.problem["type"] == raced for line in lines):
        resp.set_header("Retry-After", again(LOST_RACE)["Retry-After"])
    send(resp, {"totals": totals, "items": lines})


def parse_items(raw: bytes, media_type: str) -> list[Any]:
    """The items of a body; one that is no JSON is its own problem when the body is of lines."""
    if media_type in NDJSON:
        lines = [line for line in raw.split(b"\n") if line.strip()]
        _check_count(len(lines))
        return [_parse_line(line) for line in lines]
    items = parse_json(raw)
    if not isinstance(items, list):
        raise HttpProblem("unreadable-body", "the body must be a JSON array")
    _check_count(len(items))
    return items


def load_item(load: Callable[[Any], Any], item: Any) -> Any:
    """An item as its schema loads it, or its problem."""
    if isinstance(item, HttpProblem):
        return item
    try:
        return load(item)
    except ValidationError as error:
        return from_marshmallow(error)


def problem_line(index: int, problem: HttpProblem, status: str = "invalid") -> Line:
    """The answer to an item that was not taken."""
    return Line(index, status, problem=body_of(problem))


def _parse_line(line: bytes) -> Any:
    try:
        return parse_json(line)
    except HttpProblem as problem:
        return problem
    except RecursionError:
        return HttpProblem("unreadable-body", "the item is nested too deeply")


def _check_count(count: int) -> None:
    if count > BATCH_ITEMS_MAX:
        raise HttpProblem("too-many-items", f"{count} items; one request may hold {BATCH_ITEMS_MAX}")
