"""What a read touches, as the database itself counts: no time, so it is the same on a busy machine."""

from collections.abc import Callable

import sqlalchemy as sa

from ledger.store.database import driver

Read = Callable[[sa.Connection], object]
_ROWS = "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables"


class Touched:
    """Counts rows on PostgreSQL, steps of its virtual machine on SQLite."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._raw = driver(connection)
        self._steps = 0

    def count(self, read: Read) -> int:
        """What this read touches, after it ran once."""
        read(self._connection)
        if self._connection.dialect.name == "postgresql":
            before = self._rows()
            read(self._connection)
            return self._rows() - before
        self._steps = 0
        self._raw.set_progress_handler(self._step, 1)
        read(self._connection)
        self._raw.set_progress_handler(None, 1)
        return self._steps

    def _step(self) -> None:
        self._steps += 1

    def _rows(self) -> int:
        return int(self._raw.execute(_ROWS).fetchone()[0])
