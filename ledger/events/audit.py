"""Facts of the audit log itself."""

from ledger.events.base import AwareTime, Fact


class CheckpointRepaired(Fact, frozen=True, kw_only=True):
    """The row of a stored checkpoint, `size`, was put right: somebody had changed it, or taken it away.

    What it must be was told by `trusted`: a copy that was kept elsewhere, or the row's own note where the
    log's signature below it is whole. `found` has what stood in each column that was another; where there was
    no row it is empty.
    """

    size: int
    trusted: str
    found: dict[str, str]
    reason: str
    effective_at: AwareTime
