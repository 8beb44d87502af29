"""Issuing statements of closed months: in order, numbered by their stream, each exactly once.

The last statement of the stream tells where it stopped: accounts follow each other by partner and currency,
months by time. So it goes on from there, whoever calls it, and two at once only cost each other a race.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
import sqlalchemy as sa

from ledger import checks, ids, program
from ledger.commands import Command
from ledger.desk import PROGRAM
from ledger.events.base import Recorded
from ledger.events.period import PeriodClosed, StatementAmounts, StatementIssued
from ledger.refusals import LostRace, NotFound, NothingToCorrect, ViewsBehind
from ledger.store.application import ATTEMPTS_MAX, Change, Ledger
from projections import position, shadow
from projections.conversions import Conversions
from projections.periods import Periods
from projections.statement import Amounts, Statement
from projections.statements.closing import (
    BALANCES,
    JOURNAL,
    PAUSE_S,
    WAIT_S,
    Bounds,
    as_closed,
    in_journal,
    of_account,
)
from projections.statements.deriving import (
    Identity,
    Part,
    closings,
    content_sha256,
    derive,
    differences,
    last_closing,
    moved_accounts,
    part_of,
)
from projections.statements.facts import Tallies, hold_tallies, hold_totals
from projections.tables import statements as table
from projections.view import position_name

BATCH: Final = 50
"""Statements that are issued by one append."""
CONVERSIONS: Final = position_name(Conversions())
PERIODS: Final = position_name(Periods())

Key = tuple[UUID, str]
"""Partner and currency."""


class CorrectStatement(Command, frozen=True, kw_only=True):
    """Say a statement again, with names and payouts as they are known now."""

    statement_id: UUID
    reason: str


class Issued(msgspec.Struct, frozen=True):
    """How many statements were issued, and whether any closed month still misses some."""

    count: int
    is_complete: bool


class _Place(msgspec.Struct, frozen=True):
    """Where issuing stopped: after which statement, which version of the stream."""

    version: int
    position: int
    last: StatementIssued | None

    def is_done(self, period: str, key: Key) -> bool:
        """Whether an account's statement of a month was issued."""
        return self.last is not None and (period, *_order(key)) <= (
            self.last.period,
            *_order((self.last.partner_id, self.last.currency)),
        )


def number_of(reference: str, count: int) -> str:
    """How a program's statement is called."""
    return f"{reference}-{count:06}"


def issue(
    ledger: Ledger,
    program_id: UUID,
    *,
    by: str,
    wait_s: float = WAIT_S,
    seconds_max: float | None = None,
    pause: Callable[[float], None] = time.sleep,
    progress: Callable[[int], None] = lambda _count: None,
) -> Issued:
    """Issue what closed months of a program miss; with `seconds_max` it ends soon after that many seconds.

    Refuses with UnknownProgram, with ViewsBehind if the views do not come so far within `wait_s`, and with
    JournalDiffers if the journal is not what the closing froze or the facts post.
    """
    reference = program.known(ledger.load(program_id, PROGRAM).state).reference
    end = None if seconds_max is None else time.monotonic() + seconds_max
    closed = closings(ledger, program_id)
    count, number = 0, _first_open(closed, _place(ledger, program_id))
    while number < len(closed):
        place = _place(ledger, program_id)
        _wait_for(ledger, closed[number], place, wait_s, pause)
        missing = _missing(ledger, closed, number, place)
        for start in range(0, len(missing), BATCH):
            if end is not None and time.monotonic() >= end:
                return Issued(count, is_complete=False)
            some = missing[start : start + BATCH]
            if not _issue(ledger, reference, closed, number, place.version + start, some, by):
                break  # somebody else issued these: what is missing now is looked at anew
            count += len(some)
            progress(count)
        number += not missing
    return Issued(count, is_complete=True)


def correct(ledger: Ledger, command: CorrectStatement, *, by: str) -> tuple[UUID, Statement]:
    """Issue a new version of a statement: its id, and what it says. The newest version is the one corrected.

    Refuses with NotFound, InvalidField, and NothingToCorrect if the new one would say the same.
    """
    reason = checks.note(command.reason, "/reason")
    with ledger.database.read() as connection:
        program_id = statement_row(connection, command.statement_id).program_id
    reference = program.known(ledger.load(program_id, PROGRAM).state).reference
    for _ in range(ATTEMPTS_MAX):
        # The place goes first, and the view that has seen it before its rows: a version that is issued from
        # here on, by somebody else, costs this one the append; an earlier one is the version corrected.
        place = _place(ledger, program_id)
        with ledger.database.read() as connection:
            if place.position > position.read(connection, [PERIODS])[PERIODS]:
                raise ViewsBehind("the view of statements has not seen the last one yet")
            row = _newest_version(connection, statement_row(connection, command.statement_id))
            identity = Identity(
                number=number_of(reference, place.version + 1),
                version=row.version + 1,
                details_position=ledger.log.head(connection),
                corrects=row.number,
                reason=reason,
            )
            _, opening = last_closing(connection, (program_id, row.partner_id, row.currency), row.period)
            now = _said_again(ledger, connection, row, identity, opening)
        fact = _fact(now, identity, place.version + 1, corrects=row.statement_id)
        change = Change(ids.statements_id(row.program_id), place.version, [fact])
        recorded = ledger.append([change], by=by)
        if recorded is not None:
            return ids.statement_id(row.program_id, fact.count), as_issued(now, recorded[0], fact)
    raise LostRace("other statements were issued at the same time, again and again")


