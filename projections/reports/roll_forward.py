"""The roll-forward: what we owed when a month began, every kind of movement in it, what we owe at its end.

Each kind of fact that moves money has a column of its own and nothing is left over: opening and columns come
to closing exactly, and a month's closing is the next one's opening.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, Literal, NamedTuple, get_args

import sqlalchemy as sa

from ledger.month import Month, months
from projections.reports.calendars import Calendar
from projections.reports.scope import ACCOUNTS, NAMES, Row, Scope, named
from projections.tables import journal

Movement = Literal[
    "accrued",
    "matured",
    "reversed",
    "clawed_back",
    "set_off",
    "written_off",
    "reserved",
    "released",
    "withheld",
    "paid",
    "returned",
]
MOVEMENTS: Final[tuple[Movement, ...]] = get_args(Movement)
Balance = Literal["owed", "accrued", "payable", "in_transit", "clawback", "withheld"]
BALANCES: Final[dict[Balance, dict[str, int]]] = {
    # what is rolled forward: the accounts that it is, each with its sign
    "owed": {"commission_accrued": -1, "commission_payable": -1, "payout_clearing": -1},
    "accrued": {"commission_accrued": -1},
    "payable": {"commission_payable": -1},
    "in_transit": {"payout_clearing": -1},
    "clawback": {"clawback_receivable": 1},
    "withheld": {"withholding_payable": -1},
}
"""`owed` is what we owe partners, held, payable or on its way: the three below it together."""
COLUMNS: Final = (
    *("period", "balance", "currency", *NAMES, "opening_minor"),
    *(f"{movement}_minor" for movement in MOVEMENTS),
    "closing_minor",
)
BEFORE: Final = 0
"""The bucket of what was before the first month; that of the first month is 1."""
MONTHS_MAX: Final = 120


class UnknownMovement(Exception):
    """A fact of the journal is none of the movements: the rule below has to learn it before it is told."""


class Moved(NamedTuple):
    """By how much one kind of movement moved each account of the chart (a debit is positive), in a bucket."""

    bucket: int
    movement: Movement
    legs: Mapping[str, int]


_COLUMNS_OF: Final[dict[tuple[Movement, Balance], Movement]] = {
    # where a part of a fact has a column of its own
    ("reversed", "clawback"): "clawed_back",
    ("reserved", "owed"): "withheld",
    ("released", "owed"): "withheld",
    ("reserved", "withheld"): "withheld",
    ("released", "withheld"): "withheld",
}


def rolled(periods: Sequence[Month], moved: Iterable[Moved]) -> Iterator[Row]:
    """The rows of one account: for each period and balance the opening, each movement's effect, the closing.

    A balance has a row where it had something when the period began, or moved in it. Pure.
    """
    effects: dict[tuple[int, Balance], dict[Movement, int]] = {}
    running: dict[Balance, int] = dict.fromkeys(BALANCES, 0)
    for each in moved:
        for balance, signs in BALANCES.items():
            effect = sum(sign * each.legs.get(account, 0) for account, sign in signs.items())
            if each.bucket == BEFORE:
                running[balance] += effect
            elif any(each.legs.get(account) for account in signs):
                column = _COLUMNS_OF.get((each.movement, balance), each.movement)
                row = effects.setdefault((each.bucket, balance), dict.fromkeys(MOVEMENTS, 0))
                row[column] += effect
    still: dict[Movement, int] = dict.fromkeys(MOVEMENTS, 0)
    for bucket, period in enumerate(periods, start=BEFORE + 1):
        for balance in BALANCES:
            opening, row = running[balance], effects.get((bucket, balance), still)
            running[balance] += sum(row.values())
            if row is not still or opening:
                columns = {f"{name}_minor": effect for name, effect in row.items()}
                about = {"period": str(period), "balance": balance, "opening_minor": opening}
                yield {**about, **columns, "closing_minor": running[balance]}


def roll_forward(
    connection: sa.Connection,
    scope: Scope,
    first: Month,
    last: Month,
    calendars: Iterable[Calendar],
    *,
    balances: Sequence[Balance] = tuple(BALANCES),
) -> Iterator[Row]:
    """Roll forward each currency, program and partner through the months that its calendar has.

    Calendar by calendar. Raises UnknownMovement. One account's movements are in memory at once: months times
    movements.
    """
    periods = months(first, last)
    for calendar in calendars if periods else ():
        rows = named(connection, _summed(scope, periods, calendar), "bucket", "movement")
        for about, group in groupby(rows, itemgetter("currency", *NAMES)):
            known = dict(zip(("currency", *NAMES), about, strict=True))
            for row in rolled(periods, map(_moved, group)):
                if row["balance"] in balances:
                    yield {name: known.get(name, row.get(name)) for name in COLUMNS}


def _moved(row: Row) -> Moved:
    if row["movement"] is None:
        raise UnknownMovement(
            f"the entry at position {row['last']} is no movement that the roll-forward knows"
        )
    return Moved(
        row["bucket"],
        MOVEMENTS[row["movement"]],
        {account: int(row[account]) for account in ACCOUNTS if row[account]},
    )


def _summed(scope: Scope, periods: Sequence[Month], calendar: Calendar) -> sa.Select[Any]:
    """By account, month and movement, what came to each account of the chart."""
    c = journal.c
    begins = calendar.begins(periods)
    bucket = calendar.bucket(c, begins)
    key = (c.program_id, c.partner_id, c.currency)
    facts = (
        sa.select(
            c.position,
            *key,
            sa.func.min(bucket).label("bucket"),
            *(
                sa.func.sum(sa.case((c.account == account, c.amount_minor), else_=0)).label(account)
                for account in ACCOUNTS
            ),
        )
        .where(*scope.conditions(c), *calendar.conditions(c, begins, also_before=True))
        .group_by(c.position, *key)
        .subquery()
    )
    f = facts.c
    movement = movement_of(f)
    return sa.select(
        f.program_id,
        f.partner_id,
        f.currency,
        f.bucket,
        movement.label("movement"),
        sa.func.max(f.position).label("last"),
        *(sa.func.sum(f[account]).label(account) for account in ACCOUNTS),
    ).group_by(f.program_id, f.partner_id, f.currency, f.bucket, movement)


def movement_of(f: Any) -> sa.ColumnElement[int]:
    """Which of MOVEMENTS a fact is, by what it did to each account of the chart; null: none of them."""
    balance = f.stripe_balance + f.bank_balance
    rules: dict[Movement, sa.ColumnElement[bool]] = {
        "accrued": f.commission_expense > 0,
        "reversed": f.commission_expense < 0,
        "matured": sa.and_(f.commission_accrued > 0, f.commission_payable < 0),
        "set_off": sa.and_(f.commission_payable > 0, f.clawback_receivable < 0),
        "written_off": f.clawback_loss > 0,
        "reserved": sa.and_(
            f.commission_payable > 0, sa.or_(f.payout_clearing < 0, f.withholding_payable < 0)
        ),
        "paid": sa.and_(f.payout_clearing > 0, balance < 0),
        "returned": sa.and_(f.commission_payable < 0, balance > 0),
        "released": sa.and_(
            f.commission_payable < 0, sa.or_(f.payout_clearing > 0, f.withholding_payable > 0)
        ),
    }
    return sa.case(*((rule, MOVEMENTS.index(name)) for name, rule in rules.items()), else_=sa.null())
