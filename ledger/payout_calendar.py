"""When a program's payouts are due: dates of its calendar, in its own time zone. Pure."""

import calendar
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ledger.events.program import PayoutSchedule


class DueDate(NamedTuple):
    """A date of the calendar, and the moment (in UTC) from which on its batch is drafted."""

    on: date
    at: datetime


def last_due(schedule: PayoutSchedule, now: datetime) -> DueDate:
    """The latest date whose moment has come."""
    due = _on(schedule, _date_of_period(schedule, _today(schedule, now)))
    return due if due.at <= now else _neighbour(schedule, due.on, -1)


def next_due(schedule: PayoutSchedule, now: datetime) -> DueDate:
    """The first date whose moment has not come yet."""
    return _neighbour(schedule, last_due(schedule, now).on, 1)


def _today(schedule: PayoutSchedule, now: datetime) -> date:
    return now.astimezone(ZoneInfo(schedule.time_zone)).date()


def _date_of_period(schedule: PayoutSchedule, day: date) -> date:
    """The calendar's date in the month or week of a day; in a month that is too short, its last day."""
    if schedule.every == "week":
        return day + timedelta(days=schedule.day - day.isoweekday())
    days = calendar.monthrange(day.year, day.month)[1]
    return day.replace(day=min(schedule.day, days))


def _neighbour(schedule: PayoutSchedule, on: date, step: int) -> DueDate:
    """The date one period before (-1) or after (1)."""
    if schedule.every == "week":
        return _on(schedule, on + timedelta(weeks=step))
    edge = on.replace(day=calendar.monthrange(on.year, on.month)[1] if step > 0 else 1)
    return _on(schedule, _date_of_period(schedule, edge + timedelta(days=step)))


def _on(schedule: PayoutSchedule, on: date) -> DueDate:
    """The moment of a date. An hour that the clocks skip is the next one; of one twice it is the first."""
    local = datetime.combine(on, time(schedule.hour), tzinfo=ZoneInfo(schedule.time_zone))
    return DueDate(on, local.astimezone(UTC))
