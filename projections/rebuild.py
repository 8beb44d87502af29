"""Making views anew from the log, beside the live ones: replay, compare byte for byte, swap."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
import psycopg
import sqlalchemy as sa

from ledger.store.application import Ledger
from ledger.store.database import DatabaseUnavailable
from ledger.store.mapper import topic_of
from ledger.store.upcasts import UPCASTS
from projections import position, shadow
from projections.shadow import Difference, shadow_name
from projections.view import Batch, View, position_name
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
    """What a rebuild did. `differences`, by view the first of each table, is empty if there are none."""

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
        self._tables = [table for view in views for table in view.tables]
        self._names = {table.name: shadow_name(table) for table in self._tables}
        self._live = [position_name(view) for view in views]
        self._own = [f"rebuild:{view.name}" for view in views]
        self._topics = _topics(views)
        self._events = 0

    def run(self, accept_differences: bool) -> RebuildReport:
        began = time.monotonic()
        try:
            self._begin()
            reached = self._replay(0)
            with self._ledger.database.write() as connection:
                self._own_position(connection, reached)
                for view in self._views:
                    for table in view.tables:
                        shadow.complete(connection, table, keyed=_keyed(view))
            reached = self._replay(reached)
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
            position.move(connection, self._own, 0, self._ledger.clock())
            for view in self._views:
                for table in view.tables:
                    shadow.make(connection, table, keyed=_keyed(view))

    def _forget(self, connection: sa.Connection) -> None:
        for table in self._tables:
            shadow.drop(connection, table)
        position.forget(connection, self._own)

    def _replay(self, reached: int) -> int:
        """Follow the live views until they are near; never past any of them."""
        while True:
            with self._ledger.database.read() as connection:
                target = min(position.read(connection, self._live).values())
            if target - reached <= (NEAR_EVENTS if reached else 0):
                return reached
            while reached < target:
                reached = self._replay_batch(reached, target)
                self._progress(reached, target)

    def _replay_batch(self, reached: int, target: int) -> int:
        with self._ledger.database.read() as connection:
            rows = self._ledger.log.read_log(
                connection, after=reached, limit=self._batch_events, stop=target, topics=self._topics
            )
        batch = Batch([self._ledger.decode(row) for row in rows])
        changes = [view.fold(batch) for view in self._views]
        upto = rows[-1][4] if len(rows) == self._batch_events else target
        with self._ledger.database.write() as connection:
            self._own_position(connection, reached)
            for view, change in zip(self._views, changes, strict=True):
                load = getattr(view, "load", view.write)
                load(connection, change, self._names)
            position.move(connection, self._own, upto, self._ledger.clock())
        self._events += len(rows)
        return upto

    def _own_position(self, connection: sa.Connection, reached: int) -> None:
        """Make sure that the shadows are still ours and where we left them."""
        found = position.read(connection, self._own, lock=True)
        if set(found.values()) != {reached}:
            raise RebuildOvertaken(f"another rebuild of {', '.join(v.name for v in self._views)} has begun")

    def _finish(self, reached: int, accept_differences: bool, began: float) -> RebuildReport:
        with self._ledger.database.write() as connection:
            live = position.read(connection, self._live, lock=True)
            self._own_position(connection, reached)
            for view in self._views:
                self._replay_rest(connection, view, reached, live[position_name(view)])
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

    def _replay_rest(self, connection: sa.Connection, view: View, reached: int, live: int) -> None:
        after = reached
        while after < live:
            rows = self._ledger.log.read_log(
                connection, after=after, limit=self._batch_events, stop=live, topics=_topics([view])
            )
            batch = Batch([self._ledger.decode(row) for row in rows])
            view.write(connection, view.fold(batch), self._names)
            self._events += len(rows)
            after = rows[-1][4] if len(rows) == self._batch_events else live

    def _compare(self, connection: sa.Connection) -> list[tuple[str, Difference]]:
        found: list[tuple[str, Difference]] = []
        for view in self._views:
            for table in view.tables:
                difference = shadow.compare(connection, table)
                if difference is not None:
                    found.append((view.name, difference))
        return found


def _keyed(view: View) -> bool:
    """Whether the view's tables need their keys while they are loaded: not where rows are only added."""
    return not hasattr(view, "load")


def _topics(views: Sequence[View]) -> list[str]:
    """The stored topics of the facts that change these views, with those of older versions."""
    facts: Any = {fact for view in views for fact in view.facts}
    older = [topic for topic in UPCASTS if topic.partition("@")[0] in {fact.__name__ for fact in facts}]
    return sorted({*(topic_of(fact) for fact in facts), *older})
