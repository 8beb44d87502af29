"""Reconciliations kept: each run with its items and its fact, and what humans said about differences."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Final
from uuid import UUID

import msgspec
import sqlalchemy as sa

from ledger import ids, reconciliation
from ledger.events.reconciliation import ReconciliationCompleted
from ledger.refusals import NotFound
from ledger.store.application import Change, Decider, Ledger
from payouts import tables
from payouts.reconciliation import TRANSFER, Item, Total
from projections.queries.paging import LIMIT, Cursor, Page, Row, besides, by_key, filtered, one, page, rows
from projections.spreadsheet import csv_text

PROVIDER: Final = "stripe"
DIFFERENCE: Final = Decider(reconciliation.UNRESOLVED, reconciliation.evolve_difference)
_ROWS_AT_ONCE: Final = 500


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One reconciliation and what it found. It is clean when nobody has to look at anything."""

    reconciliation_id: UUID
    provider: str
    period_from: datetime
    period_to: datetime
    in_time_s: int
    items: tuple[Item, ...]
    totals: tuple[Total, ...]
    counts: dict[str, int]
    differences: int
    items_hash: str
    made_by: str
    recorded_at: datetime

    @property
    def is_clean(self) -> bool:
        """Whether no difference is open."""
        return self.differences == 0


# Keeping and reading


def keep(ledger: Ledger, run: Run) -> None:
    """The run, its items and the fact of it, in one transaction."""
    fact = ReconciliationCompleted(
        provider=run.provider,
        period_from=run.period_from,
        period_to=run.period_to,
        in_time_s=run.in_time_s,
        differences=run.differences,
        items_hash=run.items_hash,
        effective_at=run.recorded_at,
        **run.counts,
    )

    def write(connection: sa.Connection) -> None:
        connection.execute(tables.reconciliations.insert(), _run_row(run))
        found = [_item_row(run, number, item) for number, item in enumerate(run.items, start=1)]
        for begin in range(0, len(found), _ROWS_AT_ONCE):
            connection.execute(tables.reconciliation_items.insert(), found[begin : begin + _ROWS_AT_ONCE])

    ledger.append([Change(run.reconciliation_id, 0, [fact])], by=run.made_by, within=write)


def _run_row(run: Run) -> Row:
    names = ("reconciliation_id", "provider", "period_from", "period_to", "in_time_s", "differences")
    return {
        **{name: getattr(run, name) for name in (*names, "items_hash", "made_by", "recorded_at")},
        "items": len(run.items),
        "counts": msgspec.json.encode(run.counts).decode(),
        "totals": msgspec.json.encode([total_row(total) for total in run.totals]).decode(),
    }


def total_row(total: Total) -> Row:
    """A total with its difference, as it is kept and shown."""
    return {**msgspec.structs.asdict(total), "difference_minor": total.difference_minor}


def _item_row(run: Run, number: int, item: Item) -> Row:
    return {"reconciliation_id": run.reconciliation_id, "number": number} | item_row(item)


def item_row(item: Item) -> Row:
    """An item as columns; what a side does not have is None."""
    theirs, ours = item.theirs, item.ours
    payout_id = ours.payout_id if ours else theirs.payout_id if theirs else None
    ours_transfer = ours.reference if ours and ours.kind == TRANSFER else None
    return {
        "verdict": item.verdict,
        "is_difference": int(item.is_difference),
        "kind": item.kind,
        "reference": item.reference,
        "currency": item.currency,
        "theirs_minor": theirs.amount_minor if theirs else None,
        "ours_minor": ours.amount_minor if ours else None,
        "differs": msgspec.json.encode(item.differs).decode(),
        "transaction_id": theirs.transaction_id if theirs else None,
        "transfer_id": theirs.transfer_id if theirs else ours_transfer,
        "payout_id": payout_id,
        "theirs_at": theirs.created_at if theirs else None,
        "ours_at": ours.effective_at if ours else None,
        "ours_position": ours.position if ours else None,
        "theirs_destination": theirs.destination if theirs else None,
        "ours_destination": ours.destination if ours else None,
        "resolution": item.resolution,
    }


