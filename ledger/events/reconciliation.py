"""Facts of reconciling the provider's books with ours."""

from uuid import UUID

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


class UnknownTransfersFound(Fact, frozen=True, kw_only=True):
    """The provider holds transfers of ours that the ledger does not know: it is older than what was sent.

    `looked_from`: since when was looked. Until all of them are explained, nothing is sent.
    """

    provider: str
    looked_from: AwareTime
    transfer_ids: tuple[str, ...]
    effective_at: AwareTime


class PayoutsSetAside(Fact, frozen=True, kw_only=True):
    """All is explained; but these payouts lie unpaid here, and the provider holds a transfer of each.

    None of them is sent while that is so, whoever lets its partner's payouts go on. Transfers are looked at
    from `looked_from` on until there is none of them left.
    """

    provider: str
    looked_from: AwareTime
    payout_ids: tuple[UUID, ...]
    effective_at: AwareTime


class UnknownTransfersExplained(Fact, frozen=True, kw_only=True):
    """Each transfer of ours that the provider holds is known to the ledger again, or has a human's reason."""

    provider: str
    looked_from: AwareTime
    effective_at: AwareTime


class DatabasePutBack(Fact, frozen=True, kw_only=True):
    """A process found the log without what it had seen there: the database was restored, or failed over.

    `seen_position` is where the lost event stood. The provider's transfers are looked at from `looked_from`
    on, and nothing is sent until its lists had time to show all of them.
    """

    provider: str
    looked_from: AwareTime
    seen_position: int
    effective_at: AwareTime


class DatabaseRestored(Fact, frozen=True, kw_only=True):
    """Somebody put the database back from a backup, and says so. `looked_from` is as in DatabasePutBack."""

    provider: str
    looked_from: AwareTime
    reason: str
    effective_at: AwareTime


class DatabaseSeenAt(Fact, frozen=True, kw_only=True):
    """Where the database stood when a file was exported; told again when that is another place.

    A copy that was put back stands elsewhere: in another file or database, or on another timeline.
    """

    place: str
    effective_at: AwareTime


class BankFilesDoubted(Fact, frozen=True, kw_only=True):
    """Something shows that a file left for our bank of which the ledger does not know."""

    reason: str
    effective_at: AwareTime


class BankFilesAccountedFor(Fact, frozen=True, kw_only=True):
    """Somebody of finance (`person`) looked at the bank: every file that left stands in the ledger."""

    reason: str
    effective_at: AwareTime
    person: str | None = None


class TransferTakenIn(Fact, frozen=True, kw_only=True):
    """A transfer that the ledger had lost was recorded as its payout's own, by a human with a reason.

    `content_hash` and `sent_attempt` are what the transfer itself says of what was once approved and sent.
    """

    transfer_id: str
    sent_attempt: str
    content_hash: str
    reason: str
    effective_at: AwareTime


class PayoutsFrozen(Fact, frozen=True, kw_only=True):
    """From here on nothing is sent, by anybody."""

    reason: str
    effective_at: AwareTime


class PayoutsThawed(Fact, frozen=True, kw_only=True):
    """Payouts may be sent again."""

    reason: str
    effective_at: AwareTime
