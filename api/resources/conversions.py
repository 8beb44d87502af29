"""Conversions and the facts about them: the hot path, one and many, in JSON, NDJSON and CloudEvents.

No schema runs here: ledger.intake decodes the raw bytes once, typed, and that is the validation.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import falcon

from api import cloudevents
from api.answers import send, utc
from api.auth import Caller, nothing_there
from api.batches import MEDIA_TYPES, NDJSON, Line, send_lines
from api.errors import item_problem
from api.listings import Row, send_list, shown_as
from api.operations import BATCH_BYTES_MAX, operation
from api.problems import HttpProblem, body_of
from api.resources.rewards import REWARD
from api.schemas.conversions import (
    BatchResultSchema,
    ConversionFactSchema,
    ConversionQuery,
    ConversionSchema,
    ConversionStorySchema,
    NewConversionSchema,
    NotRewardedSchema,
    TakenSchema,
)
from api.schemas.fields import page_of
from api.services import Resource
from api.waiting import asked_s, until_rewarded
from ledger.commands import ConversionCommand
from ledger.intake import (
    CONVERSION,
    Item,
    ItemProblem,
    ItemResult,
    Unread,
    decode_item,
    split_array,
    split_ndjson,
)
from projections import queries

CONVERSION_SCHEMA: Final = ConversionSchema()
_show: Final = shown_as(CONVERSION_SCHEMA)
_show_reward: Final = shown_as(REWARD)
_show_fact: Final = shown_as(ConversionFactSchema())
_show_not_rewarded: Final = shown_as(NotRewardedSchema())
READ: Final = ("finance:read", "finance:approve", "partner:read")
EXAMPLE: Final = {
    "kind": "sale",
    "program_id": "9e0c2b1c-5a1f-5d0e-8b3a-0f6f0f6b2a11",
    "source": "shop",
    "external_id": "INV-536365",
    "customer": "C-1042",
    "amount_minor": 13912,
    "currency": "GBP",
    "effective_at": "2026-03-01T08:26:00Z",
}
TAKEN_PROBLEMS: Final = (
    "content-conflict",
    "unknown-program",
    "wrong-currency",
    "refund-exceeds-conversion",
    "effective-time-in-future",
    "dispute-not-open",
    "lost-race",
)


class Conversions(Resource):
    """All conversions."""

    @operation(
        "Record a conversion, or a fact about one",
        scopes=("conversions:write",),
        body=NewConversionSchema(),
        raw=True,
        media_types=("application/json", cloudevents.STRUCTURED),
        answer=TakenSchema(),
        statuses=(201, 200),
        problems=TAKEN_PROBLEMS,
        example=EXAMPLE,
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """201: it is new. 200: it was known with the same content. 409: with other content; nothing changed.

        Takes CloudEvents 1.0 too, structured or binary, of type `revshare.conversion.<kind>`. With
        `Prefer: wait=N` (N up to 30 s) the answer waits for the rewards and has them, and
        `Preference-Applied` says so. Without that header it did not: the time was over, or so many were
        waiting that this one was answered at once.
        """
        item = _one(req)
        if isinstance(item, ItemProblem):
            raise item_problem(item.problem)
        result = self.services.intake.record([item], by=req.context.caller.by)[0]
        if result.problem is not None:
            raise item_problem(result.problem)
        assert result.conversion_id is not None
        taken = _taken(item, result.conversion_id)
        seconds = asked_s(req)
        if seconds and self._waited(result.position, seconds):
            taken["rewards"] = self._rewards(result.conversion_id)
            resp.set_header("Preference-Applied", f"wait={seconds}")
        resp.location = f"/v1/conversions/{result.conversion_id}"
        send(resp, taken, 201 if result.status == "new" else 200)

    def _waited(self, fact_position: int | None, seconds: int) -> bool:
        with self.services.waiting.one() as free:
            return free and until_rewarded(self.ledger, fact_position, seconds)

    def _rewards(self, conversion_id: UUID) -> list[Row]:
        with self.database.read() as connection:
            found = queries.list_rewards(connection, conversion_id=conversion_id)
        return [_show_reward(row) for row in found.rows]

    @operation("List conversions", scopes=READ, query=ConversionQuery(), answer=page_of(CONVERSION_SCHEMA))
    def on_get(self, req: falcon.Request, resp: falcon.Response, query: Row) -> None:
        """The latest first. A partner's key lists those that earned it something."""
        where = {name: query[name] for name in ("program_id", "customer", "kind", "source", "external_id")}
        where["partner_id"] = req.context.caller.own(query["partner_id"])
        send_list(req, resp, self.database, query, queries.list_conversions, _show, **where)


