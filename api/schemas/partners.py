"""Schemas of partners and of their agreements."""

from typing import get_args

from marshmallow import fields, validate

from api.schemas.fields import Id, PageQuery, Strict, Text, Time, Whole, choice, reference, text
from ledger.events.partner import PayoutHoldCause
from ledger.partner import PartnerStatus

STATUSES = get_args(PartnerStatus)
HOLD_CAUSES = get_args(PayoutHoldCause)


class NewPartnerSchema(Strict):
    """An application."""

    reference = reference(required=True)
    name = text(200, required=True)
    email = text(254, load_default=None, allow_none=True)
    country = text(2, load_default=None, allow_none=True)


class PayoutAccountSchema(Strict):
    """Where a partner's money goes: an account of a provider (`acct_…` of Stripe)."""

    provider = Text(load_default="stripe")
    destination = text(200, required=True)


class MembershipSchema(Strict):
    """The group of a partner in a program; null takes it out."""

    program_id = Id(required=True)
    partner_group = text(64, load_default=None, allow_none=True)


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
