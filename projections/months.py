"""Months of a program, in the time zone of its calendar. Pure, but for who reads the zones."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any, Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from ledger.desk import Desk
from ledger.period import DEFAULT_ZONE, zone_of
from ledger.store.application import Ledger
from projections.tables import programs

EARLIEST, LATEST = datetime(1971, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""Days before and after these are not counted: the calendar has ends, and a ledger nothing there."""
_WRITTEN: Final = re.compile(r"([0-9]{4})-([0-9]{2})", re.ASCII)
FIRST_YEAR, LAST_YEAR = 1970, 9_000


class Month(NamedTuple):
    """A month of the calendar; it is written 2026-05."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> "Month":
        """The month that is written so. Raises ValueError."""
        found = _WRITTEN.fullmatch(text)
        if found is None or not FIRST_YEAR <= int(found[1]) <= LAST_YEAR or not 1 <= int(found[2]) <= 12:
            raise ValueError("must be a month, as 2026-05")
        return cls(int(found[1]), int(found[2]))

    @classmethod
    def of(cls, moment: datetime, zone: str) -> "Month":
        """The month of a moment in a time zone."""
        there = moment.astimezone(ZoneInfo(zone))
        return cls(there.year, there.month)

    @property
    def first_day(self) -> date:
        """Its first day."""
        return date(self.year, self.number, 1)

    @property
    def following(self) -> "Month":
        """The month after it."""
        return Month(self.year + self.number // 12, self.number % 12 + 1)

    def begins_at(self, zone: str) -> datetime:
        """The moment of its beginning in a time zone, in UTC."""
        return day_begins_at(self.first_day, zone)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"


def day_begins_at(day: date, zone: str) -> datetime:
    """The moment at which a day begins in a time zone, in UTC."""
    return datetime.combine(day, time(), tzinfo=ZoneInfo(zone)).astimezone(UTC)


def months(first: Month, last: Month) -> list[Month]:
    """All months from one to another, both included; none where the last is before the first."""
    found = []
    while first <= last:
        found.append(first)
        first = first.following
    return found


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
