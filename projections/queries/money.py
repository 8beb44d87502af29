"""Balances now and as they were, and the journal behind them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

import msgspec
import sqlalchemy as sa

from projections.balances import ACCOUNT_COLUMNS, COLUMNS, EARNED
from projections.queries.as_of import by_then
from projections.queries.directory import payout_holds
from projections.queries.paging import LIMIT, LIMIT_MAX, Cursor, Page, cut, filtered, page, within
from projections.queries.past import balance_as_of
from projections.queries.plain import Statement, run
from projections.tables import balances as table
from projections.tables import journal, partners
from projections.tables import payout_holds as holds

KEY: Final = list(table.primary_key)
_KEYS: Final = tuple(column.name for column in KEY)
_WHOLE: Final = (*table.columns.keys(), "held")
_HELD: Final = (
    "EXISTS (SELECT 1 FROM payout_holds WHERE payout_holds.partner_id = balances.partner_id"
    " AND reason IS NOT NULL)"
)


class Balance(msgspec.Struct, frozen=True):
    """What a partner's account in a program holds. `position`: the log's position that moved it last."""

    program_id: UUID
    partner_id: UUID
    currency: str
    pending_minor: int
    available_minor: int
    in_transit_minor: int
    paid_minor: int
    clawback_minor: int
    withheld_minor: int
    earned_minor: int
    position: int


AsOfBalance = Balance
"""A balance as it was has the same fields; `position` is that of the last leg counted."""


class PartnerBalance(msgspec.Struct, frozen=True):
    """A partner's row in the table that the demo prints and writes."""

    partner: str
    currency: str
    earned: int
    pending: int
    available: int
    in_transit: int
    paid: int
    clawback: int


def balances(
    connection: sa.Connection,
    program_id: UUID | None = None,
    partner_id: UUID | None = None,
    currency: str | None = None,
) -> list[Balance]:
    """All balances of a program or a partner, ordered by program, partner and currency."""
    statement = filtered(table, program_id=program_id, partner_id=partner_id, currency=currency)
    found = connection.execute(statement.order_by(*table.primary_key))
    return [Balance(*row) for row in found]


def balance_of(connection: sa.Connection, program_id: UUID, partner_id: UUID, currency: str) -> Balance:
    """One balance; all zero, at position 0, for an account in which nothing happened yet."""
    found = balances(connection, program_id, partner_id, currency)
    return found[0] if found else Balance(program_id, partner_id, currency, *[0] * (len(COLUMNS) + 1))


def list_balances(
    connection: sa.Connection,
    *,
    program_id: UUID | None = None,
    partner_id: UUID | None = None,
    currency: str | None = None,
    after: Cursor | None = None,
    limit: int = LIMIT,
) -> Page:
    """Balances by program, partner and currency, each with the `payout_holds` of its partner."""
    found = _accounts(
        connection, True, after, limit, program_id=program_id, partner_id=partner_id, currency=currency
    )
    # Few are held: one statement is enough for most pages.
    held_now = {row["partner_id"] for row in found.rows if row.pop("held")}
    reasons = payout_holds(connection, held_now) if held_now else {}
    for row in found.rows:
        row["payout_holds"] = reasons.get(row["partner_id"], [])
    return found


def _accounts(connection: sa.Connection, whole: bool, after: Cursor | None, limit: int, **equal: Any) -> Page:
    """Whole balances, each with whether its partner is `held`; or the keys of their accounts alone."""
    given = {name: value for name, value in equal.items() if value is not None}
    if after is not None:
        return page(connection, _later_accounts(whole, given), KEY, after=after, limit=limit)
    limit = max(1, min(limit, LIMIT_MAX))
    found = run(connection, _first_accounts(whole, tuple(given)), {**given, "limit": limit + 1})
    names = _WHOLE if whole else _KEYS
    rows = [dict(zip(names, row, strict=True)) for row in found]
    if connection.dialect.name == "sqlite":
        for row in rows:
            row["program_id"], row["partner_id"] = UUID(row["program_id"]), UUID(row["partner_id"])
    return cut(rows, _KEYS, limit)


def _later_accounts(whole: bool, given: Mapping[str, Any]) -> sa.Select[Any]:
    held = sa.exists().where(holds.c.partner_id == table.c.partner_id, holds.c.reason.is_not(None))
    statement = filtered(table, **given)
    return statement.add_columns(held.label("held")) if whole else statement.with_only_columns(*KEY)


@cache
def _first_accounts(whole: bool, equal: tuple[str, ...]) -> Statement:
    """The page that nearly every reader of a balance asks for, by the driver: see plain."""
    columns = ", ".join(_WHOLE[:-1] if whole else _KEYS)
    held = f", {_HELD} AS held" if whole else ""
    where = " AND ".join(f"{name} = :{name}" for name in equal) or "true"
    return Statement(
        f"SELECT {columns}{held} FROM balances WHERE {where} ORDER BY {', '.join(_KEYS)} LIMIT :limit"
    )


