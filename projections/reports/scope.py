"""Of what a report is: a program, a partner, a currency; what was true and known by when. And its rows."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, get_args
from uuid import UUID

import msgspec
import sqlalchemy as sa

from ledger.postings import Account
from projections.queries.as_of import by_then
from projections.tables import partners, programs

Row = dict[str, Any]
"""A row of a report: ids, names, whole numbers of minor units."""
ACCOUNTS: Final[tuple[str, ...]] = get_args(Account)
"""The chart of accounts, in the order in which reports show it."""
ROWS_AT_ONCE: Final = 1_000
NAMES: Final = ("program_id", "program", "partner_id", "partner")
"""Who a row is about: ids, and what we call them."""


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What a report counts. None asks for all; both times include the moment itself."""

    program_id: UUID | None = None
    partner_id: UUID | None = None
    currency: str | None = None
    effective_as_of: datetime | None = None
    recorded_as_of: datetime | None = None

    def conditions(self, columns: Any) -> list[sa.ColumnElement[bool]]:
        """The conditions on the columns of the journal."""
        equal = {"program_id": self.program_id, "partner_id": self.partner_id, "currency": self.currency}
        return [
            *(columns[name] == value for name, value in equal.items() if value is not None),
            *by_then(columns, self.effective_as_of, self.recorded_as_of),
        ]


def named(
    connection: sa.Connection, summed: sa.Select[Any], *order: str, by_currency: bool = True
) -> Iterator[Row]:
    """The rows of a statement, with the references of its programs and partners where it has their ids.

    They come in an order that is the same on both databases: by currency (unless told not to), program,
    partner, then the columns of `order`; a thousand at a time.
    """
    inner = summed.subquery()
    joined: sa.FromClause = inner
    keys: list[sa.ColumnElement[Any]] = [_bytes(connection, inner.c.currency)] if by_currency else []
    references: list[sa.ColumnElement[Any]] = []
    for key, table in (("program_id", programs), ("partner_id", partners)):
        if key in inner.c:
            joined = joined.outerjoin(table, table.c[key] == inner.c[key])
            reference = table.c.reference
            references.append(reference.label(key.removesuffix("_id")))
            keys += [_bytes(connection, sa.func.coalesce(reference, "")), inner.c[key]]
    statement = (
        sa.select(*inner.c, *references)
        .select_from(joined)
        .order_by(*keys, *(inner.c[name] for name in order))
    )
    nobody = dict.fromkeys(NAMES)
    found = connection.execute(statement, execution_options={"yield_per": ROWS_AT_ONCE})
    for row in found.mappings():
        yield {**nobody, **row}


def _bytes(connection: sa.Connection, column: Any) -> sa.ColumnElement[Any]:
    """Text in the order of its bytes, whatever the database's own language is."""
    return sa.collate(column, "C") if connection.dialect.name == "postgresql" else column


def places(column: Any) -> sa.ColumnElement[int]:
    """Where an account stands in the chart."""
    return sa.case(*((column == name, place) for place, name in enumerate(ACCOUNTS)), else_=len(ACCOUNTS))
