"""Facts of reconciling the provider's books with ours."""

from ledger.events.base import AwareTime, Fact


class ReconciliationCompleted(Fact, frozen=True, kw_only=True):
    """The provider's books were compared with ours for a time. `items_hash` freezes what was found."""

    provider: str
    period_from: AwareTime
    period_to: AwareTime
    in_time_s: int
    matched: int
    ours_only: int
    theirs_only: int
    different: int
    duplicate: int
    in_time: int
    differences: int
    items_hash: str
    effective_at: AwareTime


class DifferenceResolved(Fact, frozen=True, kw_only=True):
    """A human looked at a difference, by its `reference` in the provider's books, and says why it is one."""

    provider: str
    reference: str
    reason: str
    effective_at: AwareTime