def as_issued(statement: Statement, recorded: Any, fact: Any) -> Statement:
    """A statement with how it was issued: from its fact, or from its row."""
    return msgspec.structs.replace(
        statement,
        issued_at=recorded.recorded_at,
        issued_by=getattr(recorded, "issued_by", None) or recorded.by,
        issued_position=recorded.position,
        content_sha256=fact.content_sha256,
    )


def statement_row(connection: sa.Connection, statement_id: UUID) -> Any:
    """The row of a statement. Refuses with NotFound."""
    row = connection.execute(sa.select(table).where(table.c.statement_id == statement_id)).first()
    if row is None:
        raise NotFound("no statement has this id, or the views do not show it yet")
    return row


def restate(ledger: Ledger, connection: sa.Connection, row: Any) -> Statement:
    """A statement as it was issued, derived from the ledger anew."""
    identity = Identity(row.number, row.version, row.details_position, content_version=row.content_version)
    opening = _frozen(row.opening)
    if row.corrects is None:
        return _derived(ledger, connection, row, identity, opening)
    before = statement_row(connection, row.corrects)
    identity = identity._replace(corrects=before.number, reason=row.reason)
    return _said_again(ledger, connection, before, identity, opening)


def _frozen(balance: bytes | str) -> Amounts:
    return msgspec.json.decode(balance, type=Amounts)


def _derived(
    ledger: Ledger, connection: sa.Connection, row: Any, identity: Identity, opening: Amounts
) -> Statement:
    """The statement of a row's account and month."""
    closed = closings(ledger, row.program_id)
    number = [_closed(each).period for each in closed].index(row.period)
    account = (row.program_id, row.partner_id, row.currency)
    part = part_of(account, _closed(closed[number]), _closed(closed[number - 1]) if number else None)
    return derive(ledger, connection, part, identity, opening, closed=closed)


def _said_again(
    ledger: Ledger, connection: sa.Connection, before: Any, identity: Identity, opening: Amounts
) -> Statement:
    """A correction of the statement in a row. What that was frozen with is held to what the facts give."""
    now = _derived(ledger, connection, before, identity, opening)
    was = msgspec.structs.replace(
        restate(ledger, connection, before), opening=_frozen(before.opening), closing=_frozen(before.closing)
    )
    found = differences(was, before.lines, now)
    if not found:
        raise NothingToCorrect(f"statement {was.number} would say what it says", pointer="/statement_id")
    return msgspec.structs.replace(now, differs=found)


def _newest_version(connection: sa.Connection, row: Any) -> Any:
    c = table.c
    query = sa.select(table).where(
        c.program_id == row.program_id,
        c.partner_id == row.partner_id,
        c.currency == row.currency,
        c.period == row.period,
    )
    return connection.execute(query.order_by(c.version.desc()).limit(1)).one()


# One batch


def _missing(
    ledger: Ledger, closed: Sequence[Recorded], number: int, place: _Place
) -> list[tuple[Key, Amounts, Tallies]]:
    """The accounts that miss a statement of a month, in order, each with its opening balance and what the
    journal has of it. Refuses with JournalDiffers if the journal's month is not what was frozen of it."""
    fact, before = _closed(closed[number]), _closed(closed[number - 1]) if number else None
    with ledger.database.read() as connection:
        shadow.see_one_moment(connection)
        held = _held(connection, before)
        part = part_of((fact.program_id, fact.program_id, ""), fact, before)
        accounts = {*moved_accounts(connection, part), *(key for key in held if _is_open(held[key]))}
        wanted = [key for key in sorted(accounts, key=_order) if not place.is_done(fact.period, key)]
        if not wanted and place.last is not None and place.last.period == fact.period:
            return []  # all of it was issued
        # Of a journal without some entry, or some partner, statements would be made without a word.
        of = in_journal(connection, fact.program_id, _bounds(part))
        _, frozen = as_closed(ledger, ids.periods_id(fact.program_id), fact.period)
        hold_totals(fact.period, frozen.totals, of)
        openings = {
            key: held.get(key) or last_closing(connection, (fact.program_id, *key), fact.period)[1]
            for key in wanted
        }
    told: dict[Key, Tallies] = {}
    for key, tally in of.items():
        told.setdefault(key[:2], {})[key] = tally
    return [(key, openings[key], told.get(key, {})) for key in wanted]


