"""The journal: each fact that moves money, as legs that sum to zero, and in folios. Rows are only added."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from ledger.events.base import Fact, Recorded
from ledger.events.payout import TransferConfirmed
from ledger.postings import MONEY_FACTS
from projections import binding, bulk, tables
from projections.folios import Account
from projections.view import Batch, Names

Rows = list[tuple[Any, ...]]


class Journal:
    """One row a leg, in the order of the posting rule, with what it is about; each 32 facts of an account
    together once more, packed for the questions that begin with "as of"."""

    name: Final = "journal"
    tables: Final[tuple[sa.Table, ...]] = (tables.journal, tables.folios)
    append_only: Final = True
    facts: Final[tuple[type[Fact], ...]] = MONEY_FACTS

    def fold(self, batch: Batch) -> Rows:
        """The rows of a batch, in the order of the table's columns."""
        rows: Rows = []
        for event, legs in batch.entries:
            fact: Any = event.fact
            about = (legs[0].posting_version, fact.effective_at, event.recorded_at, *subjects(event))
            rows.extend(
                (
                    event.position,
                    number,
                    leg.account,
                    leg.amount_minor,
                    leg.currency,
                    leg.program_id,
                    leg.partner_id,
                    *about,
                )
                for number, leg in enumerate(legs, start=1)
            )
        return rows

    def write(self, connection: sa.Connection, changes: Rows, names: Names) -> None:
        """Add the rows, then close the folios that are full."""
        bulk.insert(connection, tables.journal, names["journal"], changes)
        binding.close(connection, {account_of(row) for row in changes})


_PROGRAM, _PARTNER, _CURRENCY = (
    list(tables.journal.columns.keys()).index(name) for name in ("program_id", "partner_id", "currency")
)


def account_of(row: Sequence[Any]) -> Account:
    """Whose account a leg belongs to."""
    return row[_PROGRAM], row[_PARTNER], row[_CURRENCY]


def subjects(event: Recorded) -> Sequence[UUID | None]:
    """What a fact that moves money is about: reward, payout, conversion."""
    fact: Any = event.fact
    # The facts of a payout's own stream need not repeat its id.
    payout_id = event.originator_id if type(fact) is TransferConfirmed else getattr(fact, "payout_id", None)
    return (getattr(fact, "reward_id", None), payout_id, getattr(fact, "conversion_id", None))
