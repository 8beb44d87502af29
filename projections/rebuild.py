"""Making views anew from the log, beside the live ones: replay, compare byte for byte, swap."""

import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Final

import msgspec
import psycopg
import sqlalchemy as sa

from ledger.store.application import Ledger
from ledger.store.database import DatabaseUnavailable
from projections import position, shadow
from projections.replay import Replay, replays
from projections.shadow import Difference, shadow_name
from projections.view import View, position_name
from projections.views import views_named

BATCH_EVENTS: Final = 20_000
NEAR_EVENTS: Final = 2_000
"""So near behind the live view, the rest is read under its lock."""

Progress = Callable[[int, int], None]
"""Told how far the replay has come: (done, total), in positions of the log."""


class RebuildDiffers(Exception):
    """What the log gives is not what stands in the live tables. Nothing was swapped."""

    def __init__(self, differences: Sequence[tuple[str, Difference]]) -> None:
        super().__init__("; ".join(f"view {view}: {difference}" for view, difference in differences))
        self.differences = tuple(differences)


class RebuildOvertaken(Exception):
    """Another rebuild of the same view began and made the shadow tables its own."""


class RebuildNotAllowed(Exception):
    """The database's role may not make or drop the tables: rebuild with the role that migrates."""


class RebuildReport(msgspec.Struct, frozen=True):
    """What a rebuild did. `differences`, by view the first of each table, is empty if there are none.

    `events` counts the facts that were folded; views of money and the others count them apart.
    """

    views: tuple[str, ...]
    position: int
    events: int
    rows: dict[str, int]
    differences: tuple[tuple[str, Difference], ...]
    seconds: float


def rebuild(
    ledger: Ledger,
    view_names: Sequence[str] = (),
    progress: Progress = lambda _done, _total: None,
    *,
    accept_differences: bool = False,
    batch_events: int = BATCH_EVENTS,
) -> RebuildReport:
    """Replay views (none named: all) into shadow tables, compare them with the live ones and swap.

    The live views are read and kept up to date all the while; only the comparison and the swap hold their
    positions. Raises RebuildDiffers, naming the first row of each table that differs, and swaps nothing;
    with `accept_differences` it swaps all the same, which is how a corrected fold takes effect.
    On PostgreSQL it needs the right to make and drop the tables, as migrations do.
    """
    return _Rebuild(ledger, views_named(view_names), progress, batch_events).run(accept_differences)