def _bounds(part: Part) -> Bounds:
    return Bounds(part.span, part.after_position, part.closed_through, part.through_position)


def _issue(
    ledger: Ledger,
    reference: str,
    closed: Sequence[Recorded],
    number: int,
    version: int,
    accounts: Sequence[tuple[Key, Amounts, Tallies]],
    by: str,
) -> bool:
    """Issue statements of a month upon a version of their stream; False if somebody else was quicker."""
    fact, before = _closed(closed[number]), _closed(closed[number - 1]) if number else None
    facts = []
    with ledger.database.read() as connection:
        shadow.see_one_moment(connection)  # the lines are of the legs that are counted
        for count, (key, opening, told) in enumerate(accounts, start=version + 1):
            identity = Identity(number_of(reference, count), 1, fact.through_position)
            part = part_of((fact.program_id, *key), fact, before)
            hold_tallies(told, of_account(connection, part.account, _bounds(part)))
            made = derive(ledger, connection, part, identity, opening, closed=closed)
            facts.append(_fact(made, identity, count))
    change = Change(ids.statements_id(fact.program_id), version, facts)
    return ledger.append([change], by=by) is not None


def _held(connection: sa.Connection, before: PeriodClosed | None) -> dict[Key, Amounts]:
    """What the accounts held at the end of the month before, by its statements."""
    if before is None:
        return {}
    c = table.c
    query = sa.select(c.partner_id, c.currency, c.closing).where(
        c.program_id == before.program_id, c.period == before.period, c.version == 1
    )
    return {
        (partner_id, currency): _frozen(closing)
        for partner_id, currency, closing in connection.execute(query)
    }


def _is_open(amounts: Amounts) -> bool:
    """Whether an account holds something: what it was ever paid is no reason for a statement."""
    held = (amounts.pending_minor, amounts.available_minor, amounts.in_transit_minor, amounts.clawback_minor)
    return any(held)


def _fact(
    made: Statement, identity: Identity, count: int, *, corrects: UUID | None = None
) -> StatementIssued:
    return StatementIssued(
        program_id=made.program.program_id,
        partner_id=made.partner.partner_id,
        period=made.period.period,
        currency=made.currency,
        number=made.number,
        count=count,
        statement_version=made.version,
        details_position=identity.details_position,
        content_version=made.content_version,
        opening=StatementAmounts(**msgspec.structs.asdict(made.opening)),
        closing=StatementAmounts(**msgspec.structs.asdict(made.closing)),
        lines=len(made.lines),
        content_sha256=content_sha256(made),
        corrects=corrects,
        reason=made.reason,
    )


# Where it stopped


def _place(ledger: Ledger, program_id: UUID) -> _Place:
    version = position_ = 0
    for recorded in ledger.newest_first(ids.statements_id(program_id)):
        version, position_ = version or recorded.originator_version, position_ or recorded.position
        fact = recorded.fact
        if isinstance(fact, StatementIssued) and fact.statement_version == 1:
            return _Place(version, position_, fact)
    return _Place(version, position_, None)


def _first_open(closed: Sequence[Recorded], place: _Place) -> int:
    """The first closed month that may miss statements."""
    if place.last is None:
        return 0
    return [_closed(each).period for each in closed].index(place.last.period)


def _wait_for(
    ledger: Ledger, closing: Recorded, place: _Place, wait_s: float, pause: Callable[[float], None]
) -> None:
    deadline = time.monotonic() + wait_s
    through = _closed(closing).through_position
    wanted = {JOURNAL: through, BALANCES: through, CONVERSIONS: through}
    if place.last is not None and place.last.period != _closed(closing).period:
        wanted[PERIODS] = place.position  # a month opens with what the statements before it say
    while True:
        with ledger.database.read() as connection:
            reached = position.read(connection, list(wanted))
        if all(reached[name] >= wanted[name] for name in wanted):
            return
        if time.monotonic() >= deadline:
            raise ViewsBehind(f"the views have not come to position {max(wanted.values())} of the log yet")
        pause(PAUSE_S)


def _order(key: Key) -> tuple[str, str]:
    return str(key[0]), key[1]


def _closed(recorded: Recorded) -> PeriodClosed:
    assert isinstance(recorded.fact, PeriodClosed)
    return recorded.fact
