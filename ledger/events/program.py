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

PayoutPeriod = Literal["month", "week"]


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


class PayoutSchedule(Fact, frozen=True, kw_only=True):
    """When payouts are drafted: on `day` of each month, or of each week (1 Monday, 7 Sunday).

    It is due at `hour` o'clock there; in a month that is too short, on its last day.
    """

    every: PayoutPeriod
    day: int
    time_zone: str
    hour: int


class CountryWithholding(Fact, frozen=True, kw_only=True):
    """What is withheld as tax from the payouts of partners in a country."""

    country: str
    rate_bps: int


class PayoutSettingsChanged(Fact, frozen=True, kw_only=True):
    """How the program pays out from `effective_at` on: all of it, not only what changed.

    Without `schedule` payouts are drafted on demand alone. A batch of more than `second_approval_over_minor`
    needs two checkers. `us_source`: what is paid is income from the US, for which every payee files a form.
    """

    effective_at: AwareTime
    schedule: PayoutSchedule | None = None
    minimum_minor: int | None = None
    second_approval_over_minor: int | None = None
    withholding: tuple[CountryWithholding, ...] = ()
    us_source: bool = False


class WithholdingRemitted(Fact, frozen=True, kw_only=True):
    """All tax withheld from the program's payouts up to `through` is with the tax office.

    `reference` names the payment or the filing. What comes back of such a payout comes without its tax.
    """

    through: AwareTime
    reference: str
    effective_at: AwareTime


class PartnerGroupCreated(Fact, frozen=True, kw_only=True):
    """A group of partners, which can have terms of its own."""

    partner_group: str
    name: str
