"""Facts of rewards: what a conversion earned, while it is held. Amounts are in `currency`'s minor units."""

from typing import Literal
from uuid import UUID

from ledger.events.base import AwareTime, Fact

ReversalReason = Literal["refund", "dispute_lost", "cancellation", "reattribution", "duration_ended"]


class CapApplied(Fact, frozen=True, kw_only=True):
    """A limit that cut a reward: what was left of it before, of how much."""

    kind: Literal["per_customer", "per_period"]
    limit_minor: int
    left_minor: int
    period: str | None = None


class RewardAccrued(Fact, frozen=True, kw_only=True):
    """A conversion earned a partner `amount_minor`, held until `matures_at`.

    Everything that made the number is frozen here: `basis_minor` (the conversion's amount), the rate or flat
    sum, the partner's share of it, `gross_minor` (before caps), the rule's index in the terms_version, what
    a cap left, and `reason`, the sentence a partner reads. `cause_position` is the log position of the fact
    that triggered it.
    """

    reward_id: UUID
    account_id: UUID
    conversion_id: UUID
    program_id: UUID
    partner_id: UUID
    customer_id: UUID
    amount_minor: int
    currency: str
    basis_minor: int
    gross_minor: int
    share_bps: int
    terms_version: int
    rule: int
    effective_at: AwareTime
    matures_at: AwareTime
    reason: str
    cause_position: int
    rate_bps: int | None = None
    flat_minor: int | None = None
    caps: tuple[CapApplied, ...] = ()


class RewardReversed(Fact, frozen=True, kw_only=True):
    """A part or all of a reward that was still held was taken back."""

    reward_id: UUID
    account_id: UUID
    conversion_id: UUID
    program_id: UUID
    partner_id: UUID
    amount_minor: int
    currency: str
    reason: ReversalReason
    effective_at: AwareTime
    cause_position: int


class ConversionNotRewarded(Fact, frozen=True, kw_only=True):
    """A conversion earned nothing, and why: `reason` is a stable word, `detail` a sentence."""

    conversion_id: UUID
    program_id: UUID
    customer_id: UUID
    reason: str
    detail: str
    effective_at: AwareTime
    cause_position: int
    partner_id: UUID | None = None
