"""Periods: a program's months, closed one after the other and never opened again. Pure.

A month begins where the one before ended; the time zone that the program's payout schedule names when it is
closed tells where it ends (without a schedule: UTC). What is learned of a closed month belongs to the first
month that is open in the order of the log.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from ledger import checks
from ledger.commands import Command
from ledger.events.base import Fact
from ledger.events.period import PeriodClosed, PeriodTotal, PeriodTotalsFrozen
from ledger.month import FIRST_YEAR, Month
from ledger.program import ProgramState
from ledger.refusals import EarlierPeriodOpen, InvalidField, PeriodNotOver

DEFAULT_ZONE: Final = "UTC"
EVER: Final = checks.EARLIEST
"""No fact is older."""
FIRST_MONTH: Final = Month(FIRST_YEAR, 1)


class ClosePeriod(Command, frozen=True, kw_only=True):
    """Close a month of a program, as `2026-10`."""

    program_id: UUID
    period: str
    reason: str | None = None


class Span(msgspec.Struct, frozen=True):
    """A month: from `begins_at` on, before `ends_at`."""

    period: str
    begins_at: datetime
    ends_at: datetime
    time_zone: str


class PeriodsState(msgspec.Struct, frozen=True):
    """The first month that was closed, and the last one with what it came to."""

    first: str | None = None
    last: PeriodClosed | None = None
    totals: tuple[PeriodTotal, ...] = ()

    @property
    def through_position(self) -> int:
        """The last position of the log that closed months look at."""
        return 0 if self.last is None else self.last.through_position

    @property
    def after_position(self) -> int:
        """Behind which position the legs of open months stand."""
        return 0 if self.last is None else self.last.later_after_position


INITIAL: Final = PeriodsState()


class Moved(NamedTuple):
    """By how much legs moved an account, and how many they are."""

    amount_minor: int = 0
    legs: int = 0


class Books(msgspec.Struct, frozen=True):
    """What the journal says of a month up to a position of the log: by how much each account (and currency)
    moved and in how many legs, and behind which position the legs of later months stand."""

    through_position: int
    later_after_position: int
    moved: Mapping[tuple[str, str], Moved]


def evolve(state: PeriodsState, fact: Fact) -> PeriodsState:
    """The periods after a fact."""
    if isinstance(fact, PeriodClosed):
        return PeriodsState(state.first or fact.period, fact, state.totals)
    if isinstance(fact, PeriodTotalsFrozen):
        return msgspec.structs.replace(state, totals=fact.totals)
    return state


def zone_of(program: ProgramState) -> str:
    """The time zone of a program's months."""
    schedule = program.payouts.schedule
    return DEFAULT_ZONE if schedule is None else schedule.time_zone


def month(period: str, pointer: str = "/period") -> Month:
    """A month as it is written: `2026-10`. Refuses with InvalidField."""
    try:
        return Month.parse(period)
    except ValueError:
        raise InvalidField("must be a month such as 2026-10", pointer=pointer) from None


def following(period: str) -> str:
    """The month after one that was closed, as it is written."""
    return str(Month.parse(period).following)


def span(state: PeriodsState, period: str, time_zone: str) -> Span:
    """An open month: the first begins where the last closed one ended."""
    of = Month.parse(period)
    begins_at, ends_at = of.begins_at(time_zone), of.following.begins_at(time_zone)
    if state.last is not None and period == following(state.last.period):
        begins_at = state.last.ends_at
    return Span(period, begins_at, ends_at, time_zone)


def is_of(state: PeriodsState, found: Span, effective_at: datetime, place: int) -> bool:
    """Whether a leg at a position of the log is of an open month: true in it, or before and told after the
    closing before it. So each is of one month, whenever it comes."""
    return effective_at < found.ends_at and (
        effective_at >= found.begins_at or place > state.through_position
    )


def is_closed(state: PeriodsState, period: str) -> bool:
    """Whether a month is closed."""
    return state.first is not None and state.last is not None and state.first <= period <= state.last.period


def to_close(
    command: ClosePeriod, state: PeriodsState, *, time_zone: str, earliest: datetime | None, now: datetime
) -> Span | None:
    """The month that a wish closes; None: it is closed.

    `earliest` is when the program's first money moved. Refuses with InvalidField, EarlierPeriodOpen and
    PeriodNotOver.
    """
    period = str(month(command.period))
    if command.reason is not None:
        checks.note(command.reason, "/reason")
    if is_closed(state, period):
        return None
    if state.first is not None and period < state.first:
        raise InvalidField(f"the program's first closed month is {state.first}", pointer="/period")
    expected = period
    if state.last is not None:
        expected = following(state.last.period)
    elif earliest is not None:
        # The first hours of 1970 are 1969's in some zones: a month that can't be named, so the next one's.
        expected = min(period, str(max(Month.of(earliest, time_zone), FIRST_MONTH)))
    if expected != period:
        raise EarlierPeriodOpen(f"{expected} is open: it is closed first", pointer="/period")
    found = span(state, period, time_zone)
    if found.ends_at > now:
        raise PeriodNotOver(f"{period} ends at {found.ends_at.isoformat()}", pointer="/period")
    return found


def close(
    command: ClosePeriod, state: PeriodsState, found: Span, books: Books, *, salt: str, by: str
) -> tuple[PeriodClosed, PeriodTotalsFrozen]:
    """The month is closed, with what the books say of it; `salt` is of this closing alone."""
    closed = PeriodClosed(
        program_id=command.program_id,
        period=found.period,
        begins_at=found.begins_at,
        ends_at=found.ends_at,
        time_zone=found.time_zone,
        through_position=books.through_position,
        after_position=state.after_position,
        later_after_position=books.later_after_position,
        closed_by=by,
    )
    frozen = PeriodTotalsFrozen(
        program_id=command.program_id,
        period=found.period,
        totals=_totals(state.totals, books.moved),
        salt=salt,
        reason=command.reason,
    )
    return closed, frozen


def _totals(before: Sequence[PeriodTotal], moved: Mapping[tuple[str, str], Moved]) -> tuple[PeriodTotal, ...]:
    opening = {(each.account, each.currency): each.opening_minor + each.moved_minor for each in before}
    return tuple(
        PeriodTotal(
            account=account,
            currency=currency,
            opening_minor=opening.get((account, currency), 0),
            moved_minor=moved.get((account, currency), Moved()).amount_minor,
            legs=moved.get((account, currency), Moved()).legs,
        )
        for account, currency in sorted({*opening, *moved})
    )
