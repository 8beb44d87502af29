"""Schemas of partners and of their agreements."""

from typing import get_args

from marshmallow import fields, validate

from api.schemas.fields import Id, PageQuery, QueryWhole, Strict, Text, Time, Whole, choice, reference, text
from ledger.events.partner import PayoutHoldCause, TaxForm
from ledger.partner import PartnerStatus
from payouts.eligibility import ObstacleCode

STATUSES = get_args(PartnerStatus)
HOLD_CAUSES = get_args(PayoutHoldCause)


class NewPartnerSchema(Strict):
    """An application."""

    reference = reference(required=True)
    name = text(200, required=True)
    email = text(254, load_default=None, allow_none=True)
    country = text(2, load_default=None, allow_none=True)


class PayoutAccountSchema(Strict):
    """Where a partner's money goes: an account of Stripe (`acct_…`), or a bank account, its IBAN masked."""

    provider = Text(load_default="stripe")
    destination = text(200, required=True)


class OnboardingSchema(Strict):
    """An account to link (`destination`), or none: then one is made, and its owner gets a link."""

    provider = choice("stripe", load_default="stripe")
    destination = text(200, load_default=None, allow_none=True)
    return_url = text(
        2_000,
        load_default=None,
        allow_none=True,
        metadata={"description": "Where the partner comes back to."},
    )
    refresh_url = text(
        2_000,
        load_default=None,
        allow_none=True,
        metadata={"description": "Where it is led when the link has ended; default: `return_url`."},
    )


class LinkWishSchema(Strict):
    """Where a partner is led after its visit to the provider."""

    return_url = text(2_000, load_default=None, allow_none=True)
    refresh_url = text(2_000, load_default=None, allow_none=True)


class LinkSchema(Strict):
    """A link to the provider, for one visit within minutes."""

    url = Text(required=True)
    expires_at = Time(required=True)


class ObstacleSchema(Strict):
    """One reason why a partner can't be paid now."""

    code = choice(*get_args(ObstacleCode), required=True)
    detail = Text(required=True)


class NewTaxFormSchema(Strict):
    """A tax form that is on file. The form itself stays where `reference` says."""

    form = choice(*get_args(TaxForm), required=True)
    reference = reference(required=True)
    effective_at = Time(required=True, metadata={"description": "When it was signed."})


class TaxFormSchema(Strict):
    """A tax form on file."""

    form = choice(*get_args(TaxForm), required=True)
    reference = Text(required=True)
    effective_at = Time(required=True)
    expires_at = Time(required=True, allow_none=True)


class PayoutAccountStateSchema(Strict):
    """Where a partner's money goes, how that account stood when it was looked at, and what is in the way."""

    partner_id = Id(required=True)
    provider = Text(required=True, allow_none=True)
    destination = Text(required=True, allow_none=True)
    seen_at = Time(required=True, allow_none=True)
    transfers_active = fields.Boolean(required=True)
    payouts_enabled = fields.Boolean(required=True)
    disabled_reason = Text(required=True, allow_none=True)
    currently_due = fields.List(Text(), required=True)
    country = Text(required=True, allow_none=True)
    default_currency = Text(required=True, allow_none=True)
    tax_forms = fields.List(fields.Nested(TaxFormSchema()), required=True)
    obstacles = fields.List(fields.Nested(ObstacleSchema()), required=True)
    onboarding_link = fields.Nested(
        LinkSchema(), required=True, allow_none=True, metadata={"description": "Told once, when it is made."}
    )


class ReportedPartnerSchema(Strict):
    """A partner whose payments of a year are reported to the tax office."""

    partner_id = Id(required=True)
    reference = Text(required=True)
    name = Text(required=True)
    country = Text(required=True, allow_none=True)
    currency = Text(required=True)
    paid_minor = Whole(required=True)
    threshold_minor = Whole(required=True)


class TaxReportQuery(PageQuery):
    """Of which year."""

    year = QueryWhole(required=True, validate=validate.Range(1970, 9_999))


class MembershipSchema(Strict):
    """The group of a partner in a program; null takes it out."""

    program_id = Id(required=True)
    partner_group = text(64, load_default=None, allow_none=True)


class LocaleSchema(Strict):
    """In which language and number format a partner is written to; null: in none of its own."""

    locale = text(20, required=True, allow_none=True, metadata={"example": "de-AT"})


class PayoutHoldSchema(Strict):
    """Why nothing is drafted for a partner or sent to it. Each cause is lifted by itself."""

    cause = choice(*HOLD_CAUSES, required=True)
    reason = Text(required=True)


class ResumedSchema(Strict):
    """A cause to lift."""

    cause = choice(*HOLD_CAUSES, load_default="finance")
    note = text(1_000, load_default=None, allow_none=True)


class PartnerSchema(Strict):
    """A partner: a business that refers customers."""

    partner_id = Id(required=True)
    reference = Text(required=True)
    name = Text(required=True)
    email = Text(required=True, allow_none=True)
    country = Text(required=True, allow_none=True)
    status = choice(*STATUSES, required=True)
    status_note = Text(required=True, allow_none=True)
    payout_account = fields.Nested(PayoutAccountSchema(), required=True, allow_none=True)
    payout_holds = fields.List(
        fields.Nested(PayoutHoldSchema()),
        required=True,
        metadata={"description": "While there is any, nothing is paid to the partner."},
    )
    locale = Text(
        allow_none=True,
        metadata={"description": "As in BCP 47. Told of one partner, not in lists."},
    )
    groups = fields.List(
        fields.Nested(MembershipSchema()), metadata={"description": "Told of one partner, not in lists."}
    )


class PartnerQuery(PageQuery):
    """Which partners to list."""

    reference = reference(load_default=None)
    status = choice(*STATUSES, load_default=None)
    program_id = Id(load_default=None, metadata={"description": "With an agreement of this program."})
    partner_group = text(64, load_default=None)


class NoteSchema(Strict):
    """A remark, which can be left out."""

    note = text(1_000, load_default=None, allow_none=True)


class ReasonSchema(Strict):
    """A reason, which must be given."""

    reason = text(1_000, required=True)


class NewAgreementSchema(Strict):
    """A partner's acceptance of a version of a program's terms."""

    program_id = Id(required=True)
    partner_id = Id(required=True)
    terms_version = Whole(required=True, validate=validate.Range(1, 2**31))
    accepted_by = text(200, required=True, metadata={"description": "Who accepted, for the partner."})
    effective_at = Time(load_default=None, allow_none=True)


class EndAgreementSchema(Strict):
    """The end of an agreement."""

    program_id = Id(required=True)
    partner_id = Id(required=True)
    reason = text(1_000, required=True)
    effective_at = Time(load_default=None, allow_none=True)


class AgreementSchema(Strict):
    """A partner's agreement with a program, as it was last accepted or ended."""

    agreement_id = Id(required=True)
    program_id = Id(required=True)
    partner_id = Id(required=True)
    status = choice("active", "ended", required=True)
    terms_version = Whole(required=True)
    accepted_by = Text(required=True)
    effective_at = Time(required=True)
    ended_at = Time(required=True, allow_none=True)
    end_reason = Text(required=True, allow_none=True)


class AgreementQuery(PageQuery):
    """Which agreements to list."""

    program_id = Id(load_default=None)
    partner_id = Id(load_default=None)
