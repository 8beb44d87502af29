"""What a view is: a pure fold over a batch of the log, and a write of the aggregated changes."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

import sqlalchemy as sa

from ledger.events.base import Fact, Recorded
from ledger.postings import Leg, postings
from ledger.store.mapper import topic_of
from ledger.store.upcasts import UPCASTS
from projections import bulk


class Batch:
    """Consecutive facts of the log. What several views need of them is worked out once."""

    def __init__(self, events: Sequence[Recorded]) -> None:
        self.events = events

    @cached_property
    def entries(self) -> list[tuple[Recorded, tuple[Leg, ...]]]:
        """The facts that move money, each with its legs."""
        return [(event, legs) for event in self.events if (legs := postings(event.fact))]


Names = Mapping[str, str]
"""A table's name -> the name under which it is written now: a rebuild writes beside the live one."""


class View(Protocol):
    """One view of the log. `fold` is pure: the same facts in other batches give the same rows in the end."""

    @property
    def name(self) -> str:
        """How the view is called; its position is kept as `view:<name>`."""

    @property
    def tables(self) -> tuple[sa.Table, ...]:
        """Every table that this view alone writes."""

    @property
    def append_only(self) -> bool:
        """Whether rows are only ever added, with a column `position` that grows."""

    @property
    def facts(self) -> tuple[type[Fact], ...]:
        """The facts that change this view; a rebuild reads no others."""

    def fold(self, batch: Batch) -> Any:
        """The changes that a batch makes, aggregated."""

    def write(self, connection: sa.Connection, changes: Any, names: Names) -> None:
        """Write the changes, in the caller's transaction."""


def position_name(view: View) -> str:
    """The name under which the view's position is kept."""
    return f"view:{view.name}"


def topics_of(views: Sequence[View]) -> list[str]:
    """The stored topics of the facts that change these views, with those of older versions."""
    kinds = {kind for view in views for kind in view.facts}
    names = {kind.__name__ for kind in kinds}
    older = (topic for topic in UPCASTS if topic.partition("@")[0] in names)
    return sorted({*(topic_of(kind) for kind in kinds), *older})


class TableChanges:
    """Rows to add and to change in one table, folded in memory so that each is written once a batch."""

    def __init__(self, table: sa.Table) -> None:
        self.table = table
        self.keys = tuple(column.name for column in table.primary_key)
        self._columns = tuple(column.name for column in table.columns)
        self.rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        self.puts: dict[tuple[Any, ...], dict[str, Any]] = {}
        self.adds: dict[tuple[Any, ...], dict[str, int]] = {}

    def insert(self, **row: Any) -> None:
        """A new row. It must be new: its key was never written before."""
        self.rows[tuple([row[key] for key in self.keys])] = row

    def put(self, *key: Any, **values: Any) -> None:
        """New values for some columns of a row that is there, or is new in this batch."""
        row = self.rows.get(key)
        if row is None:
            row = self.puts.setdefault(key, {})
        row.update(values)

    def add(self, *key: Any, **values: int) -> None:
        """Let some columns of a row that is there, or is new in this batch, grow."""
        row = self.rows.get(key)
        if row is None:
            row = self.adds.setdefault(key, {})
        for column, value in values.items():
            row[column] = row.get(column, 0) + value

    def write(self, connection: sa.Connection, names: Names) -> None:
        """Write everything: additions first, then changes, grouped by the columns that they touch."""
        name = names[self.table.name]
        rows = [tuple([row.get(column) for column in self._columns]) for row in self.rows.values()]
        bulk.insert(connection, self.table, name, rows)
        groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[tuple[Any, ...]]] = {}
        for key in dict.fromkeys((*self.puts, *self.adds)):
            put, add = self.puts.get(key, {}), self.adds.get(key, {})
            put_columns, add_columns = tuple(sorted(put)), tuple(sorted(add))
            values = (*key, *[put[c] for c in put_columns], *[add[c] for c in add_columns])
            groups.setdefault((put_columns, add_columns), []).append(values)
        for (put_columns, add_columns), values_of_rows in groups.items():
            bulk.update(connection, self.table, name, values_of_rows, put=put_columns, add=add_columns)
