"""A balance as it was: from a few folios and the movements that are in none, however long the history.

An account's folios are taken up to the last one of which all was known by `recorded_as_of`; each gives one
entry, the last by `effective_as_of`. Loose legs are read behind them: of the next folio, of those that hold
what an earlier clock recorded late, and of what no folio holds yet.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from ledger.engine.tables import to_us
from projections import folios
from projections.balances import ACCOUNT_COLUMNS
from projections.folios import Account
from projections.queries.plain import Statement, run

ALL: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""A time by which everything was true, and known."""
_LAST_POSITION: Final = 2**63 - 1


_OF: Final = "program_id = :program AND partner_id = :partner AND currency = :currency"
_NEXT: Final = "coalesce((SELECT number FROM known), -1) + 1"
EDGE: Final = Statement(f"""
    WITH known AS (
        SELECT number, position FROM folios WHERE {_OF} AND level = 0 AND known_at <= :recorded
        ORDER BY known_at DESC, number DESC LIMIT 1
    )
    SELECT 'known', number, 0, position FROM known
    UNION ALL SELECT 'last', number, 0, position FROM (
        SELECT number, position FROM folios WHERE {_OF} AND level = 0 ORDER BY number DESC LIMIT 1
    ) AS newest
    UNION ALL SELECT 'next', number, coalesce((SELECT position FROM known), 0), position
        FROM folios WHERE {_OF} AND level = 0 AND number = {_NEXT}
    UNION ALL SELECT 'late', number, (
            SELECT position FROM folios AS earlier
            WHERE {_OF} AND level = 0 AND earlier.number = later.number - 1
        ), position FROM folios AS later
        WHERE {_OF} AND +level = 0 AND late_from IS NOT NULL AND late_from <= :recorded AND number > {_NEXT}
""")
"""Which folio is the last of which all was known; which is the last at all; and which are read by legs.

The plus keeps SQLite from the primary key, where it would look at every later folio for the few late ones.
"""
_SUMS: Final = f"""
    SELECT NULL AS account, NULL AS amount, NULL AS position, (
        SELECT entries FROM folios WHERE {_OF} AND level = wanted.level AND number = wanted.number
        AND effective_from <= :effective ORDER BY effective_from DESC, sheet DESC LIMIT 1
    ) AS sheet FROM {{wanted}}
    UNION ALL SELECT account, sum(amount_minor), max(position), NULL FROM ({{legs}}) AS legs GROUP BY account
"""
"""Of each folio the sheet that holds its last entry by a time; and what the loose legs come to."""
_WANTED: Final = (
    "(SELECT value ->> 0 AS level, value ->> 1 AS number FROM json_each(:wanted)) AS wanted",
    "unnest(:levels::bigint[], :numbers::bigint[]) AS wanted(level, number)",
)
_LEGS: Final = f"""
    SELECT account, amount_minor, position FROM journal
    WHERE {_OF} AND position > :after{{0}} AND position <= :upto{{0}}
    AND recorded_at <= :recorded AND effective_at <= :effective
"""


class Edge(NamedTuple):
    """How many folios are taken whole, and the parts of the log whose legs are read one by one."""

    folios: int
    parts: list[tuple[int, int]]


def balance_as_of(
    connection: sa.Connection, account: Account, effective: datetime | None, recorded: datetime | None
) -> list[int] | None:
    """The columns of an account's balance as it was; None if nothing had happened by then."""
    program, partner, currency = account
    asked: dict[str, Any] = {
        "program": program,
        "partner": partner,
        "currency": currency,
        "effective": effective or ALL,
        "recorded": recorded or ALL,
    }
    edge = _edge(_run(connection, EDGE, asked))
    asked["wanted"] = taken(edge.folios)
    for number, (after, upto) in enumerate(edge.parts):
        asked |= {f"after{number}": after, f"upto{number}": upto}
    until = to_us(asked["effective"])
    sums = [0] * folios.SUMMED
    last = 0
    for name, amount, position, sheet in _run(connection, _sums(len(edge.parts)), asked):
        if sheet is not None:
            last = max(last, _add(sums, sheet, until))
        elif name is not None:
            last = max(last, position)
            if name in ACCOUNT_COLUMNS:
                column, sign, _ = ACCOUNT_COLUMNS[name]
                sums[column] += sign * int(amount)
    return folios.balance(sums, last) if last else None


def _edge(rows: Sequence[Sequence[Any]]) -> Edge:
    found = {kind: (number, position) for kind, number, _, position in rows if kind in ("known", "last")}
    loose = [(after, position) for kind, _, after, position in rows if kind in ("next", "late")]
    taken_whole = found["known"][0] + 1 if "known" in found else 0
    return Edge(taken_whole, [*loose, (found["last"][1] if "last" in found else 0, _LAST_POSITION)])


def taken(count: int) -> list[tuple[int, int]]:
    """The fewest folios, by level and number, that hold the first so many of level 0."""
    found = []
    first = 0
    for level in reversed(range(folios.LEVELS)):
        size = folios.FANOUT**level
        until = count // size * size
        found += [(level, number) for number in range(first // size, until // size)]
        first = until
    return found


def _add(sums: list[int], packed: bytes, until: int) -> int:
    """Add the last entry of a sheet by a time; the position that moved it last."""
    sheet = folios.opened(packed)
    place = bisect_right(sheet.effective, until) - 1
    for column, totals in sheet.numbers.items():
        sums[column] += totals[place]
    return sheet.positions[place]


@cache
def _sums(parts: int) -> Statement:
    legs = " UNION ALL ".join(_LEGS.format(number) for number in range(parts))
    return Statement(_SUMS, wanted=_WANTED, legs=(legs, legs))


def _run(connection: sa.Connection, statement: Statement, asked: Mapping[str, Any]) -> list[Any]:
    given = dict(asked)
    wanted = given.pop("wanted", ())
    if connection.dialect.name == "postgresql":
        given["levels"], given["numbers"] = [level for level, _ in wanted], [number for _, number in wanted]
    else:
        given["wanted"] = wanted
    return run(connection, statement, given)
