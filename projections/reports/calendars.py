"""The months of reports: closed ones as the books have them, the others by the calendar.

A closed month is what its closing froze; what is learned of it later stands in the first month that was open
then (docs/decisions/late-facts-by-log-order.md). So a leg is of the later of two months: the one in which it
was true, and the first one that was open at its place in the log.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, get_args
from uuid import UUID

import sqlalchemy as sa

from ledger import ids
from ledger.events.period import PeriodClosed
from ledger.month import Month
from ledger.period import following
from ledger.store.application import Ledger
from projections import position
from projections.journal import Journal
from projections.months import Zones, bucket_of, zones_of
from projections.reports.scope import Scope
from projections.view import position_name

Basis = Literal["books", "effective"]
"""What a month holds: closed ones what their closings froze; or each what was true in it, known by now."""
BASES: Final[tuple[Basis, ...]] = get_args(Basis)
JOURNAL: Final = position_name(Journal())


class Calendar(NamedTuple):
    """Programs whose months begin at the same moments: those of a time zone, or one that closed some."""

    zones: Zones
    zone: str
    upto: int | None = None
    """Legs behind this position of the log are not counted."""
    program_id: UUID | None = None
    """The only program; None: all of the zone."""
    apart: Sequence[UUID] = ()
    """Programs of the zone that have a calendar of their own."""
    closed: Sequence[PeriodClosed] = ()
    """The program's closed months, in order."""

    def begins(self, periods: Sequence[Month]) -> list[datetime]:
        """When each of these months begins, and when the last one ends: closed ones as they were closed."""
        frozen = {each.period: each.begins_at for each in self.closed}
        frozen |= {following(each.period): each.ends_at for each in self.closed[-1:]}
        wanted = [*periods, periods[-1].following]
        return [frozen.get(str(each)) or each.begins_at(self.zone) for each in wanted]

    def conditions(
        self, c: Any, begins: Sequence[datetime], *, also_before: bool = False
    ) -> list[sa.ColumnElement[bool]]:
        """The conditions by which a leg is of these programs and months, or of a month before them, too.

        `c`: the columns of the journal; `begins`: what `begins` answered.
        """
        first, end = begins[0], begins[-1]
        found = [c.effective_at < end, *self._programs(c.program_id)]
        if self.upto is not None:
            found.append(c.position <= self.upto)
        if late := [after for at, after in self._floors() if at >= end]:
            found.append(c.position <= late[0])
        if also_before:
            return found
        own = c.effective_at >= first
        told = [after for at, after in self._floors() if at >= first]
        return [*found, sa.or_(own, c.position > told[0]) if told else own]

    def bucket(self, c: Any, begins: Sequence[datetime]) -> sa.ColumnElement[int]:
        """The place of a leg's month among these, from 1 on; 0: it is before them."""
        own = bucket_of(c.effective_at, begins[:-1])
        floors = [
            (bisect_right(begins, at), after) for at, after in self._floors() if begins[0] <= at < begins[-1]
        ]
        if not floors:
            return own
        # Closed months follow on each other: each floor that a position has passed is one month more.
        least, after = floors[0]
        passed = bucket_of(c.position, [each + 1 for _, each in floors])
        floor = sa.case((c.position <= after, 0), else_=passed + (least - 1))
        return sa.case((own < floor, floor), else_=own)

    def _programs(self, column: sa.ColumnElement[UUID]) -> list[sa.ColumnElement[bool]]:
        if self.program_id is not None:
            return [column == self.program_id]
        apart = [column.not_in(self.apart)] if self.apart else []
        return [self.zones.condition(column, self.zone), *apart]

    def _floors(self) -> list[tuple[datetime, int]]:
        """Moments, and behind which position of the log nothing is of a month that ended by then."""
        began = [(each.begins_at, 0) for each in self.closed[:1]]
        return began + [(each.ends_at, each.through_position) for each in self.closed]


def of_zones(zones: Zones, *, apart: Sequence[UUID] = (), upto: int | None = None) -> list[Calendar]:
    """The calendars of programs that closed nothing, a zone after the other."""
    return [Calendar(zones, zone, upto, apart=apart) for zone in zones.all]


def calendars_of(
    ledger: Ledger, connection: sa.Connection, scope: Scope, basis: Basis = "books"
) -> list[Calendar]:
    """The calendars of a report: of programs without a closed month by zone, then those of the others.

    By `effective` nothing counts as closed. The closings are read after the journal's position: what is late
    stands behind its closing, so whatever a report counts, it knows the closings that tell its month.
    """
    upto = position.read(connection, [JOURNAL])[JOURNAL]
    zones = zones_of(ledger, scope.program_id)
    asked = zones.named if scope.program_id is None else [scope.program_id]
    closed = {} if basis == "effective" else _closed(ledger, connection, list(asked))
    own = [
        Calendar(zones, zones.of(program_id), upto, program_id, closed=closed.get(program_id, ()))
        for program_id in asked
        if program_id in closed or program_id == scope.program_id
    ]
    return own if scope.program_id is not None else [*of_zones(zones, apart=list(closed), upto=upto), *own]


def _closed(
    ledger: Ledger, connection: sa.Connection, programs: Sequence[UUID]
) -> dict[UUID, list[PeriodClosed]]:
    """The closed months of programs, in order; programs without one are not named."""
    streams = ledger.streams(connection, [ids.periods_id(each) for each in programs])
    found: dict[UUID, list[PeriodClosed]] = {}
    for each in programs:
        history = streams.get(ids.periods_id(each), [])
        if months := [recorded.fact for recorded in history if isinstance(recorded.fact, PeriodClosed)]:
            found[each] = months
    return found
