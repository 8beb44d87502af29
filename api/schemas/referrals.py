"""Schemas of referral codes, referrals and customers."""

from typing import Any

from marshmallow import fields, validate

from api.schemas.conversions import TotalsSchema
from api.schemas.fields import Id, PageQuery, Strict, Text, Time, Whole, choice, reference, text
from api.schemas.problems import ProblemSchema


def _code(**kwargs: Any) -> Text:
    shape = validate.Regexp(r"\A[A-Za-z0-9_-]{2,64}\Z", error="must be 2 to 64 letters, digits, _ or -")
    return Text(validate=shape, metadata={"pattern": "^[A-Za-z0-9_-]{2,64}$"}, **kwargs)


class NewReferralCodeSchema(Strict):
    """A code to give a partner; its link is /r/{code}."""

    program_id = Id(required=True)
    partner_id = Id(required=True)
    code = _code(required=True)
    landing_url = text(2_000, load_default=None, allow_none=True)


class ReferralCodeSchema(Strict):
    """A partner's code, and how often its link was followed."""

    code = Text(required=True)
    program_id = Id(required=True)
    partner_id = Id(required=True)
    landing_url = Text(required=True, allow_none=True)
    touches = Whole(metadata={"description": "Told in lists."})
    last_touched_at = Time(allow_none=True)


class OwnedQuery(PageQuery):
    """Of which program and partner to list."""

    program_id = Id(load_default=None)
    partner_id = Id(load_default=None)


class NewReferralSchema(Strict):
    """A customer that a partner brought: by `partner_id`, `partner` (reference), `code` or `touch_id`."""

    program_id = Id(required=True)
    customer = reference(required=True)
    via = choice("code", "link", "registration", "lead", load_default="registration")
    partner_id = Id(load_default=None, allow_none=True)
    partner = reference(load_default=None, allow_none=True)
    code = _code(load_default=None, allow_none=True)
    touch_id = Id(load_default=None, allow_none=True)
    reference = reference(load_default=None, allow_none=True)
    company = text(200, load_default=None, allow_none=True)
    contact = text(200, load_default=None, allow_none=True)
    note = text(1_000, load_default=None, allow_none=True)
    effective_at = Time(load_default=None, allow_none=True)


class ReferralSchema(Strict):
    """A customer brought by a partner: one touch."""

    referral_id = Id(required=True)
    program_id = Id(required=True)
    customer = Text(required=True)
    partner_id = Id(required=True)
    via = Text(required=True)
    code = Text(required=True, allow_none=True)
    touch_id = Id(required=True, allow_none=True)
    company = Text(required=True, allow_none=True)
    contact = Text(required=True, allow_none=True)
    note = Text(required=True, allow_none=True)
    effective_at = Time(required=True)


class ReferralQuery(OwnedQuery):
    """Which referrals to list."""

    customer = reference(load_default=None)


class ShareSchema(Strict):
    """One partner's part of a customer."""

    partner_id = Id(required=True)
    share_bps = Whole(required=True, validate=validate.Range(1, 10_000))


class ReattributionSchema(Strict):
    """For whom a customer counts from `effective_at` on. No shares: for nobody."""

    program_id = Id(
        load_default=None, metadata={"description": "Where no referral told of the customer yet."}
    )
    customer = reference(load_default=None)
    shares = fields.List(fields.Nested(ShareSchema()), required=True)
    reason = text(1_000, required=True)
    effective_at = Time(load_default=None, allow_none=True)


class ReattributedSchema(Strict):
    """A decision of finance about a customer."""

    shares = fields.List(fields.Nested(ShareSchema()), required=True)
    reason = Text(required=True)
    effective_at = Time(required=True)


class CustomerSchema(Strict):
    """A customer with everything that says for whom it counts: its touches, and what finance decided."""

    customer_id = Id(required=True)
    program_id = Id(required=True)
    customer = Text(required=True)
    referrals = fields.List(fields.Nested(ReferralSchema()), required=True)
    reattributions = fields.List(fields.Nested(ReattributedSchema()), required=True)


class CustomerQuery(OwnedQuery):
    """Which customers to list."""

    customer = reference(load_default=None)


class CustomerRowSchema(Strict):
    """A customer in a list."""

    customer_id = Id(required=True)
    program_id = Id(required=True)
    customer = Text(required=True)
    last_partner_id = Id(required=True, allow_none=True)
    last_referral_at = Time(required=True, allow_none=True)
    reattributed_at = Time(required=True, allow_none=True)


class ReferralResultSchema(Strict):
    """What became of one referral of a batch."""

    index = Whole(required=True)
    status = choice("new", "duplicate", "conflict", "invalid", required=True)
    referral_id = Id()
    problem = fields.Nested(ProblemSchema())


class ReferralBatchResultSchema(Strict):
    """The answer to a batch of referrals: each for itself, in order."""

    totals = fields.Nested(TotalsSchema(), required=True)
    items = fields.List(fields.Nested(ReferralResultSchema()), required=True)
