"""Schemas of reconciliations: runs, their totals and items, and the reasons that end differences."""

from marshmallow import fields, validate

from api.schemas.fields import Id, PageQuery, Strict, Text, Time, Whole, choice, reference, text
from payouts.reconciliation import IN_TIME, VERDICTS

IN_TIME_S = int(IN_TIME.total_seconds())


class NewReconciliationSchema(Strict):
    """A time to reconcile. Without a beginning it starts where the last clean one ended."""

    period_from = Time(load_default=None, allow_none=True)
    period_to = Time(load_default=None, allow_none=True, metadata={"description": "Not in it; default: now."})
    in_time_s = Whole(
        load_default=IN_TIME_S,
        validate=validate.Range(0, 30 * 86_400),
        metadata={"description": "How young an entry may be while the other side need not have it yet."},
    )


class TotalSchema(Strict):
    """What each side says by currency, kind and verdict; below zero: it left the balance."""

    currency = Text(required=True)
    kind = Text(required=True)
    verdict = choice(*VERDICTS, required=True)
    items = Whole(required=True)
    theirs_minor = Whole(required=True)
    ours_minor = Whole(required=True)
    difference_minor = Whole(required=True)


class ReconciliationSchema(Strict):
    """One run. `differences` of zero: nobody has to look at anything."""

    reconciliation_id = Id(required=True)
    provider = Text(required=True)
    period_from = Time(required=True)
    period_to = Time(required=True)
    in_time_s = Whole(required=True)
    differences = Whole(required=True)
    items = Whole(required=True)
    counts = fields.Dict(keys=Text(), values=Whole(), required=True)
    totals = fields.List(fields.Nested(TotalSchema()), required=True)
    items_hash = Text(required=True)
    made_by = Text(required=True)
    recorded_at = Time(required=True)


class ReconciliationItemSchema(Strict):
    """An entry of either side, or two that belong together."""

    number = Whole(required=True)
    verdict = choice(*VERDICTS, required=True)
    is_difference = fields.Boolean(required=True, metadata={"description": "Whether somebody has to look."})
    kind = Text(required=True)
    reference = Text(required=True)
    currency = Text(required=True)
    theirs_minor = Whole(required=True, allow_none=True)
    ours_minor = Whole(required=True, allow_none=True)
    differs = fields.List(Text(), required=True)
    transaction_id = Text(required=True, allow_none=True)
    transfer_id = Text(required=True, allow_none=True)
    payout_id = Id(required=True, allow_none=True)
    theirs_at = Time(required=True, allow_none=True)
    ours_at = Time(required=True, allow_none=True)
    theirs_destination = Text(required=True, allow_none=True)
    ours_destination = Text(required=True, allow_none=True)
    resolution = Text(required=True, allow_none=True)


class ReconciliationQuery(PageQuery):
    """Which runs to list."""


class ReconciliationItemQuery(PageQuery):
    """Which items to list."""

    verdict = choice(*VERDICTS, load_default=None)


class DifferenceReasonSchema(Strict):
    """A human's reason for a difference, by its reference."""

    reference = reference(required=True)
    reason = text(1_000, required=True)