class _Rebuild:
    def __init__(self, ledger: Ledger, views: Sequence[View], progress: Progress, batch_events: int) -> None:
        self._ledger = ledger
        self._views = views
        self._progress = progress
        self._batch_events = batch_events
        self._replays = replays(ledger, views)
        self._tables = [table for view in views for table in view.tables]
        self._names = {table.name: shadow_name(table) for table in self._tables}
        self._live = [position_name(view) for view in views]
        self._own = [_own_name(view) for view in views]
        # Nobody else begins at this place, so a rebuild that is overtaken can tell from its first batch on.
        self._start = -1 - secrets.randbelow(2**62)
        self._events = 0
        self._compared = 0
        self._early: list[tuple[str, Difference]] = []

    def run(self, accept_differences: bool) -> RebuildReport:
        began = time.monotonic()
        try:
            self._begin()
            reached = self._follow(0)
            self._complete(reached)
            reached = self._follow(reached)
            report = self._finish(reached, accept_differences, began)
        except RebuildOvertaken:
            raise
        except BaseException as error:
            if isinstance(getattr(error, "orig", None), psycopg.errors.InsufficientPrivilege):
                raise RebuildNotAllowed(str(error)) from error
            # What is left over is removed now, or by the next run if the database is gone.
            with suppress(DatabaseUnavailable), self._ledger.database.write() as connection:
                self._forget(connection)
            raise
        return report

    def _begin(self) -> None:
        with self._ledger.database.write() as connection:
            position.ensure(connection, [*self._live, *self._own])
            position.read(connection, self._own, lock=True)
            position.move(connection, self._own, self._start, self._ledger.clock())
            for view in self._views:
                for table in view.tables:
                    shadow.make(connection, table, keyed=not view.append_only)

    def _forget(self, connection: sa.Connection) -> None:
        for table in self._tables:
            shadow.drop(connection, table)
        position.forget(connection, self._own)

    def _follow(self, reached: int) -> int:
        """Replay until the live views are near; never past any of them."""
        while True:
            with self._ledger.database.read() as connection:
                target = min(position.read(connection, self._live).values())
            if target - reached <= (NEAR_EVENTS if reached else 0):
                return reached
            for number, replay in enumerate(self._replays):
                self._replay(replay, reached, target, number)
            reached = target

    def _replay(self, replay: Replay, reached: int, target: int, number: int) -> None:
        """Bring one replay's shadows to a position. Reading runs ahead of folding, and writing behind it."""
        written: Future[None] | None = None
        with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(1) as writing:
            rows = reading.submit(self._read, replay, reached, target).result()
            while reached < target:
                full = len(rows) == self._batch_events
                upto = replay.position(rows[-1]) if full else target
                ahead = reading.submit(self._read, replay, upto, target)
                folded = replay.fold(rows)
                if written is not None:
                    written.result()
                written = writing.submit(self._write, replay, folded, reached, upto)
                self._events += len(rows)
                reached, rows = upto, ahead.result()
                self._progress((number * target + reached) // len(self._replays), target)
            if written is not None:
                written.result()

    def _read(self, replay: Replay, after: int, stop: int) -> Sequence[Any]:
        if after >= stop:
            return []
        with self._ledger.database.read() as connection:
            return replay.read(connection, after=after, limit=self._batch_events, stop=stop)

    def _write(self, replay: Replay, folded: Any, reached: int, upto: int) -> None:
        own = [_own_name(view) for view in replay.views]
        with self._ledger.database.write() as connection:
            self._check_own(connection, own, reached)
            replay.write(connection, folded, self._names)
            position.move(connection, own, upto, self._ledger.clock())

    def _check_own(self, connection: sa.Connection, own: Sequence[str], reached: int) -> None:
        """Make sure that the shadows are still ours and where we left them."""
        if set(position.read(connection, own, lock=True).values()) != {reached or self._start}:
            raise RebuildOvertaken(f"another rebuild of {', '.join(v.name for v in self._views)} has begun")

    def _complete(self, reached: int) -> None:
        """Give the shadows keys, indexes and triggers, and compare what no longer changes meanwhile.

        PostgreSQL builds two indexes of a table at the same time, so two connections share the work.
        """
        database = self._ledger.database
        tasks: list[Callable[[], None]] = []
        for view in self._views:
            for table in view.tables:
                with database.read() as connection:
                    keys, indexes = shadow.index_statements(connection, table, keyed=not view.append_only)
                tasks.append(_Statements(self._ledger, indexes))
                if view.append_only:
                    tasks.append(_Statements(self._ledger, keys, partial(self._compare_early, view, reached)))
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(task) for task in reversed(tasks)]:
                done.result()
        self._compared = reached
        with database.write() as connection:
            self._check_own(connection, self._own, reached)
            for view in self._views:
                for table in view.tables:
                    shadow.complete(connection, table, keyed=not view.append_only)

    def _compare_early(self, view: View, upto: int) -> None:
        """Rows that are only ever added stay as they are: those up to here need not wait for the lock."""
        with self._ledger.database.read() as connection:
            for table in view.tables:
                difference = shadow.compare(connection, table, upto=upto)
                if difference is not None:
                    self._early.append((view.name, difference))

    def _finish(self, reached: int, accept_differences: bool, began: float) -> RebuildReport:
        with self._ledger.database.write() as connection:
            live = position.read(connection, self._live, lock=True)
            self._check_own(connection, self._own, reached)
            for replay in replays(self._ledger, self._views, each=True):
                (view,) = replay.views
                self._replay_rest(connection, replay, reached, live[position_name(view)])
            differences = tuple(self._compare(connection))
            if differences and not accept_differences:
                raise RebuildDiffers(differences)
            rows = {
                name: int(connection.execute(sa.text(f"SELECT count(*) FROM {made}")).scalar_one())
                for name, made in self._names.items()
            }
            shadow.swap(connection, self._tables)
            position.forget(connection, self._own)
        done = max(live.values())
        self._progress(done, done)
        return RebuildReport(
            views=tuple(view.name for view in self._views),
            position=done,
            events=self._events,
            rows=rows,
            differences=differences,
            seconds=time.monotonic() - began,
        )

    def _replay_rest(self, connection: sa.Connection, replay: Replay, reached: int, live: int) -> None:
        while reached < live:
            rows = replay.read(connection, after=reached, limit=self._batch_events, stop=live)
            replay.write(connection, replay.fold(rows), self._names)
            self._events += len(rows)
            reached = replay.position(rows[-1]) if len(rows) == self._batch_events else live

    def _compare(self, connection: sa.Connection) -> list[tuple[str, Difference]]:
        found = list(self._early)
        early = {difference.table for _, difference in found}
        for view in self._views:
            for table in view.tables:
                after = self._compared if view.append_only else None
                difference = shadow.compare(connection, table, after=after)
                if difference is not None and table.name not in early:
                    found.append((view.name, difference))
        return found


class _Statements:
    """Statements to be run one by one in transactions of their own, then something to do after them."""

    def __init__(
        self, ledger: Ledger, statements: Sequence[str], then: Callable[[], None] | None = None
    ) -> None:
        self._ledger = ledger
        self._statements = statements
        self._then = then

    def __call__(self) -> None:
        for statement in self._statements:
            with self._ledger.database.write() as connection:
                connection.exec_driver_sql(f"SET LOCAL maintenance_work_mem = '{shadow.BUILD_MEMORY}'")
                connection.exec_driver_sql(statement)
        if self._then is not None:
            self._then()


def _own_name(view: View) -> str:
    return f"rebuild:{view.name}"
