"""What the log has of a month that the engine or the views have not worked out yet, whatever others post."""

from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from ledger.events.base import Recorded
from ledger.events.partner import AgreementEnded, PartnerReinstated, PartnerSuspended
from ledger.events.program import TermsVersionPublished
from ledger.period import Span
from ledger.store.application import Ledger

ROWS: Final = 2_000
"""Rows of the log that are read at once."""
_UNNAMED: Final = frozenset(
    kind.__name__ for kind in (AgreementEnded, PartnerReinstated, PartnerSuspended, TermsVersionPublished)
)
"""Facts that rewards depend on and that name no program."""


class Unseen(Exception):
    """Something of the month is in the log that the views or the engine have not seen."""


class Lookout:
    """Of one closing: looks for facts of the program's month, at each row of the log once.

    How far behind the views and the engine are does not matter, only what stands there: a closing waits for
    its own program.
    """

    def __init__(self, ledger: Ledger, program_id: UUID) -> None:
        self._ledger = ledger
        self._program_id = program_id
        self._named = str(program_id).encode()
        self._ends_at: Any = None
        self._through = self._last = 0

    def refuse_unseen(self, connection: sa.Connection, found: Span, seen: int) -> None:
        """Look on to the log's end. Raises Unseen if a fact of the month stands behind `seen`."""
        if found.ends_at != self._ends_at:
            self._ends_at, self._through, self._last = found.ends_at, 0, 0
        for place, is_of in self._look(connection, found, max(seen, self._through)):
            self._through = place
            if is_of:
                self._last = place
        self._refuse(found, seen, self._last)

    def refuse_new(self, connection: sa.Connection, found: Span, seen: int) -> None:
        """The same under the log's lock. It remembers nothing: these places are others' if this is undone."""
        for place, is_of in self._look(connection, found, max(seen, self._through)):
            self._refuse(found, seen, place if is_of else self._last)

    @staticmethod
    def _refuse(found: Span, seen: int, last: int) -> None:
        if last > seen:
            raise Unseen(f"the fact at position {last} is of {found.period} and not worked out yet")

    def _look(self, connection: sa.Connection, found: Span, after: int) -> Iterator[tuple[int, bool]]:
        """Each place behind one, and whether the fact there is of the month."""
        while rows := self._ledger.log.read_log(connection, after=after, limit=ROWS):
            for row in rows:
                # Only what may be the program's is decoded: of a busy log most is not.
                named = self._named in row[3] or row[2].partition("@")[0] in _UNNAMED
                yield row[4], named and self._is_of(self._ledger.decode(row), found)
            after = rows[-1][4]
            if len(rows) < ROWS:
                return

    def _is_of(self, recorded: Recorded, found: Span) -> bool:
        fact: Any = recorded.fact
        if isinstance(fact, TermsVersionPublished) and recorded.originator_id != self._program_id:
            return False
        effective_at = getattr(fact, "effective_at", None)
        return (
            effective_at is not None
            and effective_at < found.ends_at
            and getattr(fact, "program_id", self._program_id) == self._program_id
        )
