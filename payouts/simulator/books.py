"""The stand-in's own double-entry books: a movement of money is legs that sum to zero in each currency."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

PLATFORM = "platform"
WORLD = "world"  # Everything outside: the banks that top-ups come from.

SCHEMA = """
CREATE TABLE IF NOT EXISTS book (
    leg INTEGER PRIMARY KEY AUTOINCREMENT,
    movement TEXT NOT NULL,
    account TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount <> 0),
    created INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS book_total (
    account TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (account, currency)
) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS book_total_follows AFTER INSERT ON book BEGIN
    INSERT INTO book_total VALUES (new.account, new.currency, new.amount)
    ON CONFLICT (account, currency) DO UPDATE SET amount = amount + excluded.amount;
END;
CREATE TRIGGER IF NOT EXISTS book_is_never_changed BEFORE UPDATE ON book BEGIN
    SELECT RAISE(ABORT, 'the book is append-only');
END;
CREATE TRIGGER IF NOT EXISTS book_is_never_cut BEFORE DELETE ON book BEGIN
    SELECT RAISE(ABORT, 'the book is append-only');
END;
"""


class Leg(NamedTuple):
    """One side of a movement: what an account gets (positive) or gives (negative), in minor units."""

    account: str
    currency: str
    amount: int


class Unbalanced(Exception):
    """The legs of a movement do not sum to zero: a mistake of the stand-in itself."""


def move(connection: sqlite3.Connection, movement: str, legs: Sequence[Leg], created: int) -> None:
    """Write one movement, named after the object that caused it, or raise Unbalanced and write nothing."""
    sums: defaultdict[str, int] = defaultdict(int)
    for leg in legs:
        sums[leg.currency] += leg.amount
    if not legs or any(sums.values()):
        raise Unbalanced(f"{movement}: {dict(sums)}")
    connection.executemany(
        "INSERT INTO book (movement, account, currency, amount, created) VALUES (?, ?, ?, ?, ?)",
        [(movement, *leg, created) for leg in legs],
    )


def balance(connection: sqlite3.Connection, account: str, currency: str) -> int:
    """What an account holds in one currency, in minor units."""
    row = connection.execute(
        "SELECT amount FROM book_total WHERE account = ? AND currency = ?", (account, currency)
    ).fetchone()
    return int(row[0]) if row else 0


def balances(connection: sqlite3.Connection, account: str) -> dict[str, int]:
    """What an account holds, by currency, in minor units."""
    rows = connection.execute(
        "SELECT currency, amount FROM book_total WHERE account = ? ORDER BY currency", (account,)
    )
    return dict(rows.fetchall())


def trial_balance(connection: sqlite3.Connection) -> dict[str, Any]:
    """The whole book, added up anew from its legs.

    `balanced` says that every movement sums to zero in every currency and that the running totals agree with
    the legs.
    """
    crooked = connection.execute(
        "SELECT movement, currency, SUM(amount) FROM book GROUP BY movement, currency HAVING SUM(amount) <> 0"
    ).fetchall()
    accounts = connection.execute(
        "SELECT account, currency, SUM(amount) FROM book GROUP BY 1, 2 ORDER BY 1, 2"
    ).fetchall()
    totals = connection.execute(
        "SELECT account, currency, amount FROM book_total ORDER BY account, currency"
    ).fetchall()
    sums: defaultdict[str, int] = defaultdict(int)
    for _account, currency, amount in accounts:
        sums[currency] += amount
    movements = connection.execute("SELECT COUNT(DISTINCT movement) FROM book").fetchone()[0]
    return {
        "balanced": not crooked and not any(sums.values()) and accounts == totals,
        "unbalanced_movements": [list(row) for row in crooked],
        "sum_by_currency": dict(sums),
        "movements": movements,
        "accounts": [{"account": a, "currency": c, "amount": n} for a, c, n in accounts],
    }
