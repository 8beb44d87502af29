"""A statement with its proofs, as a file that others can check: docs/audit-log.md has the form."""

import itertools
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from ledger.audit.revshare_verify import STATEMENT
from ledger.events.base import Fact
from ledger.events.partner import PartnerApplied, PartnerLocaleChanged
from ledger.events.payout import (
    PayoutDrafted,
    PayoutIntentRecorded,
    PayoutPaid,
    PayoutReversed,
    TransferConfirmed,
)
from ledger.events.period import PeriodClosed
from ledger.store.application import Ledger
from projections import audit_log
from projections.checkpoints import covering
from projections.export import PART_FACTS, NotSealed, header, proven
from projections.statement import Statement
from projections.statements.deriving import closings, content_pieces
from projections.statements.issuing import restate, statement_row
from projections.tables import statements

VERSION: Final = 2
"""Of the file. Version 1 had nothing to show what a statement says of payouts, names and late months."""
OF_PARTNERS: Final[tuple[type[Fact], ...]] = (PartnerApplied, PartnerLocaleChanged)
SHOWN: Final[tuple[type[Fact], ...]] = (
    PayoutDrafted,
    PayoutIntentRecorded,
    TransferConfirmed,
    PayoutPaid,
    PayoutReversed,
)
"""Facts of a payout whose words a statement tells of. Others have remarks that are finance's alone: they
stand there by their hash."""


def statement_proof(ledger: Ledger, statement_id: UUID) -> Iterator[bytes]:
    """The file's lines: a statement, then each fact that it rests on with its proof.

    They are proven to be in the oldest checkpoint that covers its issue, so the file is the same for ever.
    What is wrong is told before the first line: refuses with NotFound, JournalDiffers; raises NotSealed.
    """
    with ledger.database.read() as connection:
        row = statement_row(connection, statement_id)
        index = audit_log.index_of(connection, row.position)
        sealed = None if index is None else covering(connection, index)
        if sealed is None:
            raise NotSealed(f"no checkpoint covers statement {row.number} yet")
        made = restate(ledger, connection, row)
        told = {line.position: True for line in made.lines}
        for place, is_shown in _around(ledger, connection, row, made):
            told[place] = is_shown
    front = itertools.chain([header(STATEMENT, sealed.note, VERSION)], content_pieces(made), [b"\n"])
    return _written(ledger, front, told, sealed.size)


def _written(ledger: Ledger, front: Iterator[bytes], told: dict[int, bool], size: int) -> Iterator[bytes]:
    yield from front
    places = sorted(told)
    for start in range(0, len(places), PART_FACTS):
        some = places[start : start + PART_FACTS]
        yield from proven(ledger, some, size, by_hash={place for place in some if not told[place]})


def _around(
    ledger: Ledger, connection: sa.Connection, row: Any, made: Statement
) -> Iterator[tuple[int, bool]]:
    """Where the facts around the lines stand, and whether their words are shown."""
    for place in _frame(connection, row):
        yield place, True
    for place in _closings(ledger, row, made):
        yield place, True
    payouts = [payout.payout_id for payout in made.payouts]
    found = ledger.streams(connection, [row.partner_id, *payouts], until=row.details_position)
    for recorded in found[row.partner_id]:
        if isinstance(recorded.fact, OF_PARTNERS):
            yield recorded.position, True
    for payout_id in payouts:
        for recorded in found[payout_id]:
            yield recorded.position, isinstance(recorded.fact, SHOWN)


def _frame(connection: sa.Connection, row: Any) -> list[int]:
    """Its issue, the issue of the statement that its opening balance is from, and of the one that it
    corrects."""
    c = statements.c
    before = (
        sa.select(c.position)
        .where(
            c.program_id == row.program_id,
            c.partner_id == row.partner_id,
            c.currency == row.currency,
            c.period < row.period,
            c.version == 1,
        )
        .order_by(c.period.desc())
        .limit(1)
    )
    found = [row.position, *connection.execute(before).scalars()]
    if row.corrects is not None:
        found.append(statement_row(connection, row.corrects).position)
    return found


def _closings(ledger: Ledger, row: Any, made: Statement) -> list[int]:
    """The closings of its month, of the one before, and of those to which its late lines belong: where that
    is before all that was closed, the first closing shows it."""
    closed = {
        each.fact.period: each.position
        for each in closings(ledger, row.program_id)
        if isinstance(each.fact, PeriodClosed)
    }
    months = list(closed)
    number = months.index(row.period)
    late = {line.belongs_to for line in made.lines if line.belongs_to is not None}
    wanted = {
        *months[max(number - 1, 0) : number + 1],
        *(each if each in closed else months[0] for each in late),
    }
    return [closed[each] for each in wanted]
