"""Facts of partners: businesses that refer, and what they agreed to."""

from typing import Literal
from uuid import UUID

from ledger.events.base import AwareTime, Fact

PayoutHoldCause = Literal[
    "account_restricted", "account_closed", "account_mismatch", "tax_form_missing", "finance"
]
"""Why nothing is paid to a partner. Each cause is set and lifted by itself; `finance` is a human's word."""
TaxForm = Literal["w-9", "w-8ben", "w-8ben-e", "w-8eci", "w-8exp", "w-8imy"]
"""Forms of the IRS by which a payee says who it is: W-9 for persons of the US, the W-8s for all others."""


class PartnerApplied(Fact, frozen=True, kw_only=True):
    """A business asked to become a partner. `reference` is its name in other systems."""

    reference: str
    name: str
    email: str | None = None
    country: str | None = None


class PartnerReviewStarted(Fact, frozen=True, kw_only=True):
    """Somebody looks at the application."""

    note: str | None = None


class PartnerApproved(Fact, frozen=True, kw_only=True):
    """The partner may accept agreements and earn."""

    note: str | None = None


class PartnerDeclined(Fact, frozen=True, kw_only=True):
    """The application was refused."""

    reason: str


class PartnerSuspended(Fact, frozen=True, kw_only=True):
    """From `effective_at` conversions earn nothing and nothing is paid."""

    reason: str
    effective_at: AwareTime


class PartnerReinstated(Fact, frozen=True, kw_only=True):
    """The suspension ended at `effective_at`."""

    reason: str
    effective_at: AwareTime


class PartnerGroupAssigned(Fact, frozen=True, kw_only=True):
    """The partner belongs to this group in this program; None takes it out."""

    program_id: UUID
    partner_group: str | None


class PartnerLocaleChanged(Fact, frozen=True, kw_only=True):
    """In which language and number format the partner is written to, as in BCP 47; None: nobody has said."""

    locale: str | None


class PayoutAccountLinked(Fact, frozen=True, kw_only=True):
    """Where the partner's money goes: a connected account of the provider."""

    provider: str
    destination: str


class PayoutAccountAsked(Fact, frozen=True, kw_only=True):
    """An account is about to be made for the partner at a provider, whose answer may be lost.

    Told once until an account is linked: what was made of it is not older than that.
    """

    provider: str
    effective_at: AwareTime


class PartnerPayoutsPaused(Fact, frozen=True, kw_only=True):
    """Nothing is drafted for the partner or sent to it, for this cause, until that is lifted."""

    cause: PayoutHoldCause
    reason: str
    effective_at: AwareTime


class PartnerPayoutsResumed(Fact, frozen=True, kw_only=True):
    """A cause is lifted; other causes may still hold the partner's payouts."""

    cause: PayoutHoldCause
    effective_at: AwareTime
    note: str | None = None


class PayoutAccountChanged(Fact, frozen=True, kw_only=True):
    """How a linked account stood at the provider when it was looked at: stored whenever it differs.

    `currently_due` names what the provider still wants from the account's owner, in the provider's words.
    """

    provider: str
    destination: str
    transfers_active: bool
    payouts_enabled: bool
    disabled_reason: str | None
    currently_due: tuple[str, ...]
    country: str | None
    default_currency: str | None
    effective_at: AwareTime


class TaxFormFiled(Fact, frozen=True, kw_only=True):
    """A tax form of the partner is on file. `reference` says where: the form itself is never kept here.

    `effective_at` is the day on which it was signed; from `expires_at` on it does not count any more.
    """

    form: TaxForm
    reference: str
    effective_at: AwareTime
    expires_at: AwareTime | None = None


class WithholdingSet(Fact, frozen=True, kw_only=True):
    """From `effective_at` on this part of the partner's payouts is withheld as tax.

    None: what its program says of its country.
    """

    rate_bps: int | None
    reason: str
    effective_at: AwareTime


class AgreementAccepted(Fact, frozen=True, kw_only=True):
    """The partner accepted a version of a program's terms, which holds from `effective_at`."""

    program_id: UUID
    partner_id: UUID
    terms_version: int
    accepted_by: str
    effective_at: AwareTime


class AgreementEnded(Fact, frozen=True, kw_only=True):
    """Conversions from `effective_at` on earn nothing."""

    reason: str
    effective_at: AwareTime
