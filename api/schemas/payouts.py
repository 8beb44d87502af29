"""Schemas of payout batches and payouts."""

from typing import get_args

from marshmallow import fields, validate

from api.schemas.fields import Id, PageQuery, Strict, Text, Time, Whole, amount, choice, text
from ledger.payout import PayoutStatus
from payouts.outlook import Next


class NewBatchSchema(Strict):
    """A batch to draft: of every account of the program that is due a payout."""

    program_id = Id(required=True)
    minimum_minor = amount(
        load_default=None,
        allow_none=True,
        metadata={"description": "Leave out accounts below this; the terms' minimum holds all the same."},
    )


class ApprovalSchema(Strict):
    """An approval of a batch as it was looked at."""

    content_hash = Text(required=True, validate=validate.Length(1, 200))


class ApprovalShownSchema(Strict):
    """Who approved: under which key, and the person that it names."""

    by = Text(required=True)
    person = Text(required=True, allow_none=True)


class PayoutSchema(Strict):
    """One partner's part of a batch."""

    payout_id = Id(required=True)
    batch_id = Id(required=True)
    program_id = Id(required=True)
    partner_id = Id(required=True)
    status = Text(required=True)
    amount_minor = Whole(required=True, metadata={"description": "What leaves the partner's account."})
    withheld_minor = Whole(required=True, metadata={"description": "Of it, kept back as tax."})
    withholding_bps = Whole(required=True)
    net_minor = Whole(required=True, metadata={"description": "What is sent: the rest of the amount."})
    currency = Text(required=True)
    provider = Text(required=True)
    destination = Text(
        required=True,
        metadata={"description": "An IBAN is masked in lists, and for others than finance."},
    )
    attempt = Whole(required=True)
    transfer_id = Text(required=True, allow_none=True)
    reason = Text(
        required=True, allow_none=True, metadata={"description": "Why it stands where it does, if told."}
    )


class SkippedSchema(Strict):
    """A partner with money available that a batch leaves out, and why."""

    partner_id = Id(required=True)
    reason = Text(required=True)
    available_minor = Whole(required=True)


class BatchSchema(Strict):
    """A payout batch. Whoever drafted it can't approve it, by any key that names the same person."""

    batch_id = Id(required=True)
    program_id = Id(required=True)
    status = Text(required=True)
    currency = Text(required=True)
    total_minor = Whole(required=True)
    withheld_minor = Whole(required=True, metadata={"description": "Of the total, kept back as tax."})
    content_hash = Text(required=True)
    made_by = Text(required=True)
    made_by_person = Text(required=True, allow_none=True)
    due_on = fields.Date(
        required=True,
        allow_none=True,
        metadata={"description": "The date for which the program's schedule drafted it."},
    )
    approved_by = Text(required=True, allow_none=True)
    send_asked_at = Time(
        required=True,
        allow_none=True,
        metadata={"description": "When somebody last asked that it be sent now."},
    )
    paused_reason = Text(
        required=True,
        allow_none=True,
        metadata={"description": "Why no more of it is sent now; it goes on by itself."},
    )
    approvals = fields.List(fields.Nested(ApprovalShownSchema()), required=True)
    approvals_needed = Whole(
        required=True, metadata={"description": "Two where the total is above the program's limit."}
    )
    payouts = fields.List(fields.Nested(PayoutSchema()), metadata={"description": "Told of one batch."})
    skipped = fields.List(fields.Nested(SkippedSchema()), metadata={"description": "Told by the draft."})


class OutlookSchema(Strict):
    """A payout's next step: it is sent, asked for again, waits for something, or is done."""

    payout_id = Id(required=True)
    partner_id = Id(required=True)
    status = Text(required=True)
    net_minor = Whole(required=True)
    currency = Text(required=True)
    provider = Text(required=True)
    next = choice(*get_args(Next), required=True)
    waits_for = Text(required=True, allow_none=True)


class BatchOutlookSchema(Strict):
    """What the worker sends of a batch when it looks at it next."""

    batch_id = Id(required=True)
    status = Text(required=True)
    to_send = Whole(required=True)
    to_send_minor = Whole(required=True)
    currency = Text(required=True)
    payouts = fields.List(fields.Nested(OutlookSchema()), required=True)


class BatchQuery(PageQuery):
    """Which batches to list."""

    program_id = Id(load_default=None)


class PayoutQuery(PageQuery):
    """Which payouts to list."""

    program_id = Id(load_default=None)
    partner_id = Id(load_default=None)
    batch_id = Id(load_default=None)
    status = choice(*(status for status in get_args(PayoutStatus) if status != "none"), load_default=None)


class LineSchema(Strict):
    """One fact of the account that a payout's amount is made of; below zero where it takes."""

    account_version = Whole(required=True)
    position = Whole(required=True)
    kind = Text(required=True)
    amount_minor = Whole(required=True)
    effective_at = Time(required=True)
    recorded_at = Time(required=True)
    reward_id = Id(required=True, allow_none=True)
    conversion_id = Id(required=True, allow_none=True)
    payout_id = Id(required=True, allow_none=True)


class ResolutionSchema(Strict):
    """How a payout stands whose outcome nobody learned, as somebody found who looked at the provider's."""

    outcome = choice("confirmed", "absent", required=True)
    transfer_id = text(100, load_default=None, allow_none=True)
    reason = text(1_000, required=True)


class PayoutStorySchema(PayoutSchema):
    """A payout with its lines: they sum to its amount, to the last cent."""

    lines = fields.List(fields.Nested(LineSchema()), required=True)
