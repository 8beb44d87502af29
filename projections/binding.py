"""Keeping folios: closing those that are full, and binding sixteen of a level into one of the next."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from ledger.engine.tables import to_us
from ledger.store.database import driver
from projections import bulk, folios, tables
from projections.columns import text_to_time
from projections.folios import Account, Folio, Loose, Movement, Totals

Closed = Mapping[Account, Sequence[Folio]]
"""New folios of one level, by account, in their order."""
LEGS_MIN: Final = 2
"""Of one movement: what sums to zero."""


def store(connection: sa.Connection, name: str, closed: Closed) -> None:
    """Add folios to the table of this name, and bind what they complete."""
    while closed:
        rows = [
            row for account, each in closed.items() for folio in each for row in folios.rows(account, folio)
        ]
        bulk.insert(connection, tables.folios, name, rows)
        bound = {account: _bound(connection, name, account, each) for account, each in closed.items()}
        closed = {account: each for account, each in bound.items() if each}


def _bound(connection: sa.Connection, name: str, account: Account, below: Sequence[Folio]) -> list[Folio]:
    """The folios of the next level that these complete."""
    level = below[0].level
    if level + 1 == folios.LEVELS:
        return []
    found = []
    for last in below:
        number, place = divmod(last.number, folios.FANOUT)
        if place == folios.FANOUT - 1:
            totals = folios.together(_to_bind(connection, name, account, last))
            found.append(Folio(level + 1, number, last.position, last.known_us, None, totals))
    return found


def _to_bind(connection: sa.Connection, name: str, account: Account, last: Folio) -> list[Totals]:
    """The totals of the folios that are bound together, of which this is the last."""
    table = sa.table(name, *(sa.column(column.name, column.type) for column in tables.folios.columns))
    c, first = table.c, last.number - folios.FANOUT + 1
    asked = (
        sa.select(c.number, c.entries)
        .where(*of(c, account), c.level == last.level, c.number.between(first, last.number))
        .order_by(c.number, c.effective_from, c.sheet)
    )
    found = connection.execute(asked).all()
    return [
        folios.joined([folios.opened(packed) for _, packed in sheets])
        for _, sheets in groupby(found, itemgetter(0))
    ]


def of(columns: Any, account: Account) -> list[sa.ColumnElement[bool]]:
    """The conditions for what belongs to an account."""
    program, partner, currency = account
    return [columns.program_id == program, columns.partner_id == partner, columns.currency == currency]


# Closing, by the live tables: legs were added, whose accounts may have enough for a folio now


class _Open(NamedTuple):
    account: Account
    number: int
    after: int
    known_us: int


def close(connection: sa.Connection, accounts: Iterable[Account]) -> None:
    """Close what is full of these accounts, whose legs were added to the journal."""
    closed: dict[Account, list[Folio]] = {}
    for found in _with_enough(connection, sorted(accounts)):
        loose = Loose(found.number, found.known_us)
        made = [loose.add(movement) for movement in _movements(connection, found)]
        full = [folio for folio in made if folio is not None]
        if full:
            closed[found.account] = full
    store(connection, tables.folios.name, closed)


_WITH_ENOUGH: Final = """
    WITH asked AS ({asked}), known AS (
        SELECT asked.*, (SELECT max(f.number) FROM folios f WHERE {same} AND f.level = 0) AS number FROM asked
    ), ended AS (
        SELECT asked.*, (SELECT f.position FROM folios f WHERE {same} AND f.level = 0
        AND f.number = asked.number) AS position FROM known AS asked
    )
    SELECT asked.*, (
        SELECT f.known_at FROM folios f WHERE {same} AND f.level = 0 AND f.number = asked.number
    ) FROM ended AS asked WHERE {enough} <= (
        SELECT count(*) FROM (
            SELECT 1 FROM journal f WHERE {same} AND f.position > coalesce(asked.position, 0) LIMIT {enough}
        ) AS legs
    )
"""
_SAME: Final = (
    "f.program_id = asked.program_id AND f.partner_id = asked.partner_id AND f.currency = asked.currency"
)
_ASKED_POSTGRESQL: Final = (
    "SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[]) AS a(program_id, partner_id, currency)"
)
_ASKED_SQLITE: Final = (
    "SELECT value ->> 0 AS program_id, value ->> 1 AS partner_id, value ->> 2 AS currency FROM json_each(?)"
)


def _with_enough(connection: sa.Connection, accounts: Sequence[Account]) -> list[_Open]:
    """The accounts with so many legs behind their last folio that they may be enough for the next."""
    if not accounts:
        return []
    enough = LEGS_MIN * folios.ENTRIES
    if connection.dialect.name == "postgresql":
        statement = _WITH_ENOUGH.format(asked=_ASKED_POSTGRESQL, same=_SAME, enough=enough)
        given: Sequence[Any] = [list(column) for column in zip(*accounts, strict=True)]
    else:
        statement = _WITH_ENOUGH.format(asked=_ASKED_SQLITE, same=_SAME, enough=enough)
        given = [
            json.dumps([(program.hex, partner.hex, currency) for program, partner, currency in accounts])
        ]
    return [
        _Open(
            (UUID(str(program)), UUID(str(partner)), currency),
            0 if number is None else number + 1,
            position or 0,
            0 if known is None else to_us(known if isinstance(known, datetime) else text_to_time(known)),
        )
        for program, partner, currency, number, position, known in driver(connection).execute(
            statement, given
        )
    ]


def _movements(connection: sa.Connection, found: _Open) -> list[Movement]:
    """What moved an account behind its last folio."""
    c = tables.journal.c
    asked = (
        sa.select(c.position, c.effective_at, c.recorded_at, c.account, c.amount_minor)
        .where(*of(c, found.account), c.position > found.after)
        .order_by(c.position, c.leg)
    )
    return [
        Movement(first.effective_at, first.recorded_at, position, [leg[3:] for leg in legs])
        for position, group in groupby(connection.execute(asked), itemgetter(0))
        if (legs := list(group)) and (first := legs[0])
    ]
