"""The schema of an answer to why: a fact, and the facts that it rests on, all the way down."""

from typing import Any

from marshmallow import fields

from api.schemas.fields import Id, Strict, Text, Time, Whole


class ProofSchema(Strict):
    """Where the fact stands in the audit log: `/v1/audit/inclusion?position=` proves it."""

    index = Whole(required=True)
    size = Whole(required=True, metadata={"description": "The oldest checkpoint that covers it."})


class BecauseSchema(Strict):
    """One fact in a sentence (`says`) and in its own words. `role` says what it is to the fact above."""

    role = Text(required=True)
    fact = Text(required=True)
    stream_id = Id(required=True)
    position = Whole(required=True)
    recorded_at = Time(required=True)
    by = Text(required=True)
    says = Text(required=True)
    words = fields.Dict(keys=Text(), required=True)
    proof = fields.Nested(ProofSchema(), allow_none=True)
    because: Any = fields.List(fields.Nested(lambda: BecauseSchema()))
