"""Batches that somebody asked to be sent now: what a worker waits for in them, it does at once.

An API process moves no money. Asking is a fact of the batch, which each worker finds in the view within its
next step; it forgets then how long it meant to wait for the batch's payouts, its balance and its partners'
accounts. What it may send, and under which key, does not change.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa

from ledger import payout_batch
from ledger.events.base import Fact
from ledger.payout_batch import BatchState
from ledger.store.application import Ledger
from payouts import outlook, restore_check, worklist
from payouts.batches import BATCH
from payouts.outlook import BatchOutlook


def ask(ledger: Ledger, batch_id: UUID, *, by: str) -> BatchOutlook:
    """Ask that what is left of an approved batch be sent now: what the worker will do, and what it waits for.

    Asking again within some seconds is the same ask. Refuses with NotFound, IllegalTransition (it is not
    approved), PayoutsAreFrozen, DatabaseOlderThanProvider.
    """

    def decide(state: BatchState) -> list[Fact]:
        facts = payout_batch.ask_to_send(state, by=by, now=ledger.clock())
        restore_check.refuse_when_closed(ledger)
        return facts

    ledger.execute(batch_id, BATCH, decide, by=by)
    return outlook.of_batch(ledger, batch_id)


class Asked(NamedTuple):
    """What to wait for no longer."""

    batches: list[UUID]
    payouts: list[UUID]
    partners: list[UUID]


class Asks:
    """The asks that a worker has heeded; what a process before it waited for is forgotten anyway."""

    def __init__(self) -> None:
        self._heeded: Mapping[UUID, datetime] = {}

    def new(self, connection: sa.Connection) -> Asked | None:
        """What was asked since the last look; None: nothing."""
        asked = worklist.batches_asked_for(connection)
        new = [batch_id for batch_id, at in asked.items() if self._heeded.get(batch_id) != at]
        self._heeded = asked
        if not new:
            return None
        left = worklist.left_of(connection, new)
        return Asked(new, [each.payout_id for each in left], list({each.partner_id for each in left}))
