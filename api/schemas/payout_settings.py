"""Schemas of how a program pays out."""

from typing import Any, get_args

from marshmallow import fields, post_load, validate

from api.schemas.fields import Id, Strict, Whole, amount, choice, text
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


class PayoutSettingsSchema(NewPayoutSettingsSchema):
    """How a program pays out."""

    program_id = Id(required=True)
