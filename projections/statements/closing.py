"""Closing a month: its totals are of one exact position of the log, or it is not closed."""

import secrets
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa

from ledger import ids, program
from ledger import period as rules
from ledger.desk import PROGRAM
from ledger.engine.readiness import is_settled
from ledger.events.period import PeriodClosed, PeriodTotalsFrozen
from ledger.period import Books, ClosePeriod, PeriodsState, Span
from ledger.refusals import LostRace, ViewsBehind
from ledger.store.application import Change, Decider, Ledger
from projections import position, shadow
from projections.balances import Balances
from projections.folios import Account
from projections.journal import Journal
from projections.statements.facts import Tallies, Tally, books, hold_tallies, tallied
from projections.statements.lookout import Lookout, Unseen
from projections.tables import balances, journal
from projections.view import position_name

PERIODS: Final = Decider(rules.INITIAL, rules.evolve)
ENGINE: Final = "engine"
JOURNAL: Final = position_name(Journal())
BALANCES: Final = position_name(Balances())
"""Which tells the accounts."""
WAIT_S: Final = 5.0
"""How long the views and the engine are waited for."""
PAUSE_S: Final = 0.05
SALT_BYTES: Final = 16


class Bounds(NamedTuple):
    """Which legs are a month's: see PeriodClosed. `closed_through`: up to where the closing before looked."""

    span: Span
    after_position: int
    closed_through: int
    through_position: int


class Closed(msgspec.Struct, frozen=True):
    """A closed month and its totals; `new`: it was closed just now."""

    fact: PeriodClosed
    frozen: PeriodTotalsFrozen
    new: bool


def periods_of(ledger: Ledger, program_id: UUID) -> PeriodsState:
    """The closed months of a program."""
    return ledger.load(ids.periods_id(program_id), PERIODS).state


def close_period(
    ledger: Ledger,
    command: ClosePeriod,
    *,
    by: str,
    wait_s: float = WAIT_S,
    pause: Callable[[float], None] = time.sleep,
) -> Closed:
    """Close a month. Closed once, it is answered as it was closed.

    Refuses with UnknownProgram, InvalidField, EarlierPeriodOpen, PeriodNotOver, with JournalDiffers if the
    journal was edited, and with ViewsBehind if what is known of the month is not worked out within `wait_s`.
    """
    deadline = time.monotonic() + wait_s
    lookout = Lookout(ledger, command.program_id)
    while True:
        try:
            return _close(ledger, command, lookout, by)
        except Unseen as error:
            if time.monotonic() >= deadline:
                raise ViewsBehind(str(error)) from None
            pause(PAUSE_S)
        except LostRace:
            pause(0)  # somebody else closed it, or another one: that is looked at


def _close(ledger: Ledger, command: ClosePeriod, lookout: Lookout, by: str) -> Closed:
    stream = ids.periods_id(command.program_id)
    of = program.known(ledger.load(command.program_id, PROGRAM).state)
    state, version = ledger.load(stream, PERIODS)
    with ledger.database.read() as connection:
        shadow.see_one_moment(connection)  # so that what one reader has told is not behind another's back
        reached = position.read(connection, [JOURNAL, BALANCES, ENGINE])
        through, seen = min(reached[JOURNAL], reached[BALANCES]), min(reached.values())
        earliest = None if state.last else _earliest(connection, command.program_id)
        found = rules.to_close(
            command, state, time_zone=rules.zone_of(of), earliest=earliest, now=ledger.clock()
        )
        if found is None:
            return Closed(*as_closed(ledger, stream, command.period), new=False)
        lookout.refuse_unseen(connection, found, seen)
        _refuse_unsettled(connection, command.program_id, found, reached[ENGINE])
        held = books_of(ledger, connection, command.program_id, state, found, through)
    facts = rules.close(command, state, found, held, salt=secrets.token_hex(SALT_BYTES), by=by)
    with ledger.database.glance() as connection:
        # What came while the books were made: under the lock only what comes from here on is looked at.
        lookout.refuse_unseen(connection, found, seen)

    def nothing_unseen(writing: sa.Connection) -> None:
        lookout.refuse_new(writing, found, seen)

    if ledger.append([Change(stream, version, facts)], by=by, within=nothing_unseen) is None:
        raise LostRace(f"the periods of program {command.program_id} were changed by somebody else")
    return Closed(*facts, new=True)


def _refuse_unsettled(connection: sa.Connection, program_id: UUID, found: Span, seen: int) -> None:
    last = found.ends_at - timedelta(microseconds=1)
    if not is_settled(connection, position=seen, until=last, program_id=program_id):
        raise Unseen(f"the engine has not worked out all of {found.period} yet")


def as_closed(ledger: Ledger, stream: UUID, period: str) -> tuple[PeriodClosed, PeriodTotalsFrozen]:
    """A closed month as it was closed; `stream` is that of its program's periods."""
    facts = [each.fact for each in ledger.history(stream)]
    closed = next(each for each in facts if isinstance(each, PeriodClosed) and each.period == period)
    frozen = next(each for each in facts if isinstance(each, PeriodTotalsFrozen) and each.period == period)
    return closed, frozen


def _earliest(connection: sa.Connection, program_id: UUID) -> Any:
    c = journal.c
    return connection.execute(
        sa.select(sa.func.min(c.effective_at)).where(c.program_id == program_id)
    ).scalar()


def books_of(
    ledger: Ledger,
    connection: sa.Connection,
    program_id: UUID,
    state: PeriodsState,
    found: Span,
    through: int,
) -> Books:
    """What the facts say of an open month, up to a position of the log. Refuses with JournalDiffers if the
    journal, of which its statements will be, says something else."""
    told = tallied(ledger, connection, program_id, state, found, through)
    part = Bounds(found, state.after_position, state.through_position, through)
    hold_tallies(told, in_journal(connection, program_id, part))
    return books(told, through)


def in_journal(connection: sa.Connection, program_id: UUID, part: Bounds) -> Tallies:
    """What the journal has of a month."""
    of = balances.c
    accounts = sa.select(of.partner_id, of.currency).where(of.program_id == program_id)
    tallies: Tallies = {}
    # Account by account: so an index bounds what is read by the position, however long the history.
    for partner_id, currency in connection.execute(accounts).all():
        tallies |= of_account(connection, (program_id, partner_id, currency), part)
    return tallies


def of_account(connection: sa.Connection, account: Account, part: Bounds) -> Tallies:
    """What the journal has of a month for one partner in one currency: by account of the chart how many legs
    are of the month, their sum, where a later one is first."""
    c = journal.c
    program_id, partner_id, currency = account
    is_of = sa.and_(*legs_of(c, part.closed_through, part.span.begins_at, part.span.ends_at))
    query = (
        sa.select(
            c.account,
            sa.func.count(sa.case((is_of, 1))),
            sa.func.sum(sa.case((is_of, c.amount_minor), else_=0)),
            sa.func.min(sa.case((c.effective_at >= part.span.ends_at, c.position))),
        )
        .where(
            c.program_id == program_id,
            c.partner_id == partner_id,
            c.currency == currency,
            c.position > part.after_position,
            c.position <= part.through_position,
        )
        .group_by(c.account)
    )
    return {
        (partner_id, currency, name): Tally(legs, int(amount), later)
        for name, legs, amount, later in connection.execute(query)
    }


def legs_of(c: Any, closed_through: int, begins_at: Any, ends_at: Any) -> list[sa.ColumnElement[bool]]:
    """The conditions by which a leg is of a month: true in it, or before and told after the last closing."""
    return [c.effective_at < ends_at, sa.or_(c.effective_at >= begins_at, c.position > closed_through)]
