"""Schemas of closed months and statements. Amounts are whole minor units of `currency`."""

import re
from typing import Final

from marshmallow import fields, validate

from api.schemas.fields import (
    Id,
    PageQuery,
    QueryTime,
    Strict,
    Text,
    Time,
    Whole,
    choice,
    currency,
    text,
)
from api.schemas.money import AsOfQuery
from api.statement_files.locales import PATTERN
from api.statement_formats import FORMATS

_MONTH: Final = re.compile(r"\A[0-9]{4}-(?:0[1-9]|1[0-2])\Z")


def month(**kwargs: object) -> Text:
    """A month, as 2026-10."""
    shape = validate.Regexp(_MONTH, error="must be a month such as 2026-10")
    return Text(
        validate=shape,
        metadata={"pattern": "^[0-9]{4}-(0[1-9]|1[0-2])$", "example": "2026-10"},
        **kwargs,  # type: ignore[arg-type]
    )


class PeriodTotalSchema(Strict):
    """An account of the chart over all partners: what it held, by how much and in how many legs it moved."""

    account = Text(required=True)
    currency = Text(required=True)
    opening_minor = Whole(required=True)
    moved_minor = Whole(required=True)
    legs = Whole(metadata={"description": "How many legs moved it; not told where nobody counted them."})


class PeriodSchema(Strict):
    """A closed month. `statements` counts those that the views show; `statements_complete` is false while a
    closing's statements are issued: send the closing again, and it goes on."""

    program_id = Id(required=True)
    period = month(required=True)
    begins_at = Time(required=True)
    ends_at = Time(required=True, metadata={"description": "The first moment of the next month."})
    time_zone = Text(required=True)
    through_position = Whole(required=True, metadata={"description": "What the log held up to there counts."})
    totals = fields.List(fields.Nested(PeriodTotalSchema()), required=True)
    closed_by = Text(required=True)
    reason = Text(required=True, allow_none=True)


class ListedPeriodSchema(PeriodSchema):
    """A closed month, when it was closed, and how many statements were issued for it, corrections too."""

    closed_at = Time(required=True)
    statements = Whole(required=True)


class ClosedPeriodSchema(PeriodSchema):
    """A month that is closed now. `statements_issued` were issued by this request; if not all were,
    `statements_complete` is false: send it again, and it goes on."""

    statements_issued = Whole(required=True)
    statements_complete = fields.Boolean(required=True)


class ClosePeriodSchema(Strict):
    """Which month to close."""

    period = month(required=True)
    reason = text(1_000, load_default=None, allow_none=True)


class AmountsSchema(Strict):
    """The columns of a balance, or by how much it moved."""

    pending_minor = Whole(required=True)
    available_minor = Whole(required=True)
    in_transit_minor = Whole(required=True)
    paid_minor = Whole(required=True)
    clawback_minor = Whole(required=True)
    withheld_minor = Whole(required=True)
    earned_minor = Whole(required=True)


class StatementProgramSchema(Strict):
    """The program."""

    program_id = Id(required=True)
    reference = Text(required=True)
    name = Text(required=True)
    time_zone = Text(required=True)


class StatementPartnerSchema(Strict):
    """The partner."""

    partner_id = Id(required=True)
    reference = Text(required=True)
    name = Text(required=True)
    email = Text(required=True, allow_none=True)
    country = Text(required=True, allow_none=True)
    locale = Text(required=True, allow_none=True)


class StatementPeriodSchema(Strict):
    """The month."""

    period = month(required=True)
    begins_at = Time(required=True)
    ends_at = Time(required=True)
    closed_at = Time(required=True, allow_none=True)


class StatedLineSchema(Strict):
    """A fact that moved the partner's money. `belongs_to`: the closed month in which it was true."""

    position = Whole(required=True)
    effective_at = Time(required=True)
    recorded_at = Time(required=True)
    kind = Text(required=True)
    moved = fields.Nested(AmountsSchema(), required=True)
    conversion_id = Id(required=True, allow_none=True)
    source = Text(required=True, allow_none=True)
    external_id = Text(required=True, allow_none=True)
    reward_id = Id(required=True, allow_none=True)
    payout_id = Id(required=True, allow_none=True)
    reason = Text(required=True, allow_none=True)
    belongs_to = Text(required=True, allow_none=True)


