"""Balances → journal → events: sums in both tables, and every view against what the log gives."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from ledger.store.application import Ledger
from ledger.store.database import DatabaseUnavailable
from projections import position, rebuild, shadow, tables
from projections.balances import ACCOUNT_COLUMNS, COLUMNS, EARNED
from projections.rebuild import RebuildNotAllowed, RebuildOvertaken
from projections.verification.findings import Findings
from projections.verification.reading import Held, holder_of

POSITIONS: Final = ("view:journal", "view:balances")
KEY: Final = ("program_id", "partner_id", "currency")


class Books(NamedTuple):
    """What all legs of the journal up to a position sum to, as they were read and hashed."""

    held: Held
    upto: int


def check_balances(ledger: Ledger, findings: Findings, books: Books | None) -> int:
    """Hold each balance to the sum of the journal's legs: how many there are. Without `books`, or where the
    balances have not come so far, all legs are summed by the database."""
    with ledger.database.read() as connection:
        shadow.see_one_moment(connection)
        reached = position.read(connection, POSITIONS)["view:balances"]
        summed: dict[tuple[Any, ...], list[int]] = {}
        after = None
        if books is not None and books.upto <= reached:
            after = books.upto
            _add_read(summed, books.held, hexed=not ledger.database.is_postgresql)
        for row in connection.execute(_sums(after, reached)):
            there = summed.setdefault(tuple(row[:3]), [0] * len(COLUMNS))
            summed[tuple(row[:3])] = [one + int(more) for one, more in zip(there, row[3:], strict=True)]
        c = tables.balances.c
        stored = connection.execute(sa.select(*_key(c), *(c[name] for name in COLUMNS)))
        count = 0
        for row in stored:
            count += 1
            found = list(row[3:])
            expected = summed.pop(tuple(row[:3]), [0] * len(COLUMNS))
            if found != expected:
                _differs(findings, row[:3], expected, found)
        for key, expected in summed.items():
            _differs(findings, key, expected, None)
    return count


def _key(columns: Any) -> list[sa.ColumnElement[Any]]:
    """Whose balance a row is, as the database itself has it: it need not be what it must be."""
    return [sa.type_coerce(columns[name], sa.types.NullType()) for name in KEY]


def _add_read(summed: dict[tuple[Any, ...], list[int]], held: Held, *, hexed: bool) -> None:
    """What was read of the journal, in the columns of balances. `hexed`: ids are text in the database."""
    for leg, amount in held.items():
        account, currency, program, partner = holder_of(leg)
        key = (program.hex, partner.hex, currency) if hexed else (program, partner, currency)
        sums = summed.setdefault(key, [0] * len(COLUMNS))
        if account in ACCOUNT_COLUMNS:
            column, sign, earned = ACCOUNT_COLUMNS[account]
            sums[column] += sign * amount
            sums[EARNED] += earned * amount


def check_end(connection: sa.Connection, reached: int, findings: Findings) -> None:
    """No leg stands behind the last leaf without a fact."""
    journal = tables.journal.c
    facts = sa.table("stored_events", sa.column("notification_id"))
    own = sa.select(facts.c.notification_id).where(facts.c.notification_id == journal.position)
    query = sa.select(journal.position).where(journal.position > reached, ~own.exists())
    for (place,) in connection.execute(query.distinct().order_by(journal.position)):
        findings.add("leg_inserted", {"position": place, "table": tables.journal.name}, "no leg", "a leg")


def check_ahead(connection: sa.Connection, findings: Findings) -> None:
    """No row of the views that are checked here stands behind the position that they have come to, in one
    moment: else that was set back, and what they have from there on would be looked at by nobody."""
    for view, table in (("view:journal", tables.journal), ("view:periods", tables.statements)):
        reached = position.read(connection, [view])[view]
        ahead = sa.select(sa.func.min(table.c.position)).where(table.c.position > reached)
        found = connection.execute(ahead).scalar()
        if found is not None:
            place = {"view": view, "table": table.name, "position": found}
            findings.add("view_differs", place, f"no row behind position {reached}", "a row")


def check_views(ledger: Ledger, findings: Findings, progress: Callable[[int, int], None]) -> None:
    """Hold every view to what a replay of the log gives. Raises RebuildNotAllowed, RebuildOvertaken."""
    try:
        differences = rebuild.check(ledger, (), progress)
    except (DatabaseUnavailable, RebuildNotAllowed, RebuildOvertaken):
        raise
    except Exception as error:
        if not findings.firsts:
            raise
        # Of a log that was tampered with nothing need be possible; what is wrong with it was named before.
        findings.add("view_unmade", {"error": type(error).__name__}, "a replay", str(error)[:200])
        return
    for view, difference in differences:
        place = {"view": view, "table": difference.table, **difference.key}
        expected = "no row" if difference.rebuilt is None else difference.rebuilt
        findings.add(
            "view_differs", place, expected, "no row" if difference.live is None else difference.live
        )


def _sums(after: int | None, upto: int) -> sa.Select[Any]:
    """What the legs behind a position (None: all), up to another, give: a row for each holder, in the order
    of the table's columns."""
    c = tables.journal.c
    moved: list[list[Any]] = [[] for _ in COLUMNS]
    for account, (column, sign, earned) in ACCOUNT_COLUMNS.items():
        amount = sa.func.sum(sa.case((c.account == account, c.amount_minor), else_=0))
        moved[column].append(sign * amount)
        moved[EARNED].append(earned * amount)
    sums = [sum(terms[1:], terms[0]) for terms in moved]
    key = _key(c)
    query = sa.select(*key, *sums).where(c.position <= upto).group_by(*key)
    return query if after is None else query.where(c.position > after)


def _differs(findings: Findings, key: Any, expected: Any, found: Any) -> None:
    place = {"table": tables.balances.name, **dict(zip(KEY, map(_named, key), strict=True))}
    if found is None:
        findings.add("balance_differs", place, dict(zip(COLUMNS, expected, strict=True)), "no row")
        return
    for name, one, other in zip(COLUMNS, expected, found, strict=True):
        if one != other:
            findings.add("balance_differs", {**place, "column": name}, one, other)
            return


def _named(value: Any) -> str:
    try:
        return str(UUID(value)) if isinstance(value, str) else str(value)
    except ValueError:
        return str(value)
