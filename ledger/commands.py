"""Wishes, in the imperative. `ledger.desk` grants or refuses them; a refusal is one of ledger.refusals."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec

from ledger.events.access import Scope
from ledger.events.base import AwareTime
from ledger.events.conversion import ConversionKind
from ledger.events.partner import PayoutHoldCause, TaxForm
from ledger.events.program import ProgramType
from ledger.events.referral import ReferralVia
from ledger.money import AMOUNT_MINOR_MAX


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Something that somebody asks for."""


# Programs


class CreateProgram(Command, frozen=True, kw_only=True):
    """Set a program up. The same reference again with the same content is the same program."""

    reference: str
    name: str
    type: ProgramType
    currency: str
    goals: tuple[str, ...] = ()
    landing_url: str | None = None


class PublishTerms(Command, frozen=True, kw_only=True):
    """Publish the next version of a program's terms, for everybody or for one group."""

    program_id: UUID
    terms: dict[str, Any]
    effective_at: AwareTime | None = None
    partner_group: str | None = None


class CreatePartnerGroup(Command, frozen=True, kw_only=True):
    """Make a group, which can have terms of its own."""

    program_id: UUID
    partner_group: str
    name: str


# Partners and agreements


class ApplyAsPartner(Command, frozen=True, kw_only=True):
    """Ask to become a partner."""

    reference: str
    name: str
    email: str | None = None
    country: str | None = None


class ReviewPartner(Command, frozen=True, kw_only=True):
    """Take an application up: applied → in_review."""

    partner_id: UUID
    note: str | None = None


class ApprovePartner(Command, frozen=True, kw_only=True):
    """applied or in_review → approved."""

    partner_id: UUID
    note: str | None = None


class DeclinePartner(Command, frozen=True, kw_only=True):
    """applied or in_review → declined."""

    partner_id: UUID
    reason: str


class SuspendPartner(Command, frozen=True, kw_only=True):
    """approved → suspended: no new rewards, no payouts."""

    partner_id: UUID
    reason: str


class ReinstatePartner(Command, frozen=True, kw_only=True):
    """suspended → approved."""

    partner_id: UUID
    reason: str


class AssignPartnerGroup(Command, frozen=True, kw_only=True):
    """Put a partner into a group of a program, or out of it with None."""

    partner_id: UUID
    program_id: UUID
    partner_group: str | None = None


class LinkPayoutAccount(Command, frozen=True, kw_only=True):
    """Say where the partner's money goes."""

    partner_id: UUID
    destination: str
    provider: str = "stripe"


class PausePartnerPayouts(Command, frozen=True, kw_only=True):
    """Draft nothing for a partner and send it nothing, for this cause."""

    partner_id: UUID
    reason: str
    cause: PayoutHoldCause = "finance"


class ResumePartnerPayouts(Command, frozen=True, kw_only=True):
    """Lift one cause for which nothing was paid."""

    partner_id: UUID
    cause: PayoutHoldCause = "finance"
    note: str | None = None


class SeePayoutAccount(Command, frozen=True, kw_only=True):
    """Say how a partner's account stood at the provider at `effective_at`, when it was looked at."""

    partner_id: UUID
    provider: str
    destination: str
    transfers_active: bool
    payouts_enabled: bool
    disabled_reason: str | None
    currently_due: tuple[str, ...]
    country: str | None
    default_currency: str | None
    effective_at: AwareTime


class FileTaxForm(Command, frozen=True, kw_only=True):
    """Say that a partner's tax form is on file, signed at `effective_at`; it replaces one of its kind."""

    partner_id: UUID
    form: TaxForm
    reference: str
    effective_at: AwareTime


class AcceptAgreement(Command, frozen=True, kw_only=True):
    """Accept a version of a program's terms for a partner, from `effective_at` (default: now)."""

    program_id: UUID
    partner_id: UUID
    terms_version: int
    accepted_by: str
    effective_at: AwareTime | None = None


class EndAgreement(Command, frozen=True, kw_only=True):
    """End an agreement from `effective_at` (default: now)."""

    program_id: UUID
    partner_id: UUID
    reason: str
    effective_at: AwareTime | None = None


# Referrals


class IssueReferralCode(Command, frozen=True, kw_only=True):
    """Give a partner a code, which is its link too: /r/{code}."""

    program_id: UUID
    partner_id: UUID
    code: str
    landing_url: str | None = None


class TouchReferralLink(Command, frozen=True, kw_only=True):
    """Somebody followed /r/{code}. `touch_id` is random, made by the caller."""

    touch_id: UUID
    code: str


class RecordReferral(Command, frozen=True, kw_only=True):
    """Say that a partner brought a customer: by partner, by code, or by the touch of a link.

    One of `partner_id`, `partner` (reference), `code`, `touch_id` names the partner. `reference` makes the
    wish idempotent; without it the content does. `effective_at` defaults to the touch's time, else to now.
    """

    program_id: UUID
    customer: str
    via: ReferralVia = "registration"
    partner_id: UUID | None = None
    partner: str | None = None
    code: str | None = None
    touch_id: UUID | None = None
    reference: str | None = None
    company: str | None = None
    contact: str | None = None
    note: str | None = None
    effective_at: AwareTime | None = None


class Share(Command, frozen=True, kw_only=True):
    """One partner's part of a customer, in basis points."""

    partner_id: UUID
    share_bps: int