def load(connection: sa.Connection, reconciliation_id: UUID) -> Row:
    """A stored run, without its items. Refuses with NotFound."""
    found = by_key(connection, tables.reconciliations, reconciliation_id)
    if found is None:
        raise NotFound(f"there is no reconciliation {reconciliation_id}")
    return found


def list_runs(connection: sa.Connection, *, after: Cursor | None = None, limit: int = LIMIT) -> Page:
    """Runs, the latest first."""
    order = [tables.reconciliations.c.recorded_at, tables.reconciliations.c.reconciliation_id]
    statement = sa.select(tables.reconciliations)
    return page(connection, statement, order, after=after, limit=limit, descending=True)


def list_items(
    connection: sa.Connection,
    *,
    reconciliation_id: UUID,
    verdict: str | None = None,
    after: Cursor | None = None,
    limit: int = LIMIT,
) -> Page:
    """The items of a run, in their order."""
    statement = filtered(tables.reconciliation_items, reconciliation_id=reconciliation_id)
    order, also = [tables.reconciliation_items.c.number], besides(verdict=verdict)
    return page(connection, statement, order, after=after, limit=limit, also=also)


def all_items(connection: sa.Connection, reconciliation_id: UUID, *, verdict: str | None = None) -> list[Row]:
    """Every item of a run, in order."""
    of = tables.reconciliation_items
    statement = filtered(of, reconciliation_id=reconciliation_id, verdict=verdict)
    return rows(connection, statement.order_by(of.c.number))


CSV_COLUMNS: Final = (
    "number",
    "verdict",
    "is_difference",
    "kind",
    "reference",
    "currency",
    "theirs_minor",
    "ours_minor",
    "differs",
    "transaction_id",
    "transfer_id",
    "payout_id",
    "theirs_at",
    "ours_at",
    "theirs_destination",
    "ours_destination",
    "resolution",
)


def plain(item: Row) -> Row:
    """A stored item with nothing in it but texts and whole numbers."""
    texts = {
        name: value if isinstance(value := item[name], int | None) else str(value) for name in CSV_COLUMNS
    }
    times = {name: item[name].isoformat() for name in ("theirs_at", "ours_at") if item[name] is not None}
    return {**texts, **times, "differs": " ".join(item["differs"])}


def as_csv(items: Iterable[Row]) -> str:
    """Stored items as CSV, with a header line."""
    return csv_text(chain([CSV_COLUMNS], (map(plain(item).get, CSV_COLUMNS) for item in items)))


# Ending differences


def resolve(ledger: Ledger, reference: str, reason: str, *, by: str) -> bool:
    """End a difference that a run found, with a reason: whether that is new.

    Refuses with NotFound where no run found one of this reference, with ContentConflict where it was ended
    with another reason.
    """
    of = tables.reconciliation_items
    with ledger.database.read() as connection:
        found = one(connection, filtered(of, reference=reference, is_difference=1))
    if found is None:
        raise NotFound(f"no reconciliation found a difference {reference}", pointer="/reference")
    now = ledger.clock()
    _, recorded = ledger.execute(
        ids.difference_id(PROVIDER, reference),
        DIFFERENCE,
        lambda state: reconciliation.resolve(
            state, provider=PROVIDER, reference=reference, reason=reason, now=now
        ),
        by=by,
    )
    return bool(recorded)


def reasons(ledger: Ledger, references: Sequence[str]) -> dict[str, str]:
    """What humans said about differences, by reference."""
    streams = {ids.difference_id(PROVIDER, reference): reference for reference in references}
    loaded = ledger.load_many(list(streams), DIFFERENCE) if streams else {}
    return {streams[stream]: at.state.reason for stream, at in loaded.items() if at.state.reason is not None}
