"""Facts of periods: months that finance closed, and the statements that were issued for them."""

from typing import ClassVar
from uuid import UUID

from ledger.events.base import AwareTime, Fact


class PeriodTotal(Fact, frozen=True, kw_only=True):
    """What an account of the chart held over all partners when the month began, by how much it moved, and in
    how many legs (None: nobody counted them, before version 2 of the fact that it stands in)."""

    account: str
    currency: str
    opening_minor: int
    moved_minor: int
    legs: int | None = None


class PeriodClosed(Fact, frozen=True, kw_only=True):
    """Finance closed a month (`2026-10`), from `begins_at` on and before `ends_at`, in `time_zone`.

    Its legs are those of the log up to `through_position` that were true before `ends_at` and are in no
    earlier month; what is learned later is of the first month that is open then. They begin behind
    `after_position`, those of later months behind `later_after_position`. No such fact stands between
    `through_position` and this one.
    """

    program_id: UUID
    period: str
    begins_at: AwareTime
    ends_at: AwareTime
    time_zone: str
    through_position: int
    after_position: int
    later_after_position: int
    closed_by: str


class PeriodTotalsFrozen(Fact, frozen=True, kw_only=True):
    """What a closed month came to over all partners, and finance's remark: told right behind its closing.

    The closing stands in the proofs that partners get, these words never do. `salt` is random: without it,
    whoever sees the fact's leaf could try out which totals it is of. Its statements are held to all of it.
    """

    version: ClassVar[int] = 2
    program_id: UUID
    period: str
    totals: tuple[PeriodTotal, ...]
    salt: str
    reason: str | None = None


class StatementAmounts(Fact, frozen=True, kw_only=True):
    """The columns of a partner's balance."""

    pending_minor: int
    available_minor: int
    in_transit_minor: int
    paid_minor: int
    clawback_minor: int
    withheld_minor: int
    earned_minor: int


class StatementIssued(Fact, frozen=True, kw_only=True):
    """A partner's statement of a closed month was issued. The stream's version is `count`: there is no gap.

    `content_sha256` covers all that it says, in the form that `content_version` names (docs/statements.md): a
    later form lives beside those that statements were issued in. Names and payouts are told as they were at
    `details_position` of the log. From `statement_version` 2 on it is a correction of the statement
    `corrects`, for `reason`.
    """

    program_id: UUID
    partner_id: UUID
    period: str
    currency: str
    number: str
    count: int
    statement_version: int
    details_position: int
    content_version: int
    opening: StatementAmounts
    closing: StatementAmounts
    lines: int
    content_sha256: str
    corrects: UUID | None = None
    reason: str | None = None
