"""A look at an open month: what its statement would say now, or then. It has no number and can change."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from ledger import period as rules
from ledger import program
from ledger.desk import PROGRAM
from ledger.events.base import Recorded
from ledger.events.period import PeriodClosed
from ledger.refusals import InvalidField
from ledger.store.application import Ledger
from projections import position
from projections.folios import Account
from projections.statement import PREVIEW, Amounts, Statement
from projections.statements.closing import JOURNAL, PERIODS, legs_of
from projections.statements.deriving import Identity, Part, closings, derive, last_closing, moved, total
from projections.statements.then import NOW, Then
from projections.tables import journal


def preview(
    ledger: Ledger, connection: sa.Connection, account: Account, period: str, then: Then = NOW
) -> Statement:
    """The statement of an open month as it stands, or as it stood: a month that was closed since `then` was
    known can be looked at as it was before. Refuses with UnknownProgram, InvalidField.
    """
    program_id: UUID = account[0]
    closed = [each for each in closings(ledger, program_id) if then.is_known(each)]
    state = PERIODS.after(each.fact for each in closed)
    if rules.is_closed(state, str(rules.month(period))):
        raise InvalidField(f"{period} is closed: its statements are issued", pointer="/period")
    if state.first is not None and period < state.first:
        raise InvalidField(f"the program's first closed month is {state.first}", pointer="/period")
    span = rules.span(state, period, _zone(ledger, program_id, then))
    if then.effective is not None and then.effective < span.begins_at:
        raise InvalidField(f"{period} begins at {span.begins_at.isoformat()}", pointer="/effective_as_of")
    through = position.read(connection, [JOURNAL])[JOURNAL]
    opening = _closed_with(connection, account, closed)
    closed_through = state.through_position
    if state.last is None or period != rules.following(state.last.period):
        # Months before it are open, too: what is of them is in the opening balance, and nothing is late.
        before = _moved_between(connection, account, state.last, span.begins_at, through, then)
        opening = total([opening, before])
        closed_through = through
    part = Part(account, span, state.after_position, through, closed_through, then)
    identity = Identity(PREVIEW, 0, ledger.log.head(connection))
    return derive(ledger, connection, part, identity, opening, closed=closed)


def _zone(ledger: Ledger, program_id: UUID, then: Then) -> str:
    """The time zone of the program's months, as it was known then. Refuses with UnknownProgram."""
    known = then.known(ledger.history(program_id))
    return rules.zone_of(program.known(PROGRAM.after(each.fact for each in known)))


def _closed_with(connection: sa.Connection, account: Account, closed: Sequence[Recorded]) -> Amounts:
    """What an account held at the end of these closed months. Its last statement tells it; what closed months
    moved that have none yet is added: a closing is there before the statements that it issues."""
    facts = [each.fact for each in closed if isinstance(each.fact, PeriodClosed)]
    if not facts:
        return Amounts()
    last = facts[-1]
    stated, held = last_closing(connection, account, rules.following(last.period))
    if stated == last.period:
        return held
    since = next((each for each in facts if each.period == stated), None)
    unstated = _moved_between(connection, account, since, last.ends_at, last.through_position, NOW)
    return total([held, unstated])


def _moved_between(
    connection: sa.Connection,
    account: Account,
    after: PeriodClosed | None,
    before: datetime,
    through: int,
    then: Then,
) -> Amounts:
    """What moved an account after a closed month (None: ever) and before a moment, up to a position."""
    c = journal.c
    program_id, partner_id, currency = account
    since: Any = rules.EVER if after is None else after.ends_at
    behind, closed_through = (0, 0) if after is None else (after.later_after_position, after.through_position)
    query = sa.select(c.account, c.amount_minor).where(
        c.program_id == program_id,
        c.partner_id == partner_id,
        c.currency == currency,
        c.position > behind,
        c.position <= through,
        *legs_of(c, closed_through, since, before),
        *then.legs(c),
    )
    return moved(connection.execute(query))
