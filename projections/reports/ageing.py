"""Ageing: for how long what is payable, held, or owed back by partners has been so.

Which debit consumes which credit, so that the parts sum to the balance exactly (docs/accounting.md):
what names a reward consumes that reward's own credit; what a payout reserved and got back again was never
consumed; everything else, payouts and set-offs and write-offs, consumes the oldest credits first. So what is
left is the newest credits that together make the balance.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, Literal, get_args
from zoneinfo import ZoneInfo

import msgspec
import sqlalchemy as sa

from ledger.month import day_begins_at
from projections.months import EARLIEST, LATEST, Zones
from projections.reports.scope import NAMES, Row, Scope, named
from projections.tables import journal

Aged = Literal["payable", "accrued", "clawback"]
AGED: Final[tuple[Aged, ...]] = get_args(Aged)
USUAL: Final[tuple[Aged, ...]] = ("payable", "clawback")
_ACCOUNTS: Final[dict[Aged, tuple[str, int]]] = {
    # the account, and the sign in it of what makes the balance grow
    "payable": ("commission_payable", -1),
    "accrued": ("commission_accrued", -1),
    "clawback": ("clawback_receivable", 1),
}
DAYS_MAX: Final = (30, 60, 90)
"""The last day of each bucket but the last, which has no end."""
BUCKETS: Final = ("days_0_30_minor", "days_31_60_minor", "days_61_90_minor", "days_over_90_minor")
COLUMNS: Final = ("balance", "currency", *NAMES, *BUCKETS, "total_minor")


def open_parts(total: int, credits_: Sequence[int], debits: Sequence[int]) -> list[int]:
    """Of a balance, what is left of the credits in each bucket; buckets go from the youngest to the oldest.

    The oldest are consumed first, so the youngest are what is left. A balance below zero, which money that
    left before the day on which it became payable makes, is what is left of the debits. Pure; the parts sum
    to `total`, which is the sum of the credits less that of the debits.
    """
    sign, sides = (1, credits_) if total >= 0 else (-1, debits)
    left = abs(total)
    parts = []
    for side in sides:
        part = min(left, side)
        parts.append(sign * part)
        left -= part
    assert left == 0, "a balance is no more than its credits"
    return parts


def bucket_of(days: int) -> int:
    """The bucket of an age in whole days: 0 for the youngest."""
    return sum(days > most for most in DAYS_MAX)


def ageing(
    connection: sa.Connection,
    scope: Scope,
    zones: Zones,
    now: datetime,
    balances: Sequence[Aged] = USUAL,
) -> Iterator[Row]:
    """Each partner's balances by age, as of `scope.effective_as_of`, or now. What is nothing has no row.

    An age counts days of the program's time zone. One account's sums are in memory at once.
    """
    until = scope.effective_as_of or now
    true_by = msgspec.structs.replace(scope, effective_as_of=until)
    for balance in balances:
        for zone in zones.all:
            rows = named(connection, _summed(true_by, balance, zones, zone, until))
            for about, group in groupby(rows, itemgetter("currency", *NAMES)):
                row = _row(balance, dict(zip(("currency", *NAMES), about, strict=True)), list(group))
                if any(row[name] for name in BUCKETS):
                    yield row


def _row(balance: Aged, about: Row, sums: Sequence[Row]) -> Row:
    sides: dict[bool, list[int]] = {True: [0] * len(BUCKETS), False: [0] * len(BUCKETS)}
    for each in sums:
        sides[each["net"] > 0][each["bucket"]] += abs(int(each["net"]))
    total = sum(sides[True]) - sum(sides[False])
    parts = open_parts(total, sides[True], sides[False])
    amounts: Mapping[str, Any] = dict(zip(BUCKETS, parts, strict=True))
    return {"balance": balance, **about, **amounts, "total_minor": total}


def _summed(scope: Scope, balance: Aged, zones: Zones, zone: str, until: datetime) -> sa.Select[Any]:
    """By account and bucket, what its credits come to, and what else took from it: signs tell them apart."""
    c = journal.c
    account, sign = _ACCOUNTS[balance]
    subject = sa.func.coalesce(c.reward_id, c.payout_id)
    together = [subject, sa.case((subject.is_(None), c.position))]
    if balance == "clawback":
        # What its legs name is the reward by which it is set off, not the one that was taken back.
        together = [c.position]
    grows = sign * c.amount_minor
    key = (c.program_id, c.partner_id, c.currency)
    first = sa.func.min(sa.case((grows > 0, c.effective_at)))
    subjects = (
        sa.select(
            *key,
            sa.func.sum(grows).label("net"),
            sa.func.coalesce(first, sa.func.min(c.effective_at)).label("since"),
        )
        .where(*scope.conditions(c), c.account == account, zones.condition(c.program_id, zone))
        .group_by(*key, *together)
        .subquery()
    )
    s = subjects.c
    day = min(max(until, EARLIEST), LATEST).astimezone(ZoneInfo(zone)).date()
    bucket = _bucket(s.since, day, zone)
    return (
        sa.select(
            s.program_id, s.partner_id, s.currency, bucket.label("bucket"), sa.func.sum(s.net).label("net")
        )
        .where(s.net != 0)
        .group_by(s.program_id, s.partner_id, s.currency, bucket, s.net > 0)
    )


def _bucket(since: sa.ColumnElement[datetime], today: date, zone: str) -> sa.ColumnElement[int]:
    """The bucket of a time, by the day that it was in the zone."""
    begins = (day_begins_at(today - timedelta(days=most), zone) for most in DAYS_MAX)
    return sa.case(*((since >= begin, number) for number, begin in enumerate(begins)), else_=len(DAYS_MAX))
