"""Sums by month, each program's in the time zone of its calendar."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from ledger.desk import Desk
from ledger.period import DEFAULT_ZONE, zone_of
from ledger.store.application import Ledger
from projections.tables import programs

EARLIEST, LATEST = datetime(1971, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""Days before and after these are not counted: the calendar has ends, and a ledger nothing there."""


def bucket_of(
    column: sa.ColumnElement[Any], begins: Sequence[datetime] | Sequence[int]
) -> sa.ColumnElement[int]:
    """How many of these moments (or places in the log), which go up, it has reached: 0 before the first.

    It is halved and halved again: as one list of cases it would be too deep for SQLite after some years.
    """

    def among(first: int, last: int) -> sa.ColumnElement[int]:
        if first == last:
            return sa.literal(first, sa.BigInteger)
        middle = (first + last) // 2
        return sa.case((column < begins[middle], among(first, middle)), else_=among(middle + 1, last))

    return among(0, len(begins))


class Zones(NamedTuple):
    """The time zones of programs: those that are not named go by DEFAULT_ZONE."""

    named: Mapping[UUID, str]

    def of(self, program_id: UUID) -> str:
        """A program's."""
        return self.named.get(program_id, DEFAULT_ZONE)

    @property
    def all(self) -> list[str]:
        """Each zone once, in order; the default's programs may be unnamed."""
        return sorted({DEFAULT_ZONE, *self.named.values()})

    def condition(self, column: sa.ColumnElement[UUID], zone: str) -> sa.ColumnElement[bool]:
        """The condition for a program of a zone."""
        if zone == DEFAULT_ZONE:
            return column.not_in(_others(self.named, zone))
        return column.in_([program_id for program_id, own in self.named.items() if own == zone])


def _others(named: Mapping[UUID, str], zone: str) -> Iterable[UUID]:
    return [program_id for program_id, own in named.items() if own != zone]


def zones_of(ledger: Ledger, program_id: UUID | None = None) -> Zones:
    """The time zones of all programs, or of one, by the calendar that each has now."""
    asked = [program_id]
    if program_id is None:
        with ledger.database.read() as connection:
            asked = list(connection.execute(sa.select(programs.c.program_id)).scalars())
    desk = Desk(ledger)
    found: dict[UUID, str] = {}
    for each in asked:
        state = None if each is None else desk.program(each)
        if each is not None and state is not None:
            found[each] = zone_of(state)
    return Zones(found)
