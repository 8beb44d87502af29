"""The quick way to make the view of conversions: from the log's JSON straight to rows.

The facts that nearly all of a log consists of become rows without an object in between; all others, and
those that change a row of an earlier batch, go the way of the view itself. What is made anew is compared
with what the live view wrote, byte for byte.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa

from ledger import ids
from ledger.events.account import MaturedRewardReversed, RewardMatured
from ledger.events.base import Fact
from ledger.events.conversion import ConversionRecorded
from ledger.events.reward import RewardAccrued, RewardReversed
from ledger.store.application import Ledger
from ledger.store.mapper import topic_of
from projections import tables
from projections.conversions import Changes, Conversions, fold_into
from projections.forms import Form, Memo, form_of, stored_struct
from projections.log_rows import Row, decoded, stream_id
from projections.view import Names, View

_FEW: Final = ("program_id", "partner_id", "kind", "source", "currency")
"""Columns with few different values: what was made of one is remembered."""


def _shared(table: sa.Table, kind: type[Fact]) -> tuple[str, ...]:
    """The columns that a fact fills with its own fields, as they are."""
    names = [column.name for column in table.columns if column.name in kind.__struct_fields__]
    return tuple(str(name) for name in names if name != "caps")


_CONVERSION: Final = _shared(tables.conversions, ConversionRecorded)
_CONVERSION_COLUMNS: Final = (
    *_CONVERSION,
    *("conversion_id", "customer_id", "refunded_minor", "lost_minor", "status", "recorded_at", "position"),
)
_REWARD: Final = _shared(tables.rewards, RewardAccrued)
_REWARD_COLUMNS: Final = (
    *_REWARD,
    *("caps", "recorded_at", "reversed_minor", "stage", "matured_at", "position"),
)
_REVERSED, _STAGE, _MATURED_AT, _POSITION = -4, -3, -2, -1


class Folded(NamedTuple):
    """New rows, and what else a batch changes."""

    conversions: list[list[Any]]
    rewards: list[list[Any]]
    changes: Changes


class ConversionReplay:
    """Folds the facts of conversions and their rewards, for the view `conversions`."""

    def __init__(self, ledger: Ledger, views: Sequence[View], topics: Sequence[str]) -> None:
        self.views = tuple(views)
        self._ledger = ledger
        self.topics = tuple(topics)
        self._form = form_of(postgresql=ledger.database.is_postgresql)
        self._quick: dict[str, tuple[Callable[[bytes], Any], Callable[..., None]]] = {}
        fields: list[tuple[type[Fact], Sequence[str], Callable[..., None]]] = [
            (ConversionRecorded, _CONVERSION, self._recorded),
            (RewardAccrued, (*_REWARD, "caps"), self._accrued),
            (RewardMatured, ("reward_id", "effective_at"), self._matured),
            (RewardReversed, ("reward_id", "amount_minor"), self._reversed),
            (MaturedRewardReversed, ("reward_id", "payable_minor", "clawback_minor"), self._matured_reversed),
        ]
        for kind, names, take in fields:
            decode = msgspec.json.Decoder(stored_struct(kind, names, self._form)).decode
            self._quick[topic_of(kind)] = decode, take
        self._conversion_of = _Maker(tables.conversions, _CONVERSION, self._form)
        self._reward_of = _Maker(tables.rewards, _REWARD, self._form)
        self._customers = Memo(self._customer)
        self._zero, self._null = self._form.whole(0), self._form.text(None)
        self._recorded_word, self._held = self._form.text("recorded"), self._form.text("held")
        self._matured_word = self._form.text("matured")
        self._batch = Folded([], [], Changes())
        self._rows: dict[str, list[Any]] = {}
        self._taken: dict[str, int] = {}

    def fold(self, rows: Sequence[Row]) -> Folded:
        """The rows that a batch adds, and the changes it makes."""
        batch = self._batch = Folded([], [], Changes())
        self._rows, self._taken = {}, {}
        quick = self._quick
        for row in rows:
            ways = quick.get(row[2])
            if ways is None:
                self._take_slowly(row)
            else:
                decode, take = ways
                stored = decode(row[3])
                take(stored.fact, stored.recorded_at, row)
        for reward_id, taken in self._taken.items():
            self._rows[reward_id][_REVERSED] = self._form.whole(taken)
        return batch

    def write(self, connection: sa.Connection, folded: Folded, names: Names) -> None:
        """Add the new rows, then let the view write the rest."""
        insert = self._form.insert
        insert(connection, names["conversions"], _CONVERSION_COLUMNS, folded.conversions)
        insert(connection, names["rewards"], _REWARD_COLUMNS, folded.rewards)
        Conversions().write(connection, folded.changes, names)

    def alone(self, view: View) -> "ConversionReplay":
        """It has one view only."""
        return ConversionReplay(self._ledger, [view], self.topics)

    def _take_slowly(self, row: Row) -> None:
        """As the live view does: facts that are rare, and facts of older versions."""
        fold_into(self._batch.changes, decoded(self._ledger, row))

    def _recorded(self, fact: Any, recorded_at: Any, row: Row) -> None:
        form = self._form
        self._batch.conversions.append(
            [
                *self._conversion_of(fact),
                form.stream(row[0]),
                self._customers[fact.program_id, fact.customer],
                self._zero,
                self._zero,
                self._recorded_word,
                form.time(recorded_at),
                form.whole(row[4]),
            ]
        )
        if row[1] > 1:  # facts about it came first
            self._batch.changes.restand.add(stream_id(row))

    def _accrued(self, fact: Any, recorded_at: Any, row: Row) -> None:
        form = self._form
        made = self._rows[fact.reward_id] = [
            *self._reward_of(fact),
            form.text(bytes(fact.caps).decode()),
            form.time(recorded_at),
            self._zero,
            self._held,
            self._null,
            form.whole(row[4]),
        ]
        self._batch.rewards.append(made)
        if row[1] > 1:  # what came first may be the reason why there was no reward yet
            conversion_id = UUID(fact.conversion_id)
            self._batch.changes.not_rewarded.pop(conversion_id, None)
            self._batch.changes.rewarded.add(conversion_id)

    def _matured(self, fact: Any, _recorded_at: Any, row: Row) -> None:
        made = self._rows.get(fact.reward_id)
        if made is None:
            self._take_slowly(row)
            return
        made[_STAGE] = self._matured_word
        made[_MATURED_AT] = self._form.time(fact.effective_at)
        made[_POSITION] = self._form.whole(row[4])

    def _reversed(self, fact: Any, _recorded_at: Any, row: Row) -> None:
        self._take_back(fact.reward_id, fact.amount_minor, row)

    def _matured_reversed(self, fact: Any, _recorded_at: Any, row: Row) -> None:
        self._take_back(fact.reward_id, fact.payable_minor + fact.clawback_minor, row)

    def _take_back(self, reward_id: str, amount_minor: int, row: Row) -> None:
        made = self._rows.get(reward_id)
        if made is None:
            self._take_slowly(row)
            return
        self._taken[reward_id] = self._taken.get(reward_id, 0) + amount_minor
        made[_POSITION] = self._form.whole(row[4])

    def _customer(self, named: tuple[str, str]) -> Any:
        program_id, customer = named
        return self._form.made(ids.customer_id(UUID(program_id), customer))


class _Maker:
    """Makes a row's first values: those that are a fact's own fields."""

    def __init__(self, table: sa.Table, names: Sequence[str], form: Form) -> None:
        self._values = attrgetter(*names)
        self._makes = [self._make(table.columns[name], form) for name in names]

    def __call__(self, fact: Any) -> list[Any]:
        return [make(value) for make, value in zip(self._makes, self._values(fact), strict=True)]

    @staticmethod
    def _make(column: sa.Column[Any], form: Form) -> Callable[[Any], Any]:
        make: Callable[[Any], Any]
        if isinstance(column.type, sa.Uuid):
            make = form.uuid
        elif isinstance(column.type, sa.BigInteger):
            make = form.whole
        elif isinstance(column.type, sa.Text):
            make = form.text
        else:
            make = form.time
        return Memo(make).__getitem__ if column.name in _FEW else make
