"""How far the readers of the log are behind it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa

from ledger.store.application import Ledger
from projections import position
from projections.view import position_name
from projections.views import VIEWS

ENGINE: Final = "engine"
READERS: Final = (*(position_name(view) for view in VIEWS), ENGINE)


class Lag(msgspec.Struct, frozen=True):
    """One reader, `events` positions behind the head; the oldest fact that waits is `seconds` old."""

    name: str
    position: int
    head: int
    events: int
    seconds: float
    oldest_recorded_at: datetime | None


def lag(ledger: Ledger, connection: sa.Connection, readers: Sequence[str] = READERS) -> list[Lag]:
    """The lag of each reader, by the ledger's clock. Positions have gaps: `events` may be a few too many."""
    head = ledger.log.head(connection)
    now = ledger.clock()
    found = position.read(connection, readers)
    oldest = {after: _oldest(ledger, connection, after) for after in set(found.values())}
    lags = []
    for name, after in found.items():
        since = oldest[after]
        seconds = max(0.0, (now - since).total_seconds()) if since is not None else 0.0
        lags.append(Lag(name, after, head, max(0, head - after), seconds, since))
    return lags


def _oldest(ledger: Ledger, connection: sa.Connection, after: int) -> datetime | None:
    rows = ledger.log.read_log(connection, after=after, limit=1)
    return ledger.decode(rows[0]).recorded_at if rows else None
