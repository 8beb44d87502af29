"""Schemas of conversions and of facts about them.

The conversions path itself validates with one msgspec decode (ledger.commands); these stand for the
documentation, and a test with generated inputs proves that both accept and refuse the same.
"""

from typing import Any, Final

from marshmallow import Schema, ValidationError, fields

from api.schemas.fields import (
    Id,
    PageQuery,
    Strict,
    Text,
    Time,
    Whole,
    amount,
    choice,
    currency,
    note,
    reference,
)
from api.schemas.money import RewardSchema
from api.schemas.problems import ProblemSchema
from ledger.commands import CONVERSION_KINDS

FACT_KINDS: Final = ("refund", "dispute_opened", "dispute_won", "dispute_lost", "cancellation")


class _About(Strict):
    program_id = Id(required=True)
    source = reference(required=True, metadata={"description": "The service that says so."})
    external_id = reference(required=True, metadata={"description": "What it calls the conversion."})
    effective_at = Time(required=True, metadata={"description": "When it was true."})


class _Converted(_About):
    customer = reference(required=True)
    currency = currency(required=True)
    product = reference(load_default=None, allow_none=True)


class SaleSchema(_Converted):
    """A customer bought."""

    kind = choice("sale", required=True)
    amount_minor = amount(least=1, required=True)


class RenewalSchema(_Converted):
    """A customer bought again, or went on."""

    kind = choice("renewal", required=True)
    amount_minor = amount(least=1, required=True)


class UsageSchema(_Converted):
    """A customer used what is charged by use."""

    kind = choice("usage", required=True)
    amount_minor = amount(least=1, required=True)


class SignupSchema(_Converted):
    """A customer signed up; no money need have moved."""

    kind = choice("signup", required=True)
    amount_minor = amount(load_default=0)


class MilestoneSchema(_Converted):
    """A customer reached something that was agreed on; no money need have moved."""

    kind = choice("milestone", required=True)
    amount_minor = amount(load_default=0)


class RefundSchema(_About):
    """A part or all of a conversion was given back. The conversion may arrive later."""

    kind = choice("refund", required=True)
    refund_id = reference(required=True)
    amount_minor = amount(least=1, required=True)
    currency = currency(required=True)


class DisputeOpenedSchema(_About):
    """The customer disputes a part (`amount_minor`) or all of a conversion."""

    kind = choice("dispute_opened", required=True)
    dispute_id = reference(required=True)
    amount_minor = amount(least=1, load_default=None, allow_none=True)


class DisputeWonSchema(_About):
    """A dispute ended for us."""

    kind = choice("dispute_won", required=True)
    dispute_id = reference(required=True)


class DisputeLostSchema(_About):
    """A dispute ended for the customer."""

    kind = choice("dispute_lost", required=True)
    dispute_id = reference(required=True)


class CancellationSchema(_About):
    """The conversion is taken back as a whole."""

    kind = choice("cancellation", required=True)
    reason = note(load_default=None, allow_none=True)


KINDS: Final[dict[str, Schema]] = {
    "sale": SaleSchema(),
    "renewal": RenewalSchema(),
    "usage": UsageSchema(),
    "signup": SignupSchema(),
    "milestone": MilestoneSchema(),
    "refund": RefundSchema(),
    "dispute_opened": DisputeOpenedSchema(),
    "dispute_won": DisputeWonSchema(),
    "dispute_lost": DisputeLostSchema(),
    "cancellation": CancellationSchema(),
}


class NewConversionSchema(Strict):
    """A conversion, or a fact about one: the shape follows its `kind`."""

    one_of = KINDS

    def load(self, data: Any, **kwargs: Any) -> Any:
        """Load by the schema of the item's kind."""
        if not isinstance(data, dict):
            raise ValidationError("must be an object")
        kind = data.get("kind")
        schema = KINDS.get(kind) if isinstance(kind, str) else None
        if schema is None:
            raise ValidationError({"kind": [f"must be one of: {', '.join(KINDS)}"]})
        return schema.load(data, **kwargs)


class TakenSchema(Strict):
    """A fact that was taken, with its `rewards` where `Prefer: wait=…` was followed and they came in time."""

    conversion_id = Id(required=True)
    program_id = Id(required=True)
    source = Text(required=True)
    external_id = Text(required=True)
    kind = Text(required=True)
    effective_at = Time(required=True)
    rewards = fields.List(fields.Nested(RewardSchema()))


class ItemResultSchema(Strict):
    """What became of one item of a batch."""

    index = Whole(required=True)
    status = choice("new", "duplicate", "conflict", "invalid", required=True)
    conversion_id = Id(allow_none=True)
    problem = fields.Nested(ProblemSchema())


class TotalsSchema(Strict):
    """How many items ended how."""

    new = Whole(required=True)
    duplicate = Whole(required=True)
    conflict = Whole(required=True)
    invalid = Whole(required=True)


class BatchResultSchema(Strict):
    """The answer to a batch: each item for itself, in order."""

    totals = fields.Nested(TotalsSchema(), required=True)
    items = fields.List(fields.Nested(ItemResultSchema()), required=True)


class ConversionSchema(Strict):
    """A conversion as it stands: `amount_minor` less what was refunded or lost in disputes."""

    conversion_id = Id(required=True)
    program_id = Id(required=True)
    customer_id = Id(required=True)
    customer = Text(required=True)
    source = Text(required=True)
    external_id = Text(required=True)
    kind = choice(*CONVERSION_KINDS, required=True)
    product = Text(required=True, allow_none=True)
    amount_minor = Whole(required=True)
    refunded_minor = Whole(required=True)
    lost_minor = Whole(required=True)
    currency = Text(required=True)
    status = Text(required=True)
    effective_at = Time(required=True)
    recorded_at = Time(required=True)


class ConversionFactSchema(Strict):
    """A fact about a conversion."""

    position = Whole(required=True)
    kind = Text(required=True)
    reference = Text(required=True, allow_none=True)
    amount_minor = Whole(required=True, allow_none=True)
    reason = Text(required=True, allow_none=True)
    effective_at = Time(required=True)
    recorded_at = Time(required=True)


class NotRewardedSchema(Strict):
    """Why a conversion earned nothing."""

    reason = Text(required=True)
    detail = Text(required=True)
    recorded_at = Time(required=True)


class ConversionStorySchema(ConversionSchema):
    """A conversion with its facts and what it earned, or why it earned nothing."""

    facts = fields.List(fields.Nested(ConversionFactSchema()), required=True)
    rewards = fields.List(fields.Nested(RewardSchema()), required=True)
    not_rewarded = fields.Nested(NotRewardedSchema(), required=True, allow_none=True)


class ConversionQuery(PageQuery):
    """Which conversions to list."""

    program_id = Id(load_default=None)
    partner_id = Id(load_default=None, metadata={"description": "Those that earned this partner a reward."})
    customer = reference(load_default=None)
    source = reference(load_default=None)
    external_id = reference(load_default=None)
    kind = choice(*CONVERSION_KINDS, load_default=None)
