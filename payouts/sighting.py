"""What a process remembers of the log's end, to notice when the log was put back to an earlier day."""

from ledger.store.application import Ledger
from ledger.store.recorder import Row


class Sighting:
    """The last event that was seen, whole. A log only grows, so it stands there for ever.

    Where it is gone, or another one has its position, what was written since an earlier day was lost: by a
    restore, or by a failover to a copy that was behind. The position alone would not tell, since new events
    soon stand where the lost ones stood. For one thread.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seen: Row | None = None

    @property
    def position(self) -> int:
        """Where the last event that was seen stood; 0: none was."""
        return 0 if self._seen is None else self._seen[4]

    def still_stands(self) -> bool:
        """Whether the log holds what was seen in it; then its newest event is what is remembered."""
        log = self._ledger.log
        with self._ledger.database.glance() as connection:
            if self._seen is not None and log.read_at(connection, [self.position]) != [self._seen]:
                return False
            newest = log.read_at(connection, [log.head(connection)])
        self._seen = newest[0] if newest else self._seen
        return True

    def forget(self) -> None:
        """Begin anew: what is there now is what is seen next."""
        self._seen = None
