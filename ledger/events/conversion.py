"""Facts of conversions: what a customer did, and what became of it."""

from typing import Literal
from uuid import UUID

from ledger.events.base import AwareTime, Fact

ConversionKind = Literal["signup", "sale", "renewal", "usage", "milestone"]


class ConversionRecorded(Fact, frozen=True, kw_only=True):
    """Something of value that a customer did. `amount_minor` is 0 where no money moved (a signup)."""

    program_id: UUID
    source: str
    external_id: str
    kind: ConversionKind
    customer: str
    amount_minor: int
    currency: str
    effective_at: AwareTime
    product: str | None = None


class ConversionRefunded(Fact, frozen=True, kw_only=True):
    """A part or all of a conversion's amount was given back. It may be learned before the conversion."""

    program_id: UUID
    source: str
    external_id: str
    refund_id: str
    amount_minor: int
    currency: str
    effective_at: AwareTime


class DisputeOpened(Fact, frozen=True, kw_only=True):
    """The customer disputes `amount_minor` of the conversion; None: all that stands."""

    program_id: UUID
    source: str
    external_id: str
    dispute_id: str
    effective_at: AwareTime
    amount_minor: int | None = None


class DisputeWon(Fact, frozen=True, kw_only=True):
    """The dispute ended for us: the conversion stands."""

    program_id: UUID
    source: str
    external_id: str
    dispute_id: str
    effective_at: AwareTime


class DisputeLost(Fact, frozen=True, kw_only=True):
    """The dispute ended for the customer: what was disputed is gone, like a refund."""

    program_id: UUID
    source: str
    external_id: str
    dispute_id: str
    effective_at: AwareTime


class ConversionCanceled(Fact, frozen=True, kw_only=True):
    """The conversion was taken back as a whole."""

    program_id: UUID
    source: str
    external_id: str
    effective_at: AwareTime
    reason: str | None = None
