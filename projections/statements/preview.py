"""A look at a month that is open: what its statement would say now. It has no number and can change."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from ledger import period as rules
from ledger import program
from ledger.desk import PROGRAM
from ledger.period import PeriodsState
from ledger.refusals import InvalidField
from ledger.store.application import Ledger
from projections import position
from projections.folios import Account
from projections.statement import PREVIEW, Amounts, Statement
from projections.statements.closing import JOURNAL, legs_of, periods_of
from projections.statements.deriving import Identity, Part, closings, derive, last_closing, moved, total
from projections.tables import journal


def preview(ledger: Ledger, connection: sa.Connection, account: Account, period: str) -> Statement:
    """The statement of an open month as it stands. Refuses with UnknownProgram, InvalidField."""
    program_id: UUID = account[0]
    of = program.known(ledger.load(program_id, PROGRAM).state)
    state = periods_of(ledger, program_id)
    if rules.is_closed(state, rules.month(period)):
        raise InvalidField(f"{period} is closed: its statements are issued", pointer="/period")
    if state.first is not None and period < state.first:
        raise InvalidField(f"the program's first closed month is {state.first}", pointer="/period")
    span = rules.span(state, period, rules.zone_of(of))
    through = position.read(connection, [JOURNAL])[JOURNAL]
    opening = last_closing(connection, account, period)
    closed_through = state.through_position
    if state.last is None or period != rules.following(state.last.period):
        # Months before it are open, too: what is of them is in the opening balance, and nothing is late.
        opening = total([opening, _open_before(connection, account, state, span.begins_at, through)])
        closed_through = through
    part = Part(account, span, state.after_position, through, closed_through)
    identity = Identity(PREVIEW, 0, ledger.log.head(connection))
    return derive(ledger, connection, part, identity, opening, closed=closings(ledger, program_id))


def _open_before(
    connection: sa.Connection, account: Account, state: PeriodsState, begins_at: Any, through: int
) -> Amounts:
    c = journal.c
    program_id, partner_id, currency = account
    since = rules.EVER if state.last is None else state.last.ends_at
    query = sa.select(c.account, c.amount_minor).where(
        c.program_id == program_id,
        c.partner_id == partner_id,
        c.currency == currency,
        c.position > state.after_position,
        c.position <= through,
        *legs_of(c, state.through_position, since, begins_at),
    )
    return moved(connection.execute(query))
