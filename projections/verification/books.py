"""Balances → journal → events: sums in both tables, and every view against what the log gives."""

from collections.abc import Callable
from typing import Any, Final

import sqlalchemy as sa

from ledger.store.application import Ledger
from ledger.store.database import DatabaseUnavailable
from projections import position, rebuild, shadow, tables
from projections.balances import ACCOUNT_COLUMNS, COLUMNS, EARNED
from projections.rebuild import RebuildNotAllowed, RebuildOvertaken
from projections.verification.findings import Findings

POSITIONS: Final = ("view:journal", "view:balances")
KEY: Final = ("program_id", "partner_id", "currency")


def check_balances(ledger: Ledger, findings: Findings) -> int:
    """Hold each balance to the sum of the journal's legs: how many there are."""
    with ledger.database.read() as connection:
        shadow.see_one_moment(connection)
        reached = position.read(connection, POSITIONS)["view:balances"]
        rows = connection.execute(_sums(reached))
        summed = {tuple(row[:3]): tuple(map(int, row[3:])) for row in rows}
        c = tables.balances.c
        stored = connection.execute(sa.select(*(c[name] for name in (*KEY, *COLUMNS))))
        count = 0
        for row in stored:
            count += 1
            found, expected = tuple(row[3:]), summed.pop(tuple(row[:3]), (0,) * len(COLUMNS))
            if found != expected:
                _differs(findings, row[:3], expected, found)
        for key, expected in summed.items():
            _differs(findings, key, expected, None)
    return count


def check_end(connection: sa.Connection, reached: int, findings: Findings) -> None:
    """No leg stands behind the last leaf without a fact."""
    journal = tables.journal.c
    facts = sa.table("stored_events", sa.column("notification_id"))
    own = sa.select(facts.c.notification_id).where(facts.c.notification_id == journal.position)
    query = sa.select(journal.position).where(journal.position > reached, ~own.exists())
    for (place,) in connection.execute(query.distinct().order_by(journal.position)):
        findings.add("leg_inserted", {"position": place, "table": tables.journal.name}, "no leg", "a leg")


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


def _sums(reached: int) -> sa.Select[Any]:
    """The balances as the journal gives them: per holder one row, in the order of the table's columns."""
    c = tables.journal.c
    moved: list[list[Any]] = [[] for _ in COLUMNS]
    for account, (column, sign, earned) in ACCOUNT_COLUMNS.items():
        amount = sa.func.sum(sa.case((c.account == account, c.amount_minor), else_=0))
        moved[column].append(sign * amount)
        moved[EARNED].append(earned * amount)
    sums = [sum(terms[1:], terms[0]) for terms in moved]
    key = [c[name] for name in KEY]
    return sa.select(*key, *sums).where(c.position <= reached).group_by(*key)


def _differs(findings: Findings, key: Any, expected: Any, found: Any) -> None:
    place = {"table": tables.balances.name, **dict(zip(KEY, map(str, key), strict=True))}
    if found is None:
        findings.add("balance_differs", place, dict(zip(COLUMNS, expected, strict=True)), "no row")
        return
    for name, one, other in zip(COLUMNS, expected, found, strict=True):
        if one != other:
            findings.add("balance_differs", {**place, "column": name}, one, other)
            return