class ConversionBatch(Resource):
    """Many conversions at once."""

    @operation(
        "Record many conversions",
        scopes=("conversions:write",),
        body=NewConversionSchema(),
        raw=True,
        bytes_max=BATCH_BYTES_MAX,
        media_types=(*MEDIA_TYPES, cloudevents.BATCHED),
        answer=BatchResultSchema(),
        problems=("too-many-items",),
        example=[EXAMPLE],
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Up to 10,000 as a JSON array, as lines (NDJSON) or as a batch of CloudEvents.

        Each item is answered for itself, in order: new, duplicate, conflict or invalid. The answer comes
        after the commit. A 503 may leave the first part of a batch stored: send the same again, what was
        stored counts once.
        """
        items = _many(req)
        results = self.services.intake.record(items, by=req.context.caller.by)
        send_lines(resp, [_line(index, result) for index, result in enumerate(results)])


class Conversion(Resource):
    """One conversion."""

    @operation("Get a conversion", scopes=READ, answer=ConversionStorySchema())
    def on_get(self, req: falcon.Request, resp: falcon.Response, conversion_id: UUID) -> None:
        """With the facts about it and what it earned, or why it earned nothing."""
        caller = req.context.caller
        with self.database.read() as connection:
            found = queries.conversion(connection, conversion_id)
        if found is None:
            raise self._not_shown(conversion_id, caller)
        rewards = [row for row in found["rewards"] if caller.sees(row["partner_id"])]
        if caller.partner_id is not None and not rewards:
            raise nothing_there()
        unearned = found["not_rewarded"]
        if unearned is not None and not caller.sees(unearned["partner_id"]):
            unearned = None
        send(
            resp,
            _show(found)
            | {
                "facts": [_show_fact(row) for row in found["facts"]],
                "rewards": [_show_reward(row) for row in rewards],
                "not_rewarded": None if unearned is None else _show_not_rewarded(unearned),
            },
        )

    def _not_shown(self, conversion_id: UUID, caller: Caller) -> HttpProblem:
        problem = nothing_there()
        # Whether a conversion is its own, a partner's key learns from the views alone.
        if (
            caller.partner_id is None
            and self.ledger.load(conversion_id, CONVERSION).state.recorded is not None
        ):
            problem.detail = "it was recorded, but the views do not show it yet: ask again in a moment"
            problem.headers = {"Retry-After": "1"}
        return problem


def _one(req: falcon.Request) -> Item:
    raw, media_type = req.context.raw, req.context.media_type
    if not raw.strip():
        raise HttpProblem("missing-body", "this request needs a JSON document")
    if media_type == cloudevents.STRUCTURED:
        return cloudevents.decode_structured(raw)
    if req.get_header("ce-specversion") is not None:
        return cloudevents.decode_binary(req.get_header, media_type, raw)
    return decode_item(raw)


def _many(req: falcon.Request) -> Sequence[Item | Unread]:
    raw, media_type = req.context.raw, req.context.media_type
    if not raw.strip():
        raise HttpProblem("missing-body", "this request needs items")
    if media_type == cloudevents.BATCHED:
        return cloudevents.decode_batched(raw)
    return split_ndjson(raw) if media_type in NDJSON else split_array(raw)


def _taken(command: ConversionCommand, conversion_id: UUID) -> dict[str, Any]:
    return {
        "conversion_id": conversion_id,
        "program_id": command.program_id,
        "source": command.source,
        "external_id": command.external_id,
        "kind": type(command).__struct_config__.tag,
        "effective_at": utc(command.effective_at),
    }


def _line(index: int, result: ItemResult) -> Line:
    if result.problem is None:
        return Line(index, result.status, result.conversion_id)
    problem = body_of(item_problem(result.problem))
    return Line(index, result.status, conversion_id=result.conversion_id, problem=problem)
