"""Two times of every fact: what was true at one moment, as far as it was known at another.

`effective_as_of` leaves out what became true later, `recorded_as_of` what we learned later; both are
inclusive, and None asks for all. A fact that is told late and dated back shows in one and not in the other.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from projections.queries.paging import Row
from projections.tables import journal


def by_then(
    columns: Any, effective_as_of: datetime | None, recorded_as_of: datetime | None
) -> list[sa.ColumnElement[bool]]:
    """The conditions under which a row's fact was true, and known, by then."""
    conditions: list[sa.ColumnElement[bool]] = []
    if effective_as_of is not None:
        conditions.append(columns.effective_at <= effective_as_of)
    if recorded_as_of is not None:
        conditions.append(columns.recorded_at <= recorded_as_of)
    return conditions


def rewards_as_of(
    connection: sa.Connection,
    found: list[Row],
    effective_as_of: datetime | None,
    recorded_as_of: datetime | None,
) -> list[Row]:
    """These rewards, which were there by then, with what had become of them: from their journal's legs."""
    c = journal.c
    legs = sa.select(c.reward_id, c.account, c.amount_minor, c.effective_at).where(
        c.reward_id.in_([row["reward_id"] for row in found]), *by_then(c, effective_as_of, recorded_as_of)
    )
    reversed_minor: dict[UUID, int] = {}
    matured_at: dict[UUID, datetime] = {}
    for reward_id, account, amount, effective_at in connection.execute(legs) if found else ():
        if amount < 0 and account == "commission_expense":
            reversed_minor[reward_id] = reversed_minor.get(reward_id, 0) - amount
        elif amount < 0 and account == "commission_payable":
            matured_at[reward_id] = effective_at
    return [
        {
            **row,
            "reversed_minor": reversed_minor.get(row["reward_id"], 0),
            "stage": "matured" if row["reward_id"] in matured_at else "held",
            "matured_at": matured_at.get(row["reward_id"]),
        }
        for row in found
    ]
