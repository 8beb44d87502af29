"""Schemas of rewards, balances and the journal. Amounts are whole minor units of `currency`."""

from typing import Any, get_args

from marshmallow import ValidationError, fields, post_load, validate

from api.schemas.fields import Id, PageQuery, QueryTime, Strict, Text, Time, Whole, choice
from api.schemas.partners import PayoutHoldSchema
from ledger.postings import Account
from projections.queries.conversions import RewardStage


class CapSchema(Strict):
    """A limit that cut a reward."""

    kind = Text(required=True)
    limit_minor = Whole(required=True)
    left_minor = Whole(required=True)
    period = Text(allow_none=True)


class RewardSchema(Strict):
    """What a conversion earned a partner, and everything that made the number."""

    reward_id = Id(required=True)
    conversion_id = Id(required=True)
    program_id = Id(required=True)
    partner_id = Id(required=True)
    customer_id = Id(required=True)
    amount_minor = Whole(required=True)
    reversed_minor = Whole(required=True)
    stage = Text(required=True)
    currency = Text(required=True)
    basis_minor = Whole(required=True)
    share_bps = Whole(required=True)
    rate_bps = Whole(required=True, allow_none=True)
    flat_minor = Whole(required=True, allow_none=True)
    terms_version = Whole(required=True)
    rule = Whole(required=True)
    caps = fields.List(fields.Nested(CapSchema()), required=True)
    reason = Text(required=True)
    effective_at = Time(required=True)
    recorded_at = Time(required=True)
    matures_at = Time(required=True)
    matured_at = Time(required=True, allow_none=True)


class AsOfQuery(Strict):
    """As it is, or as it was: what was true by one time, as far as it was known by another."""

    effective_as_of = QueryTime(
        load_default=None,
        metadata={"description": "Only what was true by this time, whenever it was told. Default: all."},
    )
    recorded_as_of = QueryTime(
        load_default=None,
        metadata={"description": "Only what was recorded by this time, as it was known then. Default: all."},
    )


class PastPageQuery(PageQuery, AsOfQuery):
    """A list that can be asked for as it was. A page may then hold fewer items than `limit`, or none:
    follow `next` until it is null."""


class RewardQuery(PastPageQuery):
    """Which rewards to list."""

    program_id = Id(load_default=None)
    partner_id = Id(load_default=None)
    conversion_id = Id(load_default=None)
    stage = choice(*get_args(RewardStage), load_default=None)


class BalanceSchema(Strict):
    """A partner's money in one program and currency."""

    program_id = Id(required=True)
    partner_id = Id(required=True)
    currency = Text(required=True)
    earned_minor = Whole(required=True, metadata={"description": "Net of reversals and clawbacks."})
    pending_minor = Whole(required=True)
    available_minor = Whole(required=True)
    in_transit_minor = Whole(required=True)
    paid_minor = Whole(required=True)
    clawback_minor = Whole(required=True)
    withheld_minor = Whole(required=True)
    payout_holds = fields.List(
        fields.Nested(PayoutHoldSchema()),
        metadata={"description": "Why nothing is paid to the partner now. Not told of the past."},
    )


class BalancesQuery(PastPageQuery):
    """Balances as they are, or as they were."""

    as_of = QueryTime(
        load_default=None,
        metadata={"description": "The older spelling of `recorded_as_of`.", "deprecated": True},
    )

    @post_load
    def _one_spelling(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        older = data.pop("as_of")
        if older is not None and data["recorded_as_of"] is not None:
            raise ValidationError("is the older spelling of recorded_as_of: give one of them", "as_of")
        return data if older is None else {**data, "recorded_as_of": older}


class ProgramBalancesQuery(BalancesQuery):
    """The balances of a program."""

    partner_id = Id(load_default=None)


class PartnerBalancesQuery(BalancesQuery):
    """The balances of a partner."""

    program_id = Id(load_default=None)


class LegSchema(Strict):
    """One leg of the journal: debit positive, credit negative. Legs of a position sum to zero."""

    position = Whole(required=True)
    leg = Whole(required=True)
    account = Text(required=True)
    amount_minor = Whole(required=True)
    currency = Text(required=True)
    program_id = Id(required=True)
    partner_id = Id(required=True)
    posting_version = Whole(required=True)
    effective_at = Time(required=True)
    recorded_at = Time(required=True)
    reward_id = Id(required=True, allow_none=True)
    payout_id = Id(required=True, allow_none=True)
    conversion_id = Id(required=True, allow_none=True)


class LegQuery(PastPageQuery):
    """Which legs to list."""

    program_id = Id(load_default=None)
    partner_id = Id(load_default=None)
    account = choice(*get_args(Account), load_default=None)
    reward_id = Id(load_default=None)
    payout_id = Id(load_default=None)
    conversion_id = Id(load_default=None)


class WriteOffSchema(Strict):
    """A part (or all) of what a partner owes us, to be given up."""

    program_id = Id(required=True)
    currency = Text(required=True, validate=validate.Length(3, 3))
    amount_minor = Whole(required=True, validate=validate.Range(1, 10**12))
    reason = Text(required=True, validate=validate.Length(1, 1_000))


class WrittenOffSchema(WriteOffSchema):
    """What was given up."""

    write_off_id = Id(required=True)
