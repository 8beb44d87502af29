"""The schema of an answer to why: a fact, and the facts that it rests on, all the way down."""

from typing import Any

from marshmallow import fields

from api.schemas.fields import Id, Strict, Text, Time, Whole


class ProofSchema(Strict):
    """Where the fact stands in the audit log: `/v1/audit/inclusion?position=` proves it."""

    index = Whole(required=True)
    size = Whole(required=True, metadata={"description": "The oldest checkpoint that covers it."})


_ROLES = (
    "What it is to the fact above. Of a payout: `batch`, `destination` and `withholding` (who set them), "
    "`line`, `life` (what became of it). Of a reward: `conversion`, `about` (refunds, disputes), "
    "`attribution`, `agreement`, `terms`, `not_rewarded_before` (nothing was earned at first), `life`, and "
    "below that `cause` (what led to it). Of a conversion: `about`, `reward`, `not_rewarded`, `attribution`."
)


class BecauseSchema(Strict):
    """One fact in a sentence (`says`) and in its own words."""

    role = Text(required=True, metadata={"description": _ROLES})
    fact = Text(required=True)
    stream_id = Id(required=True)
    position = Whole(required=True)
    recorded_at = Time(required=True)
    by = Text(required=True)
    says = Text(required=True)
    words = fields.Dict(keys=Text(), required=True)
    proof = fields.Nested(ProofSchema(), allow_none=True)
    because: Any = fields.List(fields.Nested(lambda: BecauseSchema()))
