"""The facts behind a month: the journal can be edited, and what is frozen is held to what the facts post."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from ledger.events.base import Recorded
from ledger.events.period import PeriodTotal
from ledger.period import Books, Moved, PeriodsState, Span, is_of
from ledger.postings import MONEY_FACTS, Leg, postings
from ledger.refusals import JournalDiffers
from ledger.store.application import Ledger
from ledger.store.mapper import topics_of
from projections.folios import Account
from projections.journal import subjects

ROWS: Final = 2_000
"""Rows of the log that are read at once."""
TOPICS: Final = topics_of(MONEY_FACTS)

Key = tuple[UUID, str, str]
"""Partner, currency, account of the chart."""


class Tally(NamedTuple):
    """Of an account of the chart: how many legs are of the month, their sum, where a later one is first."""

    legs: int = 0
    amount: int = 0
    later: int | None = None


Tallies = dict[Key, Tally]


def tallied(
    ledger: Ledger,
    connection: sa.Connection,
    program_id: UUID,
    state: PeriodsState,
    found: Span,
    through: int,
) -> Tallies:
    """What the facts post for an open month of a program, up to a position of the log. Nothing is read of
    any view: the log is gone through from where open months begin."""
    tallies: Tallies = {}
    for place, effective_at, leg in _posted(ledger, connection, program_id, state.after_position, through):
        key = (leg.partner_id, leg.currency, leg.account)
        legs, amount, later = tallies.get(key, Tally())
        if effective_at >= found.ends_at:
            later = later or place
        elif is_of(state, found, effective_at, place):
            legs, amount = legs + 1, amount + leg.amount_minor
        tallies[key] = Tally(legs, amount, later)
    return tallies


def books(tallies: Tallies, through: int) -> Books:
    """What a month came to over all partners."""
    laters = (tally.later for tally in tallies.values() if tally.later is not None)
    return Books(
        through_position=through,
        later_after_position=min(laters, default=through + 1) - 1,
        moved=_moved(tallies),
    )


def _moved(tallies: Tallies) -> dict[tuple[str, str], Moved]:
    moved: dict[tuple[str, str], Moved] = {}
    for (_, currency, account), tally in tallies.items():
        if tally.legs:
            amount, legs = moved.get((account, currency), Moved())
            moved[account, currency] = Moved(amount + tally.amount, legs + tally.legs)
    return moved


def hold_totals(period: str, totals: Sequence[PeriodTotal], tallies: Tallies) -> None:
    """Refuses with JournalDiffers if what the journal has of a month is not what its closing froze."""
    frozen = {(each.account, each.currency): each for each in totals}
    moved = _moved(tallies)
    for account, currency in sorted({*frozen, *moved}):
        has, total = moved.get((account, currency), Moved()), frozen.get((account, currency))
        amount, legs = (0, 0) if total is None else (total.moved_minor, total.legs)
        if has.amount_minor != amount or legs not in (None, has.legs):
            counted = "" if legs is None else f" in {legs} legs"
            raise JournalDiffers(
                f"{account} in {currency}: the closing of {period} froze {amount}{counted}, the journal has"
                f" {has.amount_minor} in {has.legs} legs"
            )


def hold_tallies(told: Tallies, found: Tallies) -> None:
    """Refuses with JournalDiffers, which names the first account that the journal has otherwise."""
    for key in sorted({*told, *found}, key=str):
        expected, has = told.get(key, Tally()), found.get(key, Tally())
        if expected != has:
            partner_id, currency, account = key
            raise JournalDiffers(
                f"{account} of partner {partner_id} in {currency}: the facts post {expected.amount} in"
                f" {expected.legs} legs, the journal has {has.amount} in {has.legs}"
            )


def hold_legs(account: Account, place: int, recorded: Recorded | None, entry: Sequence[Any]) -> Recorded:
    """The fact at a position of the log, if the legs read there are those that it posts for the account.

    Refuses with JournalDiffers.
    """
    if recorded is None or _told(account, recorded) != [
        (
            leg.account,
            leg.amount_minor,
            leg.effective_at,
            leg.recorded_at,
            leg.reward_id,
            leg.payout_id,
            leg.conversion_id,
        )
        for leg in entry
    ]:
        raise JournalDiffers(f"the journal's legs at position {place} are not what the fact there posts")
    return recorded


def _told(account: Account, recorded: Recorded) -> list[tuple[Any, ...]]:
    fact: Any = recorded.fact
    return [
        (leg.account, leg.amount_minor, fact.effective_at, recorded.recorded_at, *subjects(recorded))
        for leg in postings(fact)
        if (leg.program_id, leg.partner_id, leg.currency) == account
    ]


def _posted(
    ledger: Ledger, connection: sa.Connection, program_id: UUID, after: int, through: int
) -> Iterator[tuple[int, datetime, Leg]]:
    # Only facts that name the program are decoded: of many programs, most are of others.
    named = str(program_id).encode()
    while rows := ledger.log.read_log(connection, after=after, limit=ROWS, stop=through, topics=TOPICS):
        for row in rows:
            if named in row[3]:
                fact: Any = ledger.decode(row).fact
                for leg in postings(fact):
                    if leg.program_id == program_id:
                        yield row[4], fact.effective_at, leg
        after = rows[-1][4]
