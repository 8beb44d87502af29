"""Schemas of how a program pays out."""

from typing import Any, get_args

from marshmallow import fields, post_load, validate

from api.schemas.fields import Id, Strict, Text, Time, Whole, amount, choice, reference, text
from ledger.events.program import CountryWithholding, PayoutPeriod, PayoutSchedule
from ledger.money import FULL_SHARE_BPS


class ScheduleSchema(Strict):
    """The calendar by which payouts are drafted."""

    every = choice(*get_args(PayoutPeriod), required=True)
    day = Whole(
        required=True,
        validate=validate.Range(1, 31),
        metadata={
            "description": "Of the month, or its last one where it is shorter; of the week, 1 (Monday) to 7."
        },
    )
    time_zone = text(
        100, required=True, metadata={"description": "Of the IANA database.", "example": "Europe/London"}
    )
    hour = Whole(
        load_default=6,
        validate=validate.Range(0, 23),
        metadata={"description": "Of the day there, from when on payouts are drafted."},
    )

    @post_load
    def _made(self, loaded: dict[str, Any], **_: Any) -> PayoutSchedule:
        return PayoutSchedule(**loaded)


class WithholdingSchema(Strict):
    """What is withheld as tax from the payouts of partners in a country."""

    country = text(2, required=True, metadata={"description": "ISO 3166 alpha-2.", "example": "GB"})
    rate_bps = Whole(
        required=True,
        validate=validate.Range(0, FULL_SHARE_BPS - 1),
        metadata={"description": "In basis points: 2000 is 20%."},
    )

    @post_load
    def _made(self, loaded: dict[str, Any], **_: Any) -> CountryWithholding:
        return CountryWithholding(**loaded)


class NewPayoutSettingsSchema(Strict):
    """How a program is to pay out: the whole. What is left out is none."""

    schedule = fields.Nested(
        ScheduleSchema(),
        load_default=None,
        allow_none=True,
        metadata={"description": "Null: batches are drafted on demand alone."},
    )
    minimum_minor = amount(
        load_default=None,
        allow_none=True,
        metadata={"description": "Less than this waits; the terms' minimum holds all the same."},
    )
    second_approval_over_minor = amount(
        load_default=None,
        allow_none=True,
        metadata={"description": "A batch of more than this needs two checkers. Null: one is enough."},
    )
    withholding = fields.List(
        fields.Nested(WithholdingSchema()),
        load_default=(),
        metadata={"description": "By country; what is said of one partner goes before."},
    )
    us_source = fields.Boolean(
        load_default=False,
        truthy={True},
        falsy={False},
        metadata={
            "description": "Whether it is income from the US: then partners elsewhere need a W-8, too."
        },
    )


class DueDateSchema(Strict):
    """A date of the calendar, and the moment from which on its batch is drafted."""

    on = fields.Date(required=True)
    at = Time(required=True)


class LastDueDateSchema(DueDateSchema):
    """The last date, and its batch: `passed`: nobody was due; `none`: the views have not caught up yet."""

    status = Text(required=True)
    batch_id = Id(required=True, allow_none=True)


class PayoutSettingsSchema(NewPayoutSettingsSchema):
    """How a program pays out, and where its calendar stands."""

    program_id = Id(required=True)
    next_due = fields.Nested(DueDateSchema(), required=True, allow_none=True)
    last_due = fields.Nested(LastDueDateSchema(), required=True, allow_none=True)
    withholding_remitted_through = Time(required=True, allow_none=True)


class RemittanceSchema(Strict):
    """That the tax withheld from a program's payouts up to a time is with the tax office."""

    through = Time(required=True)
    reference = reference(
        required=True, metadata={"description": "The payment or the filing by which it went there."}
    )


class NewPartnerWithholdingSchema(Strict):
    """What is to be withheld from a partner's payouts."""

    rate_bps = Whole(
        required=True,
        allow_none=True,
        validate=validate.Range(0, FULL_SHARE_BPS - 1),
        metadata={"description": "2000 is 20%. Null: what its program says of its country."},
    )
    reason = text(1_000, required=True)
    effective_at = Time(
        load_default=None, allow_none=True, metadata={"description": "For drafts from then on; default: now."}
    )


class PartnerWithholdingSchema(Strict):
    """What was said of a partner: `rate_bps` holds now, null being its country's; `said` is all, in order."""

    partner_id = Id(required=True)
    rate_bps = Whole(required=True, allow_none=True)
    said = fields.List(fields.Nested(NewPartnerWithholdingSchema()), required=True)
