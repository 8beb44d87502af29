"""Rewards: what a conversion was given, what is asked before giving it, what is said of it. Pure values."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from ledger.attribution import Attributed
from ledger.conversion import ConversionState
from ledger.events.conversion import ConversionRecorded
from ledger.events.reward import ConversionNotRewarded, ReversalReason, RewardAccrued
from ledger.terms import PAYMENT_KINDS, Rule, Terms

NoReason = Literal[
    "not_attributed",
    "no_agreement",
    "partner_not_approved",
    "partner_suspended",
    "no_rule",
    "duration_ended",
    "payments_used_up",
    "cap_used_up",
    "rounds_to_zero",
]
"""Why a conversion can earn nothing: stable words, in facts and in the API."""


class Piece(msgspec.Struct, frozen=True):
    """One reward that a conversion was given: what was frozen at its accrual, and what is kept of it.

    `gross_minor` is what it was before caps, `takings` how many of the conversion's have been applied to it.
    `closed` pieces were taken back because the conversion counts for others now; they stay closed.
    """

    reward_id: UUID
    conversion_id: UUID
    account_id: UUID
    program_id: UUID
    partner_id: UUID
    customer_id: UUID
    currency: str
    share_bps: int
    terms_version: int
    rule: int
    rate_bps: int | None
    flat_minor: int | None
    gross_minor: int
    granted_minor: int
    kept_minor: int
    effective_at: datetime
    matures_at: datetime
    takings: int = 0
    matured: bool = False
    closed: bool = False


class Offer(msgspec.Struct, frozen=True):
    """The terms that a partner had agreed to at the conversion's time.

    `counts` is false where no running total matters to them: they have no cap and no number of payments.
    """

    terms_version: int
    terms: Terms
    counts: bool = True


class NoOffer(msgspec.Struct, frozen=True):
    """Why there were none."""

    reason: NoReason
    detail: str


class Reversal(msgspec.Struct, frozen=True):
    """A part of a piece is to be taken back; whether from what is held or matured its holder knows."""

    piece: Piece
    amount_minor: int
    reason: ReversalReason
    effective_at: datetime
    closes: bool = False


class TotalKey(msgspec.Struct, frozen=True):
    """Names a running total: money kept per customer or period, or payments rewarded per customer."""

    kind: Literal["per_customer", "per_period", "payments"]
    account_id: UUID
    name: str


class Case(msgspec.Struct, frozen=True):
    """Everything that the rewards of one conversion depend on.

    `terms_of` has the terms of each version that an open piece quotes; `offers` one entry per partner in
    `attributed`; `told` the reasons for earning nothing that were recorded before.
    """

    conversion_id: UUID
    customer_id: UUID
    conversion: ConversionState
    pieces: tuple[Piece, ...]
    attributed: Attributed | None
    offers: Mapping[UUID, Offer | NoOffer]
    terms_of: Mapping[int, Terms]
    totals: Mapping[TotalKey, int]
    told: frozenset[str]
    cause_position: int

    @property
    def sale(self) -> ConversionRecorded:
        """The conversion's own fact."""
        assert self.conversion.recorded is not None
        return self.conversion.recorded


Outcome = RewardAccrued | Reversal | ConversionNotRewarded


def piece_of(fact: RewardAccrued) -> Piece:
    """The piece that an accrual starts."""
    return Piece(
        reward_id=fact.reward_id,
        conversion_id=fact.conversion_id,
        account_id=fact.account_id,
        program_id=fact.program_id,
        partner_id=fact.partner_id,
        customer_id=fact.customer_id,
        currency=fact.currency,
        share_bps=fact.share_bps,
        terms_version=fact.terms_version,
        rule=fact.rule,
        rate_bps=fact.rate_bps,
        flat_minor=fact.flat_minor,
        gross_minor=fact.gross_minor,
        granted_minor=fact.amount_minor,
        kept_minor=fact.amount_minor,
        effective_at=fact.effective_at,
        matures_at=fact.matures_at,
    )


def cap_keys(terms: Terms, account_id: UUID, customer_id: UUID, effective_at: datetime) -> list[TotalKey]:
    """The running totals of money that a reward under these terms counts in."""
    keys = []
    if terms.cap_per_customer_minor is not None:
        keys.append(TotalKey("per_customer", account_id, str(customer_id)))
    if terms.cap_per_period is not None:
        keys.append(TotalKey("per_period", account_id, terms.cap_per_period.period_of(effective_at)))
    return keys


def payments_key(account_id: UUID, customer_id: UUID) -> TotalKey:
    """The running count of a customer's payments that were rewarded."""
    return TotalKey("payments", account_id, str(customer_id))


def counts_payment(rule: Rule, kind: str) -> bool:
    """Whether a reward under this rule uses one of its payments up."""
    return rule.duration.payments is not None and kind in PAYMENT_KINDS


def told_word(partner_id: UUID | None, reason: str) -> str:
    """How a reason for earning nothing is remembered, so that it is recorded once."""
    return f"{partner_id or ''}:{reason}"
