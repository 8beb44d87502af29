"""Payout dates: the day of the month or week where the program is, whatever the clocks do there."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.events.program import PayoutSchedule
from ledger.payout_calendar import last_due, next_due


def monthly(day, time_zone="UTC", hour=6):
    """On a day of each month."""
    return PayoutSchedule(every="month", day=day, time_zone=time_zone, hour=hour)


def weekly(day, time_zone="UTC", hour=6):
    """On a day of each week."""
    return PayoutSchedule(every="week", day=day, time_zone=time_zone, hour=hour)


def at(text):
    """A moment."""
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("schedule", "now", "last", "following"),
    [
        (monthly(1), "2026-03-01T06:00:00Z", "2026-03-01", "2026-04-01"),
        (monthly(1), "2026-03-01T05:59:59Z", "2026-02-01", "2026-03-01"),
        (monthly(31), "2026-02-28T06:00:00Z", "2026-02-28", "2026-03-31"),
        (monthly(31), "2028-02-29T05:00:00Z", "2028-01-31", "2028-02-29"),
        (monthly(30), "2026-03-15T00:00:00Z", "2026-02-28", "2026-03-30"),
        (monthly(15), "2026-01-01T00:00:00Z", "2025-12-15", "2026-01-15"),
        (weekly(5), "2026-11-27T06:00:00Z", "2026-11-27", "2026-12-04"),
        (weekly(5), "2026-11-27T05:00:00Z", "2026-11-20", "2026-11-27"),
        (weekly(7), "2026-11-25T12:00:00Z", "2026-11-22", "2026-11-29"),
        (weekly(1), "2026-01-02T12:00:00Z", "2025-12-29", "2026-01-05"),
    ],
)
def test_the_last_date_and_the_next(schedule, now, last, following):
    """A day past the month's end is its last day; the moment itself has come."""
    assert last_due(schedule, at(now)).on == date.fromisoformat(last)
    assert next_due(schedule, at(now)).on == date.fromisoformat(following)


@pytest.mark.parametrize(
    ("schedule", "now", "moment"),
    [
        # 29 March 2026: in London 01:00 does not exist; 25 October: it is there twice.
        (monthly(29, "Europe/London", 1), "2026-03-29T12:00:00Z", "2026-03-29T01:00:00Z"),
        (monthly(25, "Europe/London", 1), "2026-10-25T12:00:00Z", "2026-10-25T00:00:00Z"),
        # Midnight itself is skipped in Beirut, and Auckland is a day ahead of UTC.
        (weekly(7, "Asia/Beirut", 0), "2026-03-29T12:00:00Z", "2026-03-28T22:00:00Z"),
        (monthly(1, "Pacific/Auckland", 6), "2026-01-31T18:00:00Z", "2026-01-31T17:00:00Z"),
        (monthly(1, "America/Los_Angeles", 23), "2026-07-02T07:00:00Z", "2026-07-02T06:00:00Z"),
        (monthly(31, "Asia/Kolkata", 0), "2026-01-30T19:00:00Z", "2026-01-30T18:30:00Z"),
    ],
)
def test_the_clocks_of_the_program_count(schedule, now, moment):
    """Its date and its hour, in UTC; a skipped hour is the next one, of a double one it is the first."""
    assert last_due(schedule, at(now)).at == at(moment)


zones = st.sampled_from(
    ["UTC", "Europe/London", "America/Sao_Paulo", "Asia/Beirut", "Pacific/Apia", "Australia/Lord_Howe"]
)
schedules = st.builds(monthly, st.integers(1, 31), zones, st.integers(0, 23)) | st.builds(
    weekly, st.integers(1, 7), zones, st.integers(0, 23)
)
moments = st.integers(0, 30 * 366 * 86_400).map(lambda s: at("2005-01-01T00:00:00Z") + timedelta(seconds=s))


@given(schedules, moments)
def test_dates_follow_each_other_without_gap_or_repetition(schedule, now):
    """The last has come, the next has not; from the next one's moment on it is the last."""
    last, following = last_due(schedule, now), next_due(schedule, now)

    assert last.at <= now < following.at
    assert last_due(schedule, following.at) == following
    assert last_due(schedule, following.at - timedelta(microseconds=1)) == last
    span = (following.on - last.on).days
    assert span == 7 if schedule.every == "week" else 28 <= span <= 31
    assert following.at.astimezone(ZoneInfo(schedule.time_zone)).date() - following.on <= timedelta(days=1)
