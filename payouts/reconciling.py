"""Reconciling: asks the provider for its books and the views for ours, matches, stores what came of it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID, uuid4

import sqlalchemy as sa

from ledger import checks
from ledger.events.account import TransferReversalCredited
from ledger.refusals import InvalidField
from ledger.store.application import Ledger
from payouts import tables
from payouts.gateway_books import entry_of
from payouts.outcomes import Transfer
from payouts.reconciliation import (
    IN_TIME,
    REVERSAL,
    TRANSFER,
    Item,
    Looked,
    Ours,
    Theirs,
    counts,
    items_hash,
    match,
    proven_until,
    resolved,
    totals,
)
from payouts.reconciliations import PROVIDER, Run, keep, reasons
from payouts.webhooks.events import Subject
from payouts.webhooks.inbox import Inbox
from projections.queries.paging import by_key
from projections.runner import Runner
from projections.tables import journal, payouts

ACCOUNT: Final = "stripe_balance"
LOOK_BACK: Final = timedelta(days=30)
"""How far the first run looks back when nobody says from when."""
LOOK_UPS_MAX: Final = 500
"""Entries that are asked for one by one. When more are missing, something else is wrong."""
_IDS_AT_ONCE: Final = 500


class ProviderBooks(Protocol):
    """What is asked of the provider. Each raises the gateway's GatewayError."""

    @property
    def livemode(self) -> bool:
        """Whether it is about real money."""
        ...

    def balance_transactions(self, created_from: datetime, created_to: datetime) -> list[Theirs]:
        """Every entry from a time on and before another."""
        ...

    def transfer(self, transfer_id: str) -> Transfer | None:
        """A transfer by its id; None: there is none."""
        ...

    def reversal(self, transfer_id: str, reversal_id: str) -> Theirs | None:
        """A reversal of a transfer; None: there is none."""
        ...


# Running


def reconcile(
    ledger: Ledger,
    books: ProviderBooks,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    in_time: timedelta = IN_TIME,
    by: str,
) -> Run:
    """Compare both sides from `start` on and before `end` (now), and store the result.

    Without `start` it begins where clean runs that join up have come to: a run by hand over another time
    hides nothing. An entry belongs to the time at which the provider made it. A reversal that the ledger
    lacks is put into the inbox of webhooks, as if the one that got lost had come. Refuses with InvalidField;
    the gateway's GatewayError passes through.
    """
    now = ledger.clock()
    end = now if end is None else checks.moment(end, "/period_to")
    start = _default_start(ledger, end) if start is None else checks.moment(start, "/period_from")
    if not start < end:
        raise InvalidField("must be before the end", pointer="/period_from")
    sides = _sides(ledger, books, start, end)
    found = match(sides.theirs, sides.ours, now=now, in_time=in_time, paid_elsewhere=sides.paid_elsewhere)
    items = resolved(found, reasons(ledger, [item.reference for item in found if item.is_difference]))
    run = Run(
        reconciliation_id=uuid4(),
        provider=PROVIDER,
        period_from=start,
        period_to=end,
        in_time_s=int(in_time.total_seconds()),
        items=tuple(items),
        totals=tuple(totals(items)),
        counts=counts(items),
        differences=sum(item.is_difference for item in items),
        items_hash=items_hash(items),
        made_by=by,
        recorded_at=now,
    )
    keep(ledger, run)
    _remind(ledger, run.items, livemode=books.livemode)
    return run


def _remind(ledger: Ledger, items: Iterable[Item], *, livemode: bool) -> None:
    """Have our transfers looked at of which something came back that the ledger has not heard of."""
    lost = {
        item.theirs.reference: item.theirs.transfer_id
        for item in items
        if item.theirs is not None
        and item.theirs.transfer_id is not None
        and (item.kind, item.verdict) == (REVERSAL, "theirs_only")
        and item.is_difference
    }
    # What was sent for a payout that the ledger does not have as sent is another difference, and first.
    ours = {entry.reference for entry in _ours_of(ledger, payouts.c.transfer_id, lost.values())}
    Inbox(ledger.database, ledger.clock, livemode=livemode).remind(
        [
            (Subject("transfer", transfer_id), f"reconciled.{reversal_id}")
            for reversal_id, transfer_id in lost.items()
            if transfer_id in ours
        ]
    )


def _default_start(ledger: Ledger, end: datetime) -> datetime:
    """Where what the runs before `end` have proven comes to an end, from the first payout on."""
    of = tables.reconciliations.c
    earlier = sa.select(of.period_from, of.period_to, of.in_time_s, of.differences, of.recorded_at).where(
        of.provider == PROVIDER
    )
    first = sa.select(sa.func.min(payouts.c.intent_at)).where(payouts.c.provider == PROVIDER)
    with ledger.database.read() as connection:
        made = connection.execute(earlier.order_by(of.recorded_at)).all()
        begun = connection.execute(first).scalar()
    runs = [
        # What was too young then is looked at again.
        Looked(run.period_from, min(run.period_to, run.recorded_at - timedelta(seconds=run.in_time_s)), True)
        if run.differences == 0
        else Looked(run.period_from, run.period_to, False)
        for run in made
    ]
    looked_back = min(end, ledger.clock()) - LOOK_BACK
    begin = looked_back if begun is None else min(_utc(begun), looked_back)
    return proven_until(begin, [run for run in runs if run.end <= end or not run.is_clean])