class ReattributeCustomer(Command, frozen=True, kw_only=True):
    """Finance decides for whom a customer counts from `effective_at` on. No shares: for nobody."""

    program_id: UUID
    customer: str
    shares: tuple[Share, ...]
    reason: str
    effective_at: AwareTime | None = None


# Conversions: decoded straight from the request's bytes. The types check everything but which characters a
# text holds: a pattern on each would take ten times as long as all the rest, so ledger.intake looks at that.

REFERENCE_PATTERN: Final = r"\A[^\x00-\x1f\x7f]+\Z"
"""No control characters: ids are derived from references with a control character between."""
NOTE_PATTERN: Final = r"\A[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]+\Z"
"""As ledger.checks.note: line breaks may stand in it; PostgreSQL's text holds no NUL."""
Reference = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
AmountMinor = Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MINOR_MAX)]
PositiveAmountMinor = Annotated[int, msgspec.Meta(gt=0, le=AMOUNT_MINOR_MAX)]
CurrencyCode = Annotated[str, msgspec.Meta(min_length=3, max_length=3)]
Note = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000, pattern=NOTE_PATTERN)]


class _About(Command, frozen=True, kw_only=True):
    program_id: UUID
    source: Reference
    external_id: Reference
    effective_at: AwareTime


class _Converted(_About, frozen=True, kw_only=True):
    customer: Reference
    currency: CurrencyCode
    product: Reference | None = None


class RecordSale(_Converted, frozen=True, kw_only=True, tag_field="kind", tag="sale"):
    """A customer bought."""

    amount_minor: PositiveAmountMinor


class RecordRenewal(_Converted, frozen=True, kw_only=True, tag_field="kind", tag="renewal"):
    """A customer bought again, or went on."""

    amount_minor: PositiveAmountMinor


class RecordUsage(_Converted, frozen=True, kw_only=True, tag_field="kind", tag="usage"):
    """A customer used what is charged by use."""

    amount_minor: PositiveAmountMinor


class RecordSignup(_Converted, frozen=True, kw_only=True, tag_field="kind", tag="signup"):
    """A customer signed up; no money need have moved."""

    amount_minor: AmountMinor = 0


class RecordMilestone(_Converted, frozen=True, kw_only=True, tag_field="kind", tag="milestone"):
    """A customer reached something that was agreed on; no money need have moved."""

    amount_minor: AmountMinor = 0


class RecordRefund(_About, frozen=True, kw_only=True, tag_field="kind", tag="refund"):
    """A part or all of a conversion was given back. The conversion may arrive later."""

    refund_id: Reference
    amount_minor: PositiveAmountMinor
    currency: CurrencyCode


class OpenDispute(_About, frozen=True, kw_only=True, tag_field="kind", tag="dispute_opened"):
    """The customer disputes a part (`amount_minor`) or all of a conversion."""

    dispute_id: Reference
    amount_minor: PositiveAmountMinor | None = None


class WinDispute(_About, frozen=True, kw_only=True, tag_field="kind", tag="dispute_won"):
    """A dispute ended for us."""

    dispute_id: Reference


class LoseDispute(_About, frozen=True, kw_only=True, tag_field="kind", tag="dispute_lost"):
    """A dispute ended for the customer."""

    dispute_id: Reference


class CancelConversion(_About, frozen=True, kw_only=True, tag_field="kind", tag="cancellation"):
    """The conversion is taken back as a whole."""

    reason: Note | None = None


NewConversion = RecordSale | RecordRenewal | RecordUsage | RecordSignup | RecordMilestone
AboutConversion = RecordRefund | OpenDispute | WinDispute | LoseDispute | CancelConversion
ConversionCommand = NewConversion | AboutConversion
CONVERSION_KINDS: tuple[ConversionKind, ...] = ("signup", "sale", "renewal", "usage", "milestone")

# Payouts


class DraftPayouts(Command, frozen=True, kw_only=True):
    """Draft a batch from every account of a program that is due at least the minimum of its terms."""

    batch_id: UUID
    program_id: UUID
    minimum_minor: int | None = None


class ApprovePayouts(Command, frozen=True, kw_only=True):
    """Approve a batch as it was looked at: `content_hash` must still be its hash."""

    batch_id: UUID
    content_hash: str


class CancelPayouts(Command, frozen=True, kw_only=True):
    """Give a batch up before anything of it is sent."""

    batch_id: UUID
    reason: str


class CancelPayout(Command, frozen=True, kw_only=True):
    """Give up one payout of an approved batch before it is sent; the others go on."""

    payout_id: UUID
    reason: str


class ResolvePayout(Command, frozen=True, kw_only=True):
    """Say how a payout stands whose outcome nobody learned: its transfer's id, or that there is none."""

    payout_id: UUID
    outcome: Literal["confirmed", "absent"]
    reason: str
    transfer_id: str | None = None


class WriteOffClawback(Command, frozen=True, kw_only=True):
    """Give up (a part of) what a partner owes us; the same `write_off_id` again gives up nothing more."""

    write_off_id: UUID
    program_id: UUID
    partner_id: UUID
    currency: str
    amount_minor: int
    reason: str


# Access


class IssueApiKey(Command, frozen=True, kw_only=True):
    """Make a key. `partner_id` binds partner:read to one partner; `person` names whoever uses it."""

    name: str
    scopes: tuple[Scope, ...]
    partner_id: UUID | None = None
    person: str | None = None


class RevokeApiKey(Command, frozen=True, kw_only=True):
    """Close a key for ever."""

    key_id: UUID
    reason: Literal["leaked", "rotated", "unused", "other"] | str = "other"
