"""Making views anew from the log, beside the live ones: replay, compare byte for byte, swap."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
import psycopg
import sqlalchemy as sa

from ledger.store.application import Ledger
from ledger.store.database import DatabaseUnavailable
from ledger.unswept import unswept
from projections import log_rows, position, shadow
from projections.forms import form_of
from projections.log_rows import Row
from projections.replay import Replay, replays
from projections.shadow import Difference, Shadows, shadow_name
from projections.view import View, position_name
from projections.views import views_named

T = TypeVar("T")
BATCH_EVENTS: Final = 20_000
SMALL_ROWS: Final = 5_000
"""A table of fewer rows is built together with others like it."""
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
    """The database's role may not make or drop the tables: the role that migrates may."""


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


def check(
    ledger: Ledger,
    view_names: Sequence[str] = (),
    progress: Progress = lambda _done, _total: None,
    *,
    batch_events: int = BATCH_EVENTS,
) -> tuple[tuple[str, Difference], ...]:
    """Replay and compare views as a rebuild does, and leave the live ones as they are: what differs."""
    return _Rebuild(ledger, views_named(view_names), progress, batch_events).check()


class _Rebuild:
    def __init__(self, ledger: Ledger, views: Sequence[View], progress: Progress, batch_events: int) -> None:
        self._ledger = ledger
        self._views = views
        self._progress = progress
        self._batch_events = batch_events
        self._replays = replays(ledger, views)
        self._form = form_of(postgresql=ledger.database.is_postgresql)
        self._shadows = Shadows(
            {table: not view.append_only for view in views for table in view.tables},
            postgresql=ledger.database.is_postgresql,
        )
        self._view_of = {table.name: view for view in views for table in view.tables}
        self._table_of = {table.name: table for table in self._shadows.tables}
        self._names = {table.name: shadow_name(table) for table in self._shadows.tables}
        self._live = [position_name(view) for view in views]
        self._own = [_own_name(view) for view in views]
        # Nobody else begins at this place, so a rebuild that is overtaken can tell from its first batch on.
        self._start = -1 - secrets.randbelow(2**62)
        self._events = 0
        self._first = 0
        """Where the first pass over the log ended."""
        self._early: dict[str, Difference | None] = {}
        """What the early comparisons of tables found, at that position."""

    def run(self, accept_differences: bool) -> RebuildReport:
        began = time.monotonic()
        return self._replayed(lambda reached: self._finish(reached, accept_differences, began))

    def check(self) -> tuple[tuple[str, Difference], ...]:
        return self._replayed(self._finish_check)

    def _replayed(self, finish: Callable[[int], T]) -> T:
        """Make the shadows, then do with them what is to be done."""
        try:
            self._begin()
            self._first = self._load()
            return finish(self._follow(self._first))
        except RebuildOvertaken:
            raise
        except BaseException as error:
            # What is left over is removed now, or by the next run if the database is gone.
            with suppress(DatabaseUnavailable), self._ledger.database.write() as connection:
                self._forget(connection)
            cause = getattr(error, "orig", error)
            if isinstance(cause, psycopg.errors.InsufficientPrivilege):
                why = cause.diag.message_primary
                raise RebuildNotAllowed(f"{why}: rebuild with the role that migrates") from error
            raise

    def _begin(self) -> None:
        with self._ledger.database.write() as connection:
            position.ensure(connection, [*self._live, *self._own])
            position.read(connection, self._own, lock=True)
            position.move(connection, self._own, self._start, self._ledger.clock())
            self._shadows.make(connection)

    def _forget(self, connection: sa.Connection) -> None:
        self._shadows.drop(connection)
        position.forget(connection, self._own)

    def _load(self) -> int:
        """Replay up to where the live views are now; then give the shadows all that the live tables have.

        What is loaded gets its indexes, and is compared, while the next views are replayed: on PostgreSQL
        a second connection does that.
        """
        target = self._target()
        with ThreadPoolExecutor(2) as pool:
            tasks: list[Future[None]] = []
            for number, replay in enumerate(self._replays):
                self._replay(replay, 0, target, number)
                tasks += [pool.submit(task) for task in self._tasks(replay, target)]
            for task in tasks:
                task.result()
        with self._ledger.database.write() as connection:
            self._check_own(connection, self._own, target)
            self._shadows.complete(connection)
        return target

    def _tasks(self, replay: Replay, target: int) -> list[Callable[[], None]]:
        """What can be done at the same time: each large table by itself, the small ones together."""
        tables = [table for view in replay.views for table in view.tables]
        with self._ledger.database.read() as connection:
            rows = self._shadows.count(connection, tables)
        small = [table for table in tables if rows[table.name] < SMALL_ROWS]
        groups = [*([table] for table in tables if rows[table.name] >= SMALL_ROWS), small]
        work = (self._build, self._compare_early)
        return [partial(do, group, target) for group in groups if group for do in work]

    def _build(self, tables: Sequence[sa.Table], _target: int) -> None:
        with self._ledger.database.write() as connection:
            self._shadows.build(connection, tables)

    def _compare_early(self, tables: Sequence[sa.Table], target: int) -> None:
        """Compare without holding anybody up. It is worth something if rows are only ever added, or if the
        live view still stands where the shadow does when both are seen at one moment."""
        with self._ledger.database.read() as connection:
            shadow.see_one_moment(connection)
            live = position.read(connection, self._live)
            for table in tables:
                view = self._view_of[table.name]
                if view.append_only:
                    self._early[table.name] = shadow.compare(connection, table, upto=target)
                elif live[position_name(view)] == target:
                    self._early[table.name] = shadow.compare(connection, table)

    def _target(self) -> int:
        """As far as every live view has come."""
        with self._ledger.database.read() as connection:
            return min(position.read(connection, self._live).values())

    def _follow(self, reached: int) -> int:
        """Replay until the live views are near; never past any of them."""
        while (target := self._target()) - reached > NEAR_EVENTS:
            for number, replay in enumerate(self._replays):
                self._replay(replay, reached, target, number)
            reached = target
        return reached

    def _replay(self, replay: Replay, reached: int, target: int, number: int) -> None:
        """Bring one replay's shadows to a position. Reading runs ahead of folding, and writing behind it."""
        written: Future[None] | None = None
        with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(1) as writing:
            rows = reading.submit(self._read, replay, reached, target).result()
            while reached < target:
                full = len(rows) == self._batch_events
                upto = rows[-1][4] if full else target
                ahead = reading.submit(self._read, replay, upto, target)
                with unswept():
                    folded = replay.fold(rows)
                if written is not None:
                    written.result()
                written = writing.submit(self._write, replay, folded, reached, upto)
                self._events += len(rows)
                reached, rows = upto, ahead.result()
                self._progress((number * target + reached) // len(self._replays), target)
            if written is not None:
                written.result()

    def _read(self, replay: Replay, after: int, stop: int) -> Sequence[Row]:
        if after >= stop:
            return []
        with self._ledger.database.read() as connection:
            return self._rows(connection, replay, after, stop)

    def _rows(self, connection: sa.Connection, replay: Replay, after: int, stop: int) -> Sequence[Row]:
        limit, topics = self._batch_events, replay.topics
        return log_rows.read(connection, self._form, after=after, limit=limit, stop=stop, topics=topics)

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

    def _finish(self, reached: int, accept_differences: bool, began: float) -> RebuildReport:
        with self._ledger.database.write() as connection:
            live = self._hold(connection, reached)
            differences = (*self._compare(connection, live), *self._ahead(connection, live))
            if differences and not accept_differences:
                raise RebuildDiffers(differences)
            rows = self._shadows.count(connection, self._shadows.tables)
            self._shadows.swap(connection)
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

    def _finish_check(self, reached: int) -> tuple[tuple[str, Difference], ...]:
        with self._ledger.database.write() as connection:
            live = self._hold(connection, reached)
            differences = [*self._compare(connection, live), *self._ahead(connection, live)]
            self._forget(connection)
        return tuple(differences)

    def _hold(self, connection: sa.Connection, reached: int) -> dict[str, int]:
        """Hold the live views where they are and bring the shadows there: the positions."""
        live = position.read(connection, self._live, lock=True)
        self._check_own(connection, self._own, reached)
        for replay in self._replays:
            for view in replay.views:
                rest = replay.alone(view)
                self._replay_rest(connection, rest, reached, live[position_name(view)])
        return live

    def _replay_rest(self, connection: sa.Connection, replay: Replay, reached: int, live: int) -> None:
        while reached < live:
            rows = self._rows(connection, replay, reached, live)
            replay.write(connection, replay.fold(rows), self._names)
            self._events += len(rows)
            reached = rows[-1][4] if len(rows) == self._batch_events else live

    def _compare(
        self, connection: sa.Connection, live: Mapping[str, int]
    ) -> Iterator[tuple[str, Difference]]:
        """What differs. An early comparison stands where nothing has changed since."""
        for name, view in self._view_of.items():
            moved = live[position_name(view)] != self._first
            difference = self._early.get(name)
            if view.append_only and moved and difference is None:
                difference = shadow.compare(connection, self._table_of[name], after=self._first)
            elif not view.append_only and (moved or name not in self._early):
                difference = shadow.compare(connection, self._table_of[name])
            if difference is not None:
                yield view.name, difference

    def _ahead(self, connection: sa.Connection, live: Mapping[str, int]) -> Iterator[tuple[str, Difference]]:
        """Rows of later positions than the view has come to: nobody's, and a swap would drop them."""
        for name, view in self._view_of.items():
            if view.append_only:
                after = live[position_name(view)]
                difference = shadow.compare(connection, self._table_of[name], after=after)
                if difference is not None:
                    yield view.name, difference


def _own_name(view: View) -> str:
    return f"rebuild:{view.name}"
