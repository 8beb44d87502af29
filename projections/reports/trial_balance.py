"""The trial balance: what each account was debited and credited with, and what that comes to."""

from collections.abc import Iterator
from typing import Final, Literal, get_args

import sqlalchemy as sa

from projections.reports.scope import NAMES, Row, Scope, named, places
from projections.tables import journal

By = Literal["account", "program", "partner"]
"""How finely: one row for each account and currency; of each program; of each of its partners."""
BY: Final[tuple[By, ...]] = get_args(By)
COLUMNS: Final = ("account", "currency", *NAMES, "debit_minor", "credit_minor", "balance_minor")


def trial_balance(connection: sa.Connection, scope: Scope, by: By = "account") -> Iterator[Row]:
    """Debits, credits and their difference (a debit balance is positive) of every account that moved.

    Each fact's legs sum to zero per currency, program and partner; so does each of these in the report, at
    any time that it is asked for.
    """
    c = journal.c
    about = {"account": (), "program": (c.program_id,), "partner": (c.program_id, c.partner_id)}[by]
    debit = sa.func.sum(sa.case((c.amount_minor > 0, c.amount_minor), else_=0))
    credit = sa.func.sum(sa.case((c.amount_minor < 0, -c.amount_minor), else_=0))
    summed = (
        sa.select(
            c.account,
            c.currency,
            *about,
            debit.label("debit"),
            credit.label("credit"),
            places(c.account).label("place"),
        )
        .where(*scope.conditions(c))
        .group_by(c.account, c.currency, *about)
    )
    for row in named(connection, summed, "place"):
        debits, credits_ = int(row["debit"]), int(row["credit"])
        amounts = {"debit_minor": debits, "credit_minor": credits_, "balance_minor": debits - credits_}
        yield {name: row[name] if name in row else amounts[name] for name in COLUMNS}