def _utc(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def _ours_between(ledger: Ledger, start: datetime, end: datetime) -> list[Ours]:
    return _ours(ledger, journal.c.effective_at >= start, journal.c.effective_at < end)


def _ours_of(ledger: Ledger, column: sa.Column[Any], values: Iterable[Any]) -> list[Ours]:
    wanted = list(dict.fromkeys(values))
    found: list[Ours] = []
    for begin in range(0, len(wanted), _IDS_AT_ONCE):
        found += _ours(ledger, column.in_(wanted[begin : begin + _IDS_AT_ONCE]))
    return found


def _ours(ledger: Ledger, *conditions: sa.ColumnElement[bool]) -> list[Ours]:
    """Legs on the provider's balance, each with its payout; a reversal with the id that it has there."""
    statement = (
        sa.select(
            journal.c.position,
            journal.c.amount_minor,
            journal.c.currency,
            journal.c.effective_at,
            journal.c.payout_id,
            payouts.c.transfer_id,
            payouts.c.destination,
        )
        .select_from(journal.outerjoin(payouts, payouts.c.payout_id == journal.c.payout_id))
        # The index holds the rows that belong to payouts.
        .where(journal.c.payout_id.is_not(None), journal.c.account == ACCOUNT, *conditions)
        .order_by(journal.c.position)
    )
    with ledger.database.read() as connection:
        legs = connection.execute(statement).all()
        references = {
            leg.position: _reversal_reference(ledger, connection, leg.position)
            for leg in legs
            if leg.amount_minor > 0
        }
    return [
        Ours(
            position=leg.position,
            kind=REVERSAL if leg.amount_minor > 0 else TRANSFER,
            reference=references.get(leg.position, leg.transfer_id),
            amount_minor=leg.amount_minor,
            currency=leg.currency,
            effective_at=leg.effective_at,
            payout_id=leg.payout_id,
            destination=leg.destination if leg.amount_minor < 0 else None,
        )
        for leg in legs
    ]


def _reversal_reference(ledger: Ledger, connection: sa.Connection, position: int) -> str | None:
    row = ledger.log.read_log(connection, after=position - 1, limit=1, stop=position)
    fact = ledger.decode(row[0]).fact if row else None
    return fact.reference if isinstance(fact, TransferReversalCredited) else None


class _Sides(NamedTuple):
    """Both sides of a time, each with the halves that the other one asks for."""

    theirs: list[Theirs]
    ours: list[Ours]
    paid_elsewhere: set[UUID]


def _sides(ledger: Ledger, books: ProviderBooks, start: datetime, end: datetime) -> _Sides:
    """Read both sides, and find the halves that lie outside of the time or that a list did not show yet.

    What the provider made at another time is left to the run for that time.
    """
    theirs = books.balance_transactions(start, end)
    # Ours are read after theirs: what was paid in between is only ours, and young.
    Runner(ledger).catch_up()
    listed = {_key(entry) for entry in theirs}
    ours: dict[int, Ours] = {}
    look_ups = 0
    for entry in _ours_between(ledger, start, end):
        ours[entry.position] = entry
        if _key(entry) in listed or entry.reference is None or look_ups >= LOOK_UPS_MAX:
            continue
        look_ups += 1
        found = _look_up(ledger, books, entry)
        if found is not None and start <= found.created_at < end:
            theirs.append(found)
        elif found is not None:
            del ours[entry.position]
    have = {_key(entry) for entry in ours.values()}
    lonely = [entry for entry in theirs if entry.concerns_payouts and _key(entry) not in have]
    asked = {_key(entry) for entry in lonely}
    paid_elsewhere = set()
    for entry in _ours_of(ledger, payouts.c.transfer_id, [t.transfer_id for t in lonely if t.transfer_id]):
        if _key(entry) in asked:
            ours[entry.position] = entry
    for entry in _ours_of(ledger, journal.c.payout_id, [t.payout_id for t in lonely if t.payout_id]):
        if entry.kind == TRANSFER and entry.position not in ours:
            paid_elsewhere.add(entry.payout_id)
    return _Sides(theirs, list(ours.values()), paid_elsewhere)


def _key(entry: Theirs | Ours) -> tuple[str, str | None]:
    return entry.kind, entry.reference


def _look_up(ledger: Ledger, books: ProviderBooks, entry: Ours) -> Theirs | None:
    assert entry.reference is not None
    if entry.kind == TRANSFER:
        transfer = books.transfer(entry.reference)
        return entry_of(transfer) if transfer else None
    with ledger.database.read() as connection:
        row = by_key(connection, payouts, entry.payout_id)
    transfer_id = row["transfer_id"] if row else None
    return books.reversal(transfer_id, entry.reference) if transfer_id else None