def balances_as_of(
    connection: sa.Connection,
    program_id: UUID | None = None,
    partner_id: UUID | None = None,
    *,
    effective_as_of: datetime | None = None,
    recorded_as_of: datetime | None = None,
) -> list[Balance]:
    """All balances of a program or a partner as they were, in the order of `balances`. See as_of."""
    statement = filtered(table, program_id=program_id, partner_id=partner_id).with_only_columns(*KEY)
    accounts = connection.execute(statement.order_by(*KEY)).all()
    return _as_of(connection, accounts, effective_as_of, recorded_as_of)


def list_balances_as_of(
    connection: sa.Connection,
    *,
    program_id: UUID | None = None,
    partner_id: UUID | None = None,
    effective_as_of: datetime | None = None,
    recorded_as_of: datetime | None = None,
    after: Cursor | None = None,
    limit: int = LIMIT,
) -> Page:
    """Balances as they were, by program, partner and currency. See as_of.

    Accounts in which nothing had happened by then are left out of their page, which may be empty for it.
    """
    accounts = _accounts(connection, False, after, limit, program_id=program_id, partner_id=partner_id)
    keys = [tuple(row.values()) for row in accounts.rows]
    found = _as_of(connection, keys, effective_as_of, recorded_as_of)
    return Page([msgspec.structs.asdict(balance) for balance in found], accounts.next)


def _as_of(
    connection: sa.Connection,
    accounts: Sequence[Sequence[Any]],
    effective_as_of: datetime | None,
    recorded_as_of: datetime | None,
) -> list[Balance]:
    found = []
    for program, partner, currency in accounts:
        columns = balance_as_of(connection, (program, partner, currency), effective_as_of, recorded_as_of)
        if columns is not None:
            found.append(Balance(program, partner, currency, *columns))
    return found


def totals_of(legs: Iterable[Sequence[Any]]) -> list[int]:
    """What legs come to, as (account, amount, position): the columns of a balance."""
    total = [0] * (len(COLUMNS) + 1)
    for account, amount, position in legs:
        if account in ACCOUNT_COLUMNS:
            column, sign, earned = ACCOUNT_COLUMNS[account]
            total[column] += sign * int(amount)
            total[EARNED] += earned * int(amount)
        total[-1] = max(total[-1], position)
    return total


def list_journal(
    connection: sa.Connection,
    *,
    program_id: UUID | None = None,
    partner_id: UUID | None = None,
    currency: str | None = None,
    account: str | None = None,
    reward_id: UUID | None = None,
    payout_id: UUID | None = None,
    conversion_id: UUID | None = None,
    effective_from: datetime | None = None,
    effective_to: datetime | None = None,
    effective_as_of: datetime | None = None,
    recorded_as_of: datetime | None = None,
    after: Cursor | None = None,
    limit: int = LIMIT,
) -> Page:
    """Legs of the journal, in the order of the log. Of a reward, a payout or a partner an index knows them;
    by anything else they are looked for, a part of the journal for each page."""
    by_index = {"reward_id": reward_id, "payout_id": payout_id, "partner_id": partner_id}
    known = next((name for name, value in by_index.items() if value is not None), None)
    statement = filtered(journal, **({known: by_index.pop(known)} if known else {}))
    equal = {
        **by_index,
        "program_id": program_id,
        "currency": currency,
        "account": account,
        "conversion_id": conversion_id,
    }

    def also(c: Any) -> list[sa.ColumnElement[bool]]:
        return [
            *(c[name] == value for name, value in equal.items() if value is not None),
            *within(c.effective_at, effective_from, effective_to),
            *by_then(c, effective_as_of, recorded_as_of),
        ]

    order = [journal.c.position, journal.c.leg]
    asked = also if also(journal.c) else None
    return page(connection, statement, order, after=after, limit=limit, also=asked)


def partner_balances_for_demo(connection: sa.Connection, program_id: UUID) -> list[PartnerBalance]:
    """Every partner with a balance in a program, by reference and currency."""
    c = table.c
    columns = (c.earned_minor, c.pending_minor, c.available_minor, c.in_transit_minor, c.paid_minor)
    statement = (
        sa.select(partners.c.reference, c.currency, *columns, c.clawback_minor)
        .join(partners, partners.c.partner_id == c.partner_id)
        .where(c.program_id == program_id)
    )
    return sorted((PartnerBalance(*row) for row in connection.execute(statement)), key=_by_partner)


def _by_partner(row: PartnerBalance) -> tuple[str, str]:
    return row.partner, row.currency
