"""Facts of programs: what partners join, its terms and its groups."""

from typing import Any, Literal

from ledger.events.base import AwareTime, Fact

ProgramType = Literal[
    "revenue_share",
    "co_marketing",
    "strategic_alliance",
    "technology_integration",
    "channel_partner",
    "referral_network",
]


class ProgramCreated(Fact, frozen=True, kw_only=True):
    """A program was set up. `currency` (ISO 4217) holds for all its conversions, rewards and payouts."""

    reference: str
    name: str
    type: ProgramType
    currency: str
    goals: tuple[str, ...] = ()
    landing_url: str | None = None


class TermsVersionPublished(Fact, frozen=True, kw_only=True):
    """An immutable version of the terms, numbered from 1. `terms` is the document as validated."""

    terms_version: int
    terms: dict[str, Any]
    effective_at: AwareTime
    partner_group: str | None = None


class PartnerGroupCreated(Fact, frozen=True, kw_only=True):
    """A group of partners, which can have terms of its own."""

    partner_group: str
    name: str