class StatementPayoutSchema(Strict):
    """A payout of which a line tells, as it stood then."""

    payout_id = Id(required=True)
    state = Text(required=True)
    provider = Text(required=True)
    amount_minor = Whole(required=True)
    withheld_minor = Whole(required=True)
    net_minor = Whole(required=True)
    reference = Text(required=True, allow_none=True)
    intent_at = Time(required=True, allow_none=True)
    confirmed_at = Time(required=True, allow_none=True)
    paid_at = Time(required=True, allow_none=True)


class DifferenceSchema(Strict):
    """What a correction says otherwise, by JSON pointer."""

    pointer = Text(required=True)
    was = Text(required=True, allow_none=True)
    now = Text(required=True, allow_none=True)


class StatementSchema(Strict):
    """One partner's month: opening + lines = closing. See docs/statements.md."""

    content_version = Whole(required=True, metadata={"description": "The form that the hash is of."})
    number = Text(required=True, metadata={"description": "`preview` while the month is open."})
    version = Whole(required=True, metadata={"description": "From 2 on it is a correction."})
    program = fields.Nested(StatementProgramSchema(), required=True)
    partner = fields.Nested(StatementPartnerSchema(), required=True)
    period = fields.Nested(StatementPeriodSchema(), required=True)
    currency = Text(required=True)
    opening = fields.Nested(AmountsSchema(), required=True)
    closing = fields.Nested(AmountsSchema(), required=True)
    lines = fields.List(fields.Nested(StatedLineSchema()), required=True)
    payouts = fields.List(fields.Nested(StatementPayoutSchema()), required=True)
    tax_withheld_minor = Whole(required=True)
    issued_at = Time(required=True, allow_none=True)
    issued_by = Text(required=True, allow_none=True)
    issued_position = Whole(required=True, allow_none=True)
    content_sha256 = Text(required=True, allow_none=True)
    checkpoint = Text(required=True, allow_none=True)
    corrects = Text(required=True, allow_none=True)
    reason = Text(required=True, allow_none=True)
    differs = fields.List(fields.Nested(DifferenceSchema()), required=True)


class ListedStatementSchema(Strict):
    """A statement in a list: what it is called, and its balances."""

    statement_id = Id(required=True)
    number = Text(required=True)
    version = Whole(required=True)
    corrects = Id(required=True, allow_none=True)
    program_id = Id(required=True)
    partner_id = Id(required=True)
    period = month(required=True)
    currency = Text(required=True)
    opening = fields.Nested(AmountsSchema(), required=True)
    closing = fields.Nested(AmountsSchema(), required=True)
    lines = Whole(required=True, metadata={"description": "How many it has."})
    content_sha256 = Text(required=True)
    issued_at = Time(required=True)
    issued_by = Text(required=True)
    reason = Text(required=True, allow_none=True)


class IssuedQuery(Strict):
    """As it is, or as it was: a statement is true, and known, from its issue on."""

    effective_as_of = QueryTime(
        load_default=None, metadata={"description": "Only what was issued by this time. Default: all."}
    )
    recorded_as_of = QueryTime(
        load_default=None,
        metadata={"description": "The same: an issue is recorded when it is made. Default: all."},
    )


class StatementQuery(PageQuery, IssuedQuery):
    """Which statements."""

    program_id = Id(load_default=None)
    partner_id = Id(load_default=None)
    period = month(load_default=None)
    currency = currency(load_default=None)


class FormatQuery(Strict):
    """How to write a statement."""

    format = choice(
        *FORMATS, load_default=None, metadata={"description": "Default: what `Accept` asks for, else JSON."}
    )
    locale = Text(
        load_default=None,
        validate=validate.Regexp(
            PATTERN.replace("$", r"\Z"), error="must be a language that we have, as de-AT"
        ),
        metadata={
            "pattern": PATTERN,
            "example": "de-AT",
            "description": "That of a PDF or workbook. Default: the partner's, else by Accept-Language.",
        },
    )


class OneStatementQuery(FormatQuery, IssuedQuery):
    """How to write it, if it was there by then."""


class PreviewQuery(FormatQuery, AsOfQuery):
    """Of which program's open month, as it is or as it was."""

    program_id = Id(required=True)
    period = month(required=True)
    currency = currency(load_default=None, metadata={"description": "Default: the program's."})
