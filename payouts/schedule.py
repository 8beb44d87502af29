"""The scheduler: drafts the batch of a program when a date of its calendar comes, once, whoever looks first.

The batch's id derives from program, date and currency. So several schedulers, a restart or a retry meet the
same stream; what is stored there first counts: the batch, or that the date passed with nobody due. After a
downtime only the latest date is looked at: it pays whatever the missed ones would have paid.
"""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import structlog

from ledger import ids, payout_batch
from ledger.commands import DraftPayouts
from ledger.desk import PROGRAM
from ledger.engine.readiness import is_settled
from ledger.payout_batch import BatchStatus
from ledger.payout_calendar import DueDate, last_due, next_due
from ledger.program import ProgramState
from ledger.refusals import NothingToPay
from ledger.store.application import Ledger
from ledger.store.database import DatabaseUnavailable
from payouts import batches, candidates
from payouts.loop import run_turns
from projections import position
from projections.view import position_name
from projections.views import VIEWS

_log = structlog.get_logger(__name__)

BY: Final = "schedule"
LOOK_S: Final = 5
_VIEWS: Final = [position_name(view) for view in VIEWS if view.name in ("balances", "payouts")]
"""The views that name candidates."""


class _Mark(NamedTuple):
    """Up to where the log has to be read before a batch is drafted: by the engine, then by the views."""

    position: int
    is_settled: bool


def date_due(of: ProgramState, now: datetime) -> DueDate | None:
    """The latest date of the program's calendar that has come since it is what it is; None: there is none."""
    schedule, since = of.payouts.schedule, of.payouts.scheduled_since
    if schedule is None or since is None:
        return None
    due = last_due(schedule, now)
    return due if due.at > since else None


class Calendar(NamedTuple):
    """Where a program's calendar stands: the last date with its batch, if there was one, and the next.

    `status` is the batch's; `passed`: nobody was due; `none`: engine or views have not caught up yet.
    """

    last: DueDate | None
    batch_id: UUID | None
    status: BatchStatus | None
    next: DueDate


def calendar_of(ledger: Ledger, program_id: UUID, of: ProgramState, now: datetime) -> Calendar | None:
    """The calendar of a program; None: it has none, and batches are drafted on demand."""
    schedule = of.payouts.schedule
    if schedule is None:
        return None
    following, last = next_due(schedule, now), date_due(of, now)
    if last is None:
        return Calendar(None, None, None, following)
    batch_id = ids.scheduled_batch_id(program_id, last.on, of.currency)
    state = ledger.load(batch_id, batches.BATCH).state
    return Calendar(last, batch_id if state.draft else None, state.status, following)


class PayoutScheduler:
    """Drafts what the calendars ask for. A batch waits until engine and views know what was known then."""

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime] | None = None) -> None:
        self._ledger = ledger
        self._clock = clock or ledger.clock
        self._marks: dict[UUID, _Mark] = {}
        self._done: dict[UUID, DueDate] = {}

    def run(self, stop: threading.Event, *, idle_s: float = LOOK_S) -> None:
        """Look until told to stop; trouble is logged."""

        def turn() -> float:
            try:
                self.step()
            except DatabaseUnavailable:
                raise
            except Exception:
                _log.exception("schedule failed")
            return idle_s

        run_turns(stop, turn, away_s=idle_s)

    def step(self) -> int:
        """Look once at every calendar: how many dates were dealt with."""
        with self._ledger.database.read() as connection:
            scheduled = candidates.programs_with_schedule(connection)
        done = 0
        for program_id, loaded in self._ledger.load_many(scheduled, PROGRAM).items():
            due = date_due(loaded.state, self._clock()) if loaded.state else None
            if loaded.state is not None and due is not None and self._done.get(program_id) != due:
                done += self._safely(program_id, loaded.state, due)
        return done

    def _safely(self, program_id: UUID, of: ProgramState, due: DueDate) -> int:
        """One program's trouble does not stop the others: the date is looked at again."""
        try:
            return self._draft(program_id, of, due)
        except DatabaseUnavailable:
            raise
        except Exception:
            _log.exception("schedule failed", program_id=str(program_id), due_on=due.on.isoformat())
            return 0

    def _draft(self, program_id: UUID, of: ProgramState, due: DueDate) -> int:
        batch_id = ids.scheduled_batch_id(program_id, due.on, of.currency)
        if self._ledger.load(batch_id, batches.BATCH).state.status == "none":
            if not self._is_known(batch_id, due):
                return 0
            command = DraftPayouts(batch_id=batch_id, program_id=program_id)
            try:
                batch = batches.draft(self._ledger, command, by=BY, due_on=due.on)
                _log.info("payouts drafted", batch_id=str(batch_id), total_minor=batch.total_minor)
            except NothingToPay as refusal:
                self._pass(batch_id, program_id, of.currency, due, refusal.message)
        self._marks.pop(batch_id, None)
        self._done[program_id] = due
        return 1

    def _pass(self, batch_id: UUID, program_id: UUID, currency: str, due: DueDate, reason: str) -> None:
        _, recorded = self._ledger.execute(
            batch_id,
            batches.BATCH,
            lambda state: payout_batch.pass_date(
                state, program_id=program_id, currency=currency, due_on=due.on, reason=reason
            ),
            by=BY,
        )
        if recorded:
            _log.info("nobody is due a payout", program_id=str(program_id), due_on=due.on.isoformat())

    def _is_known(self, batch_id: UUID, due: DueDate) -> bool:
        """Whether the views have seen everything that engine and log held when the date was noticed.

        Otherwise a batch after a downtime would leave out whoever's rewards are still being worked out.
        """
        with self._ledger.database.read() as connection:
            head = self._ledger.log.head(connection)
            mark = self._marks.setdefault(batch_id, _Mark(head, is_settled=False))
            if not mark.is_settled:
                if not is_settled(connection, position=mark.position, until=due.at):
                    return False
                mark = self._marks[batch_id] = _Mark(self._ledger.log.head(connection), is_settled=True)
            read = position.read(connection, _VIEWS)
        return min(read.values()) >= mark.position
