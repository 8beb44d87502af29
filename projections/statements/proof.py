"""A statement with its proofs, as a file that others can check: docs/audit-log.md has the form."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from ledger.audit.revshare_verify import STATEMENT
from ledger.events.period import PeriodClosed
from ledger.store.application import Ledger
from projections import audit_log
from projections.checkpoints import covering
from projections.export import NotSealed, header, proven
from projections.statement import Statement
from projections.statements.deriving import closings, content
from projections.statements.issuing import restate, statement_row
from projections.tables import statements

Write = Callable[[bytes], Any]


def export_statement(ledger: Ledger, statement_id: UUID, write: Write) -> int:
    """Write a statement, then each fact that it rests on with its proof; how many facts.

    They are proven to be in the oldest checkpoint that covers its issue, so the file is the same for ever.
    Refuses with NotFound; raises NotSealed.
    """
    with ledger.database.read() as connection:
        row = statement_row(connection, statement_id)
        index = audit_log.index_of(connection, row.position)
        sealed = None if index is None else covering(connection, index)
        if sealed is None:
            raise NotSealed(f"no checkpoint covers statement {row.number} yet")
        made = restate(ledger, connection, row)
        places = sorted({*_lines(made), *_frame(ledger, connection, row)})
    write(header(STATEMENT, sealed.note))
    write(content(made) + b"\n")
    for line in proven(ledger, places, sealed.size):
        write(line)
    return len(places)


def _lines(made: Statement) -> list[int]:
    return [line.position for line in made.lines]


def _frame(ledger: Ledger, connection: sa.Connection, row: Any) -> list[int]:
    """Where the facts around the lines stand: its issue, the closing of its month and of the one before,
    the statement that its opening balance is from, and the one that it corrects."""
    closed = closings(ledger, row.program_id)
    periods = [each.fact.period for each in closed if isinstance(each.fact, PeriodClosed)]
    number = periods.index(row.period)
    found = [row.position, *(each.position for each in closed[max(number - 1, 0) : number + 1])]
    c = statements.c
    before = (
        sa.select(c.position)
        .where(
            c.program_id == row.program_id,
            c.partner_id == row.partner_id,
            c.currency == row.currency,
            c.period < row.period,
            c.version == 1,
        )
        .order_by(c.period.desc())
        .limit(1)
    )
    found += connection.execute(before).scalars()
    if row.corrects is not None:
        found.append(statement_row(connection, row.corrects).position)
    return found
