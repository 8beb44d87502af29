"""Facts of referrals: codes, touches, customers brought by partners."""

from typing import Literal
from uuid import UUID

from ledger.events.base import AwareTime, Fact

ReferralVia = Literal["code", "link", "registration", "lead"]


class ReferralCodeIssued(Fact, frozen=True, kw_only=True):
    """A partner got a code, which is also the end of its link."""

    code: str
    program_id: UUID
    partner_id: UUID
    landing_url: str | None = None


class ReferralLinkTouched(Fact, frozen=True, kw_only=True):
    """Somebody followed a partner's link. The stream's id is the touch_id that the redirect carries on."""

    code: str
    program_id: UUID
    partner_id: UUID


class ReferralRecorded(Fact, frozen=True, kw_only=True):
    """A customer was brought by a partner: one touch, true at `effective_at`."""

    referral_id: UUID
    program_id: UUID
    customer: str
    partner_id: UUID
    via: ReferralVia
    effective_at: AwareTime
    code: str | None = None
    touch_id: UUID | None = None
    company: str | None = None
    contact: str | None = None
    note: str | None = None


class AttributionShare(Fact, frozen=True, kw_only=True):
    """One partner's part of a customer, in basis points."""

    partner_id: UUID
    share_bps: int


class CustomerReattributed(Fact, frozen=True, kw_only=True):
    """Finance decided for whom a customer counts, whatever the touches say, from `effective_at` on.

    The shares sum to 10,000; none at all means that the customer counts for nobody.
    """

    program_id: UUID
    customer: str
    shares: tuple[AttributionShare, ...]
    effective_at: AwareTime
    reason: str
