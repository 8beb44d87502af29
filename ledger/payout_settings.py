"""How a program pays out: its calendar, minimum, limit for two checkers and taxes by country. Pure."""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from ledger import checks
from ledger.events.base import Fact
from ledger.events.program import CountryWithholding, PayoutSchedule, PayoutSettingsChanged
from ledger.money import AMOUNT_MINOR_MAX, FULL_SHARE_BPS
from ledger.payout_commands import ChangePayoutSettings
from ledger.refusals import InvalidField

DAYS: Final = {"month": 31, "week": 7}
"""How many days of a period can be asked for."""


class PayoutSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a program pays out now. `scheduled_since` is when the schedule became what it is."""

    schedule: PayoutSchedule | None = None
    scheduled_since: datetime | None = None
    minimum_minor: int | None = None
    second_approval_over_minor: int | None = None
    withholding: tuple[CountryWithholding, ...] = ()
    us_source: bool = False

    def withholding_bps(self, country: str | None) -> int:
        """What is withheld in a country, where nothing else was said of the partner."""
        return next((each.rate_bps for each in self.withholding if each.country == country), 0)


NONE: Final = PayoutSettings()


def evolve(state: PayoutSettings, fact: PayoutSettingsChanged) -> PayoutSettings:
    """The settings after a change."""
    same = fact.schedule == state.schedule
    return PayoutSettings(
        schedule=fact.schedule,
        scheduled_since=state.scheduled_since if same else fact.effective_at,
        minimum_minor=fact.minimum_minor,
        second_approval_over_minor=fact.second_approval_over_minor,
        withholding=fact.withholding,
        us_source=fact.us_source,
    )


def change(command: ChangePayoutSettings, state: PayoutSettings, now: datetime) -> list[Fact]:
    """The settings as they are asked for; nothing new where they are so already."""
    if command.schedule is not None:
        _check_schedule(command.schedule)
    _check_limit(command.minimum_minor, "/minimum_minor")
    _check_limit(command.second_approval_over_minor, "/second_approval_over_minor")
    _check_withholding(command.withholding)
    wanted = PayoutSettingsChanged(
        effective_at=now,
        schedule=command.schedule,
        minimum_minor=command.minimum_minor,
        second_approval_over_minor=command.second_approval_over_minor,
        withholding=command.withholding,
        us_source=command.us_source,
    )
    return [] if evolve(state, wanted) == state else [wanted]


def withholding_rate(rate_bps: int, pointer: str) -> int:
    """A rate of tax in basis points, below the whole: something must be left to send."""
    if isinstance(rate_bps, bool) or not 0 <= rate_bps < FULL_SHARE_BPS:
        raise InvalidField(f"must be 0 to {FULL_SHARE_BPS - 1} basis points", pointer=pointer)
    return rate_bps


def _check_schedule(schedule: PayoutSchedule) -> None:
    if not 1 <= schedule.day <= DAYS[schedule.every]:
        raise InvalidField(f"must be 1 to {DAYS[schedule.every]}", pointer="/schedule/day")
    if not 0 <= schedule.hour <= 23:
        raise InvalidField("must be 0 to 23", pointer="/schedule/hour")
    try:
        ZoneInfo(schedule.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidField(
            "is no time zone of the IANA database, as Europe/London", pointer="/schedule/time_zone"
        ) from error


def _check_limit(value: int | None, pointer: str) -> None:
    if value is not None and (isinstance(value, bool) or not 0 <= value <= AMOUNT_MINOR_MAX):
        raise InvalidField(f"must be 0 to {AMOUNT_MINOR_MAX} minor units", pointer=pointer)


def _check_withholding(rates: tuple[CountryWithholding, ...]) -> None:
    seen = set()
    for index, each in enumerate(rates):
        checks.country(each.country, f"/withholding/{index}/country")
        withholding_rate(each.rate_bps, f"/withholding/{index}/rate_bps")
        if each.country in seen:
            raise InvalidField("stands there twice", pointer=f"/withholding/{index}/country")
        seen.add(each.country)
