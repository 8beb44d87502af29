"""A month of the calendar, and where it begins in a time zone. Pure."""

import re
from datetime import UTC, date, datetime, time
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

_WRITTEN: Final = re.compile(r"([0-9]{4})-([0-9]{2})", re.ASCII)
FIRST_YEAR, LAST_YEAR = 1970, 9_000
"""Months that can be named are of these years, in closings as in reports: the calendar has one after them."""


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
