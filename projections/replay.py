"""How a rebuild reads and folds the log: views share one read and decode; the largest have a quick way."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import sqlalchemy as sa

from ledger.store.application import Ledger
from ledger.store.recorder import Row
from projections.conversion_replay import ConversionReplay
from projections.conversions import Conversions
from projections.money_replay import MoneyReplay
from projections.view import Batch, Names, View, topics_of

MONEY: tuple[str, ...] = ("journal", "balances")


class Replay(Protocol):
    """Views that are made anew together."""

    @property
    def views(self) -> tuple[View, ...]:
        """What it makes."""

    def read(self, connection: sa.Connection, *, after: int, limit: int, stop: int) -> Sequence[Any]:
        """Rows of the log that matter to the views."""

    def position(self, row: Any) -> int:
        """The position of such a row."""

    def fold(self, rows: Sequence[Any]) -> Any:
        """What the rows change."""

    def write(self, connection: sa.Connection, folded: Any, names: Names) -> None:
        """Write the changes."""

    def alone(self, view: View) -> "Replay":
        """What goes on with one of the views from where this one stands."""


class ViewReplay:
    """Any views, by the fold and the write that keep them up to date."""

    def __init__(self, ledger: Ledger, views: Sequence[View], topics: Sequence[str]) -> None:
        self.views = tuple(views)
        self._ledger = ledger
        self._topics = topics

    def read(self, connection: sa.Connection, *, after: int, limit: int, stop: int) -> Sequence[Row]:
        """Raw rows of the log."""
        return self._ledger.log.read_log(connection, after=after, limit=limit, stop=stop, topics=self._topics)

    def position(self, row: Row) -> int:
        """The position of a row."""
        return row[4]

    def fold(self, rows: Sequence[Row]) -> list[Any]:
        """The changes of each view."""
        batch = Batch([self._ledger.decode(row) for row in rows])
        return [view.fold(batch) for view in self.views]

    def write(self, connection: sa.Connection, folded: list[Any], names: Names) -> None:
        """Write the changes of each view."""
        for view, changes in zip(self.views, folded, strict=True):
            view.write(connection, changes, names)

    def alone(self, view: View) -> "ViewReplay":
        """One of the views."""
        return ViewReplay(self._ledger, [view], topics_of([view]))


Kind = Callable[[Ledger, Sequence[View], Sequence[str]], Replay]
KINDS: Final[tuple[Kind, ...]] = (MoneyReplay, ConversionReplay, ViewReplay)


def replays(ledger: Ledger, views: Sequence[View]) -> list[Replay]:
    """What makes these views anew, the longest first: views of a kind together."""
    groups = [(kind, [view for view in views if _kind(view) is kind]) for kind in KINDS]
    return [kind(ledger, group, topics_of(group)) for kind, group in groups if group]


def _kind(view: View) -> Kind:
    if view.name in MONEY:
        return MoneyReplay
    return ConversionReplay if view.name == Conversions.name else ViewReplay
