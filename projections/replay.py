"""How much of the log is folded at once: views share one read and decode; the largest have a quick way."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol

import sqlalchemy as sa

from ledger.store.application import Ledger
from projections.conversion_replay import ConversionReplay
from projections.conversions import Conversions
from projections.log_rows import Row, decoded
from projections.money_replay import MoneyReplay
from projections.view import Batch, Names, View, topics_of

MONEY: tuple[str, ...] = ("journal", "balances")


class Replay(Protocol):
    """Views that are folded together."""

    @property
    def views(self) -> tuple[View, ...]:
        """What it makes."""

    @property
    def topics(self) -> Sequence[str]:
        """Which rows of the log matter to the views."""

    def fold(self, rows: Sequence[Row]) -> Any:
        """What rows of these topics change."""

    def write(self, connection: sa.Connection, folded: Any, names: Names) -> None:
        """Write the changes."""

    def alone(self, view: View) -> "Replay":
        """What goes on with one of the views from where this one stands."""


class ViewReplay:
    """Any views, by the fold and the write that keep them up to date."""

    def __init__(self, ledger: Ledger, views: Sequence[View], topics: Sequence[str]) -> None:
        self.views = tuple(views)
        self._ledger = ledger
        self.topics = tuple(topics)

    def fold(self, rows: Sequence[Row]) -> list[Any]:
        """The changes of each view."""
        batch = Batch([decoded(self._ledger, row) for row in rows])
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


def replays(ledger: Ledger, views: Sequence[View], *, live: bool = False) -> list[Replay]:
    """What folds these views, the longest first: views of a kind together. They begin with the log's start,
    or, `live`, with what stands in their tables."""
    groups = [(kind, [view for view in views if _kind(view) is kind]) for kind in KINDS]
    return [
        (partial(kind, live=live) if kind is MoneyReplay else kind)(ledger, group, topics_of(group))
        for kind, group in groups
        if group
    ]


def _kind(view: View) -> Kind:
    if view.name in MONEY:
        return MoneyReplay
    return ConversionReplay if view.name == Conversions.name else ViewReplay
