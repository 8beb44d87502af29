"""The runner: keeps the views along the log, each batch and its positions in one transaction."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import sqlalchemy as sa
import structlog

from ledger.store.application import Ledger
from ledger.store.database import DatabaseUnavailable
from ledger.unswept import unswept
from projections import log_rows, position
from projections.forms import form_of
from projections.log_rows import Row, decoded
from projections.replay import Replay, replays
from projections.view import Batch, View, position_name
from projections.views import VIEWS

BATCH_EVENTS: Final = 10_000
"""Whoever is behind writes a page of an index once for many rows: twice as many rows take less than twice the
time. Who keeps up has small batches anyway."""
QUICK_EVENTS: Final = 500
"""A batch of so many facts is folded by the quick ways of a rebuild, a smaller one by the views' own, plain
ones. Both write the same rows, byte for byte, and every rebuild compares them."""
REST_S: Final = 0.02
"""Between two batches while facts keep coming: few large transactions take less than many small ones, and
leave the database to those who write."""
IDLE_FIRST_S: Final = 0.05
IDLE_MAX_S: Final = 0.25
RETRY_FIRST_S: Final = 0.25
RETRY_MAX_S: Final = 5

Write = Callable[[sa.Connection], None]
"""Writes what a batch changes, in a transaction."""

log = structlog.get_logger(__name__)


class Runner:
    """Drives views along the log. Several runners may run: whoever loses a race folds again."""

    def __init__(
        self,
        ledger: Ledger,
        views: Sequence[View] = VIEWS,
        *,
        batch_events: int = BATCH_EVENTS,
        quick_events: int = QUICK_EVENTS,
    ) -> None:
        self._ledger = ledger
        self._views = views
        self._names = [position_name(view) for view in views]
        self._batch_events = batch_events
        self._quick_events = quick_events
        self._form = form_of(postgresql=ledger.database.is_postgresql)
        self._replays: dict[tuple[str, ...], list[Replay]] = {}
        self._ensured = False

    def step(self) -> int:
        """Project one batch into the views that are furthest behind; how many facts it held (0: idle).

        Reading, decoding and folding happen before the writing transaction, which stays short: there the
        positions are locked and looked at again, and when somebody else moved them nothing is written.
        """
        self._ensure()
        with unswept():
            return self._step()

    def _step(self) -> int:
        with self._ledger.database.read() as connection:
            views, after, stop = self._behind(position.read(connection, self._names))
            rows = log_rows.read(connection, self._form, after=after, limit=self._batch_events, stop=stop)
        if not rows:
            if stop is None:
                return 0
            # Positions have gaps: nothing stands between these views and the next ones, so they join them.
            self._write(views, after, stop, [])
            return 1
        fold = self._fold_quickly if len(rows) >= self._quick_events else self._fold
        self._write(views, after, rows[-1][4], fold(views, rows))
        return len(rows)

    def _fold(self, views: Sequence[View], rows: Sequence[Row]) -> list[Write]:
        """What a batch changes, by each view's own fold."""
        batch = Batch([decoded(self._ledger, row) for row in rows])
        return [
            partial(
                view.write, changes=view.fold(batch), names={table.name: table.name for table in view.tables}
            )
            for view in views
        ]

    def _fold_quickly(self, views: Sequence[View], rows: Sequence[Row]) -> list[Write]:
        """The same, by what replays them."""
        key = tuple(view.name for view in views)
        if key not in self._replays:
            self._replays[key] = replays(self._ledger, views, live=True)
        names = {table.name: table.name for view in views for table in view.tables}
        writes: list[Write] = []
        for replay in self._replays[key]:
            topics = frozenset(replay.topics)
            folded = replay.fold([row for row in rows if row[2] in topics])
            writes.append(partial(replay.write, folded=folded, names=names))
        return writes

    def catch_up(self) -> int:
        """Project until nothing is left; how many facts that were."""
        total = 0
        while done := self.step():
            total += done
        return total

    def run(self, stop: threading.Event) -> None:
        """Project until told to stop. A database that is down is waited for."""
        idle, retry = IDLE_FIRST_S, RETRY_FIRST_S
        while not stop.is_set():
            try:
                done = self.step()
            except DatabaseUnavailable as error:
                log.warning("projections.database_unavailable", error=str(error), retry_in_s=retry)
                stop.wait(retry)
                retry = min(retry * 2, RETRY_MAX_S)
                continue
            if retry != RETRY_FIRST_S:
                log.info("projections.database_back")
                retry = RETRY_FIRST_S
            if done:
                idle = IDLE_FIRST_S
                if done < self._batch_events:
                    stop.wait(REST_S)
            else:
                stop.wait(idle)
                idle = min(idle * 2, IDLE_MAX_S)

    def _ensure(self) -> None:
        if not self._ensured:
            with self._ledger.database.write() as connection:
                position.ensure(connection, self._names)
            self._ensured = True

    def _behind(self, found: dict[str, int]) -> tuple[list[View], int, int | None]:
        """The views that are furthest behind, from where, and where the next ones wait."""
        standing = sorted(set(found.values()))
        after = standing[0]
        views = [view for view in self._views if found[position_name(view)] == after]
        return views, after, standing[1] if len(standing) > 1 else None

    def _write(self, views: Sequence[View], after: int, upto: int, writes: Sequence[Write]) -> None:
        names = [position_name(view) for view in views]
        with self._ledger.database.write() as connection:
            if set(position.read(connection, names, lock=True).values()) != {after}:
                return  # somebody else was quicker: the next step looks again
            for write in writes:
                write(connection)
            position.move(connection, names, upto, self._ledger.clock())
