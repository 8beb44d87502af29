"""Balances: what each account of the chart holds for a partner, in one row per program and currency."""

from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from ledger.events.base import Fact
from ledger.postings import MONEY_FACTS
from projections import bulk, tables
from projections.view import Batch, Names

Key = tuple[UUID, UUID, str]
Totals = dict[Key, list[int]]

PENDING, AVAILABLE, IN_TRANSIT, PAID, CLAWBACK, WITHHELD, EARNED, POSITION = range(8)

ACCOUNT_COLUMNS: Final[dict[str, tuple[int, int, int]]] = {
    # account: the column it moves, its sign there, its sign in `earned`
    "commission_accrued": (PENDING, -1, -1),
    "commission_payable": (AVAILABLE, -1, -1),
    "payout_clearing": (IN_TRANSIT, -1, -1),
    "stripe_balance": (PAID, -1, -1),
    "bank_balance": (PAID, -1, -1),
    "clawback_receivable": (CLAWBACK, 1, -1),
    "withholding_payable": (WITHHELD, -1, -1),
}
"""Expense and loss are the other side of these: what was written off was our loss and stays earned."""

COLUMNS: Final = tuple(c.name for c in tables.balances.columns if c.name.endswith("_minor"))


class Balances:
    """Sums of the journal's legs, kept as they grow."""

    name: Final = "balances"
    tables: Final[tuple[sa.Table, ...]] = (tables.balances,)
    append_only: Final = False
    facts: Final[tuple[type[Fact], ...]] = MONEY_FACTS

    def fold(self, batch: Batch) -> Totals:
        """By how much a batch moves each balance, and the position that moved it last."""
        totals: Totals = {}
        columns = ACCOUNT_COLUMNS
        for event, legs in batch.entries:
            for leg in legs:
                key = (leg.program_id, leg.partner_id, leg.currency)
                total = totals.get(key)
                if total is None:
                    total = totals[key] = [0] * (POSITION + 1)
                moved = columns.get(leg.account)
                if moved is not None:
                    column, sign, earned = moved
                    total[column] += sign * leg.amount_minor
                    total[EARNED] += earned * leg.amount_minor
                total[POSITION] = event.position
        return totals

    def write(self, connection: sa.Connection, changes: Totals, names: Names) -> None:
        """Let the rows grow."""
        rows: list[tuple[Any, ...]] = [(*key, *changes[key]) for key in sorted(changes)]
        bulk.upsert(connection, tables.balances, names["balances"], rows, add=COLUMNS)
