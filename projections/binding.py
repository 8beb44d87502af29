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
    """Add folios to the table of this name, and bind what they complete.

    The first two levels of all accounts together; above, a folio holds more than a batch has movements, so
    one account after the other: accounts that move alike bind alike, all in the same batch.
    """
    _add(connection, name, closed)
    bound = {account: _bound(connection, name, account, each) for account, each in closed.items()}
    _add(connection, name, bound)
    for account in list(bound):
        each = bound.pop(account)
        while each := _bound(connection, name, account, each):
            _add(connection, name, {account: each})


def _add(connection: sa.Connection, name: str, closed: Closed) -> None:
    rows = [row for account, each in closed.items() for folio in each for row in folios.rows(account, folio)]
    bulk.insert(connection, tables.folios, name, rows)


def _bound(connection: sa.Connection, name: str, account: Account, below: Sequence[Folio]) -> list[Folio]:
    """The folios of the next level that these complete."""
    if not below or (level := below[0].level) + 1 == folios.LEVELS:
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
    opened = _with_enough(connection, dict.fromkeys(accounts, _enough()))
    store(connection, tables.folios.name, _full(connection, opened, {}))


def filled(connection: sa.Connection, moved: Mapping[Account, Sequence[Movement]]) -> Closed:
    """The folios that movements fill whose legs are not in the journal yet. Nothing is stored."""
    lacking = {account: max(0, _enough() - LEGS_MIN * len(new)) for account, new in moved.items()}
    return _full(connection, _with_enough(connection, lacking), moved)


def _enough() -> int:
    """So many legs may be a folio; fewer are none."""
    return LEGS_MIN * folios.ENTRIES


def _full(
    connection: sa.Connection, opened: Sequence[_Open], moved: Mapping[Account, Sequence[Movement]]
) -> Closed:
    """The folios that an account's loose legs in the journal, and what moved it since, make up."""
    closed: dict[Account, list[Folio]] = {}
    for found in opened:
        loose = Loose(found.number, found.known_us)
        movements = (*_movements(connection, found), *moved.get(found.account, ()))
        made = [loose.add(movement) for movement in movements]
        full = [folio for folio in made if folio is not None]
        if full:
            closed[found.account] = full
    return closed


_WITH_ENOUGH: Final = """
    WITH asked AS ({asked}), known AS (
        SELECT asked.*, (SELECT max(f.number) FROM folios f WHERE {same} AND f.level = 0) AS number FROM asked
    ), ended AS (
        SELECT asked.*, (SELECT f.position FROM folios f WHERE {same} AND f.level = 0
        AND f.number = asked.number) AS position FROM known AS asked
    )
    SELECT asked.*, (
        SELECT f.known_at FROM folios f WHERE {same} AND f.level = 0 AND f.number = asked.number
    ) FROM ended AS asked WHERE asked.legs <= (
        SELECT count(*) FROM (
            SELECT 1 FROM journal f WHERE {same} AND f.position > coalesce(asked.position, 0) LIMIT {enough}
        ) AS legs
    )
"""
_SAME: Final = (
    "f.program_id = asked.program_id AND f.partner_id = asked.partner_id AND f.currency = asked.currency"
)
_ASKED_POSTGRESQL: Final = (
    "SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::bigint[])"
    " AS a(program_id, partner_id, currency, legs)"
)
_ASKED_SQLITE: Final = (
    "SELECT value ->> 0 AS program_id, value ->> 1 AS partner_id, value ->> 2 AS currency,"
    " value ->> 3 AS legs FROM json_each(?)"
)


def _with_enough(connection: sa.Connection, lacking: Mapping[Account, int]) -> list[_Open]:
    """The accounts that have at least so many legs behind their last folio."""
    if not lacking:
        return []
    asked = [(*account, lacking[account]) for account in sorted(lacking)]
    if connection.dialect.name == "postgresql":
        statement = _WITH_ENOUGH.format(asked=_ASKED_POSTGRESQL, same=_SAME, enough=_enough())
        given: Sequence[Any] = [list(column) for column in zip(*asked, strict=True)]
    else:
        statement = _WITH_ENOUGH.format(asked=_ASKED_SQLITE, same=_SAME, enough=_enough())
        given = [json.dumps([(program.hex, partner.hex, *rest) for program, partner, *rest in asked])]
    return [
        _Open(
            (UUID(str(program)), UUID(str(partner)), currency),
            0 if number is None else number + 1,
            position or 0,
            0 if known is None else to_us(known if isinstance(known, datetime) else text_to_time(known)),
        )
        for program, partner, currency, _, number, position, known in driver(connection).execute(
            statement, given
        )
    ]


def _movements(connection: sa.Connection, found: _Open) -> list[Movement]:
    """What moved an account behind its last folio."""
    program, partner, currency = found.account
    raw = driver(connection)
    if connection.dialect.name == "postgresql":
        given = (program, partner, currency, found.after)
        rows = raw.cursor(binary=True).execute(_MOVEMENTS.format(mark="%s"), given).fetchall()
    else:
        rows = raw.execute(_MOVEMENTS.format(mark="?"), (program.hex, partner.hex, currency, found.after))
    return [
        Movement(legs[0][1], legs[0][2], position, [leg[3:] for leg in legs])
        for position, group in groupby(rows, itemgetter(0))
        if (legs := list(group))
    ]


_MOVEMENTS: Final = (
    "SELECT position, effective_at, recorded_at, account, amount_minor FROM journal"
    " WHERE program_id = {mark} AND partner_id = {mark} AND currency = {mark} AND position > {mark}"
    " ORDER BY position, leg"
)
