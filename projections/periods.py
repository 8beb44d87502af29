"""Closed months, and the statements that were issued for them."""

from typing import Final

import msgspec
import sqlalchemy as sa

from ledger import ids
from ledger.events.base import Fact, Recorded
from ledger.events.period import PeriodClosed, PeriodTotalsFrozen, StatementIssued
from projections import period_tables as tables
from projections.directory import canonical_json
from projections.view import Batch, Names, TableChanges

UNTOLD: Final = "null"
"""The totals of a month while the view has its closing and not yet its totals, between two batches."""


class Changes:
    """What a batch does to the two tables."""

    def __init__(self) -> None:
        self.periods = TableChanges(tables.periods)
        self.statements = TableChanges(tables.statements)


class Periods:
    """A row for each month that was closed, with its totals, and for each statement."""

    name: Final = "periods"
    tables: Final[tuple[sa.Table, ...]] = (tables.periods, tables.statements)
    append_only: Final = False
    facts: Final[tuple[type[Fact], ...]] = (PeriodClosed, PeriodTotalsFrozen, StatementIssued)

    def fold(self, batch: Batch) -> Changes:
        """The changes of a batch."""
        changes = Changes()
        for event in batch.events:
            if isinstance(event.fact, PeriodClosed):
                _closed(changes, event, event.fact)
            elif isinstance(event.fact, PeriodTotalsFrozen):
                _frozen(changes, event.fact)
            elif isinstance(event.fact, StatementIssued):
                _issued(changes, event, event.fact)
        return changes

    def write(self, connection: sa.Connection, changes: Changes, names: Names) -> None:
        """Write the changes."""
        changes.periods.write(connection, names)
        changes.statements.write(connection, names)


def _closed(changes: Changes, event: Recorded, fact: PeriodClosed) -> None:
    changes.periods.insert(
        **msgspec.structs.asdict(fact)
        | {
            "totals": UNTOLD,
            "statements": 0,
            "recorded_at": event.recorded_at,
            "position": event.position,
        }
    )


def _frozen(changes: Changes, fact: PeriodTotalsFrozen) -> None:
    told = {"totals": canonical_json(fact.totals), "reason": fact.reason}
    changes.periods.put(fact.program_id, fact.period, **told)


def _issued(changes: Changes, event: Recorded, fact: StatementIssued) -> None:
    told = msgspec.structs.asdict(fact)
    changes.statements.insert(
        **told
        | {
            "version": told.pop("statement_version"),
            "statement_id": ids.statement_id(fact.program_id, fact.count),
            "opening": canonical_json(fact.opening),
            "closing": canonical_json(fact.closing),
            "issued_by": event.by,
            "recorded_at": event.recorded_at,
            "position": event.position,
        }
    )
    changes.periods.add(fact.program_id, fact.period, statements=1)
