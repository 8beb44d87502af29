"""As of when an open month is looked at: what was true by one time, as far as it was known by another."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from ledger.events.base import Recorded
from projections.queries.as_of import by_then


class Then(NamedTuple):
    """Both times are inclusive; None: by now."""

    effective: datetime | None = None
    recorded: datetime | None = None

    def legs(self, columns: Any) -> list[sa.ColumnElement[bool]]:
        """The conditions by which a leg of the journal was true, and known, by then."""
        return by_then(columns, self.effective, self.recorded)

    def is_known(self, each: Recorded) -> bool:
        """Whether a fact was known by then."""
        return self.recorded is None or each.recorded_at <= self.recorded

    def known(self, history: Sequence[Recorded]) -> list[Recorded]:
        """What of a stream was known by then. With what it begins is told in any case: whose it is."""
        return [each for number, each in enumerate(history) if number == 0 or self.is_known(each)]

    def told(self, history: Sequence[Recorded]) -> list[Recorded]:
        """As `known`, without what became true later."""
        return [
            each
            for number, each in enumerate(self.known(history))
            if number == 0 or self.effective is None or self._is_past(each, self.effective)
        ]

    @staticmethod
    def _is_past(each: Recorded, moment: datetime) -> bool:
        at: datetime | None = getattr(each.fact, "effective_at", None)
        return at is None or at <= moment


NOW: Final = Then()
