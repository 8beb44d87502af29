"""Statements and closed months as they are asked for: lists, and one with all that it says."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from ledger.store.application import Ledger
from projections import audit_log
from projections.checkpoints import covering
from projections.periods import UNTOLD
from projections.queries.paging import LIMIT, Cursor, Page, Row, filtered, one, page
from projections.statement import Statement
from projections.statements.deriving import content_sha256
from projections.statements.issuing import as_issued, restate, statement_row
from projections.tables import periods, statements


class StatementDiffers(Exception):
    """The ledger does not say any more what was issued: it, or a view, was tampered with."""


def load(ledger: Ledger, connection: sa.Connection, row: Any) -> Statement:
    """A statement whole, from its row. Raises StatementDiffers."""
    made = restate(ledger, connection, row)
    if content_sha256(made) != row.content_sha256:
        raise StatementDiffers(f"statement {row.number} is not what was issued: run `revshare verify`")
    index = audit_log.index_of(connection, row.position)
    sealed = None if index is None else covering(connection, index)
    # The log's own signature alone: what witnesses add later would make other bytes of it.
    note = None if sealed is None else sealed.note
    return msgspec.structs.replace(as_issued(made, row, row), checkpoint=note)


def load_by_id(ledger: Ledger, connection: sa.Connection, statement_id: UUID) -> Statement:
    """A statement whole. Refuses with NotFound; raises StatementDiffers."""
    return load(ledger, connection, statement_row(connection, statement_id))


def list_statements(
    connection: sa.Connection,
    *,
    program_id: UUID | None = None,
    partner_id: UUID | None = None,
    period: str | None = None,
    currency: str | None = None,
    effective_as_of: datetime | None = None,
    recorded_as_of: datetime | None = None,
    after: Cursor | None = None,
    limit: int = LIMIT,
) -> Page:
    """Issued statements, the latest first; by either time those that were issued by then.

    Both ask for the same: a statement is true, and known, from its issue on.
    """
    statement = filtered(statements, partner_id=partner_id)
    equal = {"program_id": program_id, "period": period, "currency": currency}

    def also(c: Any) -> Sequence[sa.ColumnElement[bool]]:
        return [
            *(c[name] == value for name, value in equal.items() if value is not None),
            *(c.recorded_at <= time for time in (effective_as_of, recorded_as_of) if time is not None),
        ]

    order = [statements.c.recorded_at, statements.c.statement_id]
    asked = also if also(statements.c) else None
    return page(connection, statement, order, after=after, limit=limit, descending=True, also=asked)


def list_periods(
    connection: sa.Connection, *, program_id: UUID, after: Cursor | None = None, limit: int = LIMIT
) -> Page:
    """The closed months of a program, the latest first."""
    statement = _closed(program_id=program_id)
    return page(connection, statement, [periods.c.period], after=after, limit=limit, descending=True)


def period_row(connection: sa.Connection, program_id: UUID, period: str) -> Row | None:
    """A closed month, or None."""
    return one(connection, _closed(program_id=program_id, period=period))


def _closed(**equal: Any) -> sa.Select[Any]:
    return filtered(periods, **equal).where(periods.c.totals != UNTOLD)
