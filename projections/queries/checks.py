"""The books hold: what `revshare doctor` and the tests look for in the journal and the balances."""

from typing import Any, Final
from uuid import UUID

import msgspec
import sqlalchemy as sa

from projections.balances import COLUMNS
from projections.queries.money import Balance, balances, balances_as_of, totals_of
from projections.tables import journal

EXAMPLES_MAX: Final = 20
"""How many violations of one kind are named."""


class Violation(msgspec.Struct, frozen=True):
    """One place where the books do not hold: the rule, where, and by how much."""

    rule: str
    place: str
    detail: str


def zero_sum(connection: sa.Connection) -> list[Violation]:
    """What breaks the books; empty when they hold.

    Each position's legs sum to zero per currency, so does the whole journal; balances and folios equal it.
    """
    return [*_unbalanced_currencies(connection), *_unbalanced_positions(connection), *_balances(connection)]


def _unbalanced_currencies(connection: sa.Connection) -> list[Violation]:
    total = sa.func.sum(journal.c.amount_minor)
    statement = sa.select(journal.c.currency, total).group_by(journal.c.currency).having(total != 0)
    return [
        Violation("the journal sums to zero", f"currency {currency}", f"it sums to {amount}")
        for currency, amount in connection.execute(statement.order_by(journal.c.currency))
    ]


def _unbalanced_positions(connection: sa.Connection) -> list[Violation]:
    total = sa.func.sum(journal.c.amount_minor)
    key = (journal.c.position, journal.c.currency)
    statement = sa.select(*key, total).group_by(*key).having(total != 0).order_by(*key).limit(EXAMPLES_MAX)
    return [
        Violation("each entry sums to zero", f"position {position}", f"its legs sum to {amount} {currency}")
        for position, currency, amount in connection.execute(statement)
    ]


def _summed(connection: sa.Connection) -> dict[tuple[UUID, UUID, str], Balance]:
    """Every balance from all legs of the journal."""
    c = journal.c
    key = (c.program_id, c.partner_id, c.currency)
    summed = (c.account, sa.func.sum(c.amount_minor), sa.func.max(c.position))
    legs: dict[tuple[UUID, UUID, str], list[tuple[Any, ...]]] = {}
    for program, partner, currency, *leg in connection.execute(
        sa.select(*key, *summed).group_by(*key, c.account)
    ):
        legs.setdefault((program, partner, currency), []).append(tuple(leg))
    return {account: Balance(*account, *totals_of(each)) for account, each in legs.items()}


def _balances(connection: sa.Connection) -> list[Violation]:
    """Balances and the folios hold what the journal's legs come to."""
    summed = _summed(connection)
    return [
        *_compared("balances equal the journal", "is {}", balances(connection), summed),
        *_compared("folios equal the journal", "is {} by its folios", balances_as_of(connection), summed),
    ]


def _compared(
    rule: str, says: str, told: list[Balance], summed: dict[tuple[UUID, UUID, str], Balance]
) -> list[Violation]:
    kept = {(b.program_id, b.partner_id, b.currency): b for b in told}
    found: list[Violation] = []
    for key in sorted(kept.keys() | summed.keys()):
        for column in COLUMNS:
            have = getattr(kept.get(key), column, 0)
            want = getattr(summed.get(key), column, 0)
            if have != want:
                place = f"program {key[0]}, partner {key[1]}, {key[2]}"
                detail = f"{column} {says.format(have)}, the journal says {want}"
                found.append(Violation(rule, place, detail))
    return found[:EXAMPLES_MAX]
