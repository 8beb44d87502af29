"""The quick way to make journal and balances anew: from the log's JSON straight to rows.

It decodes no more of a fact than its legs need and makes no object per leg. The posting rules are those of
the ledger, and each rebuild compares what this made with what the live views wrote, byte for byte.
"""

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa

from ledger.events.base import Fact
from ledger.events.payout import TransferConfirmed
from ledger.postings import MONEY_FACTS, POSTING_VERSION, entry_rule
from ledger.store.application import Ledger
from ledger.store.database import driver
from ledger.store.mapper import topic_of
from projections import bulk, tables
from projections.balances import ACCOUNT_COLUMNS, EARNED, POSITION, Balances, Totals
from projections.columns import time_to_text
from projections.view import Names, View

Row = tuple[str, bytes, int, Any]
"""topic, state, position, and the stream's id where a leg needs it."""
Holder = tuple[str, str, str]
"""Program, partner, currency, as the log's JSON has them."""

_COLUMNS: Final = tuple(column.name for column in tables.journal.columns)
_SUBJECTS: Final = ("reward_id", "payout_id", "conversion_id")
_KEPT: Final = ("program_id", "partner_id", "currency", "effective_at")
_POSTGRES_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Folded(NamedTuple):
    """What a batch adds to the journal (COPY's bytes, or SQLite's values) and by how much balances move."""

    legs: Any
    totals: Totals


def _slim(kind: type[Fact]) -> type[Any]:
    """A struct with only what legs need of a fact: its amounts, and ids that stay text."""
    fields: list[Any] = []
    for field in msgspec.structs.fields(kind):
        if field.name == "effective_at":
            fields.append((field.name, datetime))
        elif field.name in _KEPT:
            fields.append((field.name, str))
        elif field.type is int:
            fields.append((field.name, int))
    fields += [(name, str | None, None) for name in _SUBJECTS]
    slim = msgspec.defstruct(f"Slim{kind.__name__}", fields, kw_only=True, gc=False)
    return msgspec.defstruct("Stored", [("recorded_at", datetime), ("fact", slim)], gc=False)


class MoneyReplay:
    """Reads and folds the facts that move money, for the views `journal` and `balances` or one of them."""

    def __init__(self, ledger: Ledger, views: Sequence[View], topics: Sequence[str]) -> None:
        self.views = tuple(views)
        self._topics = list(topics)
        self._ledger = ledger
        self._stored = {topic_of(kind): _slim(kind) for kind in MONEY_FACTS}
        self._decode = {topic: msgspec.json.Decoder(stored).decode for topic, stored in self._stored.items()}
        self._rule = {topic_of(kind): entry_rule(kind) for kind in MONEY_FACTS}
        self._postgresql = ledger.database.is_postgresql
        self._with_journal = any(view.name == "journal" for view in views)
        self._holders: dict[Holder, bytes] = {}

    def read(self, connection: sa.Connection, *, after: int, limit: int, stop: int) -> list[Row]:
        """The facts of money behind a position, up to another."""
        # Only a transfer's leg is about the stream that its fact stands in.
        columns = f"topic, state, notification_id, CASE WHEN topic LIKE '{TransferConfirmed.__name__}@%'"
        columns += " THEN originator_id END"
        if self._postgresql:
            cursor = driver(connection).cursor(binary=True)
            statement = (
                f"SELECT {columns.replace('%', '%%')} FROM stored_events WHERE notification_id > %s"
                " AND notification_id <= %s AND topic = ANY(%s) ORDER BY notification_id LIMIT %s"
            )
            cursor.execute(statement, (after, stop, self._topics, limit))
        else:
            statement = (
                f"SELECT {columns} FROM stored_events WHERE notification_id > ? AND notification_id <= ?"
                f" AND topic IN ({', '.join('?' * len(self._topics))}) ORDER BY notification_id LIMIT ?"
            )
            cursor = driver(connection).execute(statement, (after, stop, *self._topics, limit))
        found: list[Row] = cursor.fetchall()
        return found

    def position(self, row: Row) -> int:
        """The position of a row."""
        return row[2]

    def fold(self, rows: Sequence[Row]) -> Folded:
        """The legs of a batch, and what they sum to."""
        sums: dict[Holder, dict[str, int]] = {}
        last: dict[Holder, int] = {}
        legs: list[Any] = []
        tail_of = self._tail if self._postgresql else self._columns
        add = _pack if self._postgresql else _list
        for topic, state, position, stream in rows:
            decode = self._decode.get(topic)
            stored = decode(state) if decode is not None else self._older(topic, state, position)
            fact = stored.fact
            holder = (fact.program_id, fact.partner_id, fact.currency)
            entry = [leg for leg in self._rules(topic)(fact) if leg[1]]
            if not entry:
                continue
            if self._with_journal:
                add(legs, position, entry, tail_of(holder, stored, stream))
            total = sums.get(holder)
            if total is None:
                total = sums[holder] = {}
            for account, amount in entry:
                total[account] = total.get(account, 0) + amount
            last[holder] = position
        return Folded(b"".join(legs) if self._postgresql else legs, _totals(sums, last))

    def write(self, connection: sa.Connection, folded: Folded, names: Names) -> None:
        """Add the legs and let the balances grow."""
        for view in self.views:
            if view.name == "balances":
                Balances().write(connection, folded.totals, names)
            elif self._postgresql:
                bulk.copy_packed(connection, names["journal"], _COLUMNS, folded.legs)
            else:
                bulk.insert_stored(connection, names["journal"], _COLUMNS, folded.legs)

    def _rules(self, topic: str) -> Callable[[Any], Sequence[tuple[str, int]]]:
        rule = self._rule.get(topic)
        if rule is None:  # an older version: its upcast fact goes by the rule of today's
            name = topic.partition("@")[0]
            rule = self._rule[topic] = next(entry_rule(k) for k in MONEY_FACTS if k.__name__ == name)
        return rule

    def _older(self, topic: str, state: bytes, position: int) -> Any:
        """A fact of an older version: decoded and upcast by the ledger, then cut down to what legs need."""
        recorded = self._ledger.decode((UUID(int=0), 1, topic, state, position))
        whole = {"recorded_at": recorded.recorded_at, "fact": msgspec.to_builtins(recorded.fact)}
        return msgspec.convert(whole, self._stored[topic_of(type(recorded.fact))])

    def _tail(self, holder: Holder, stored: Any, stream: UUID | None) -> bytes:
        """What all legs of an entry end with, packed."""
        about, fact = self._holders.get(holder), stored.fact
        if about is None:
            about = self._holders[holder] = _packed_holder(holder)
        times = _TIMES(
            8,
            (fact.effective_at - _POSTGRES_EPOCH) // _MICROSECOND,
            8,
            (stored.recorded_at - _POSTGRES_EPOCH) // _MICROSECOND,
        )
        payout = str(stream) if stream is not None else fact.payout_id
        return about + times + _uuid(fact.reward_id) + _uuid(payout) + _uuid(fact.conversion_id)

    def _columns(self, holder: Holder, stored: Any, stream: str | None) -> tuple[Any, ...]:
        """What all legs of an entry end with, as SQLite stores it."""
        fact = stored.fact
        program, partner, currency = holder
        times = time_to_text(fact.effective_at), time_to_text(stored.recorded_at)
        payout = stream if stream is not None else _hex(fact.payout_id)
        subjects = (_hex(fact.reward_id), payout, _hex(fact.conversion_id))
        return (currency, _hex(program), _hex(partner), POSTING_VERSION, *times, *subjects)


def _totals(sums: dict[Holder, dict[str, int]], last: dict[Holder, int]) -> Totals:
    totals: Totals = {}
    for (program, partner, currency), accounts in sums.items():
        total = totals[UUID(program), UUID(partner), currency] = [0] * (POSITION + 1)
        for account, amount in accounts.items():
            if account in ACCOUNT_COLUMNS:
                column, sign, earned = ACCOUNT_COLUMNS[account]
                total[column] += sign * amount
                total[EARNED] += earned * amount
        total[POSITION] = last[program, partner, currency]
    return totals


# Rows of the journal in COPY's binary format: each value is its length, then its bytes

_WIDTH: Final = len(tables.journal.columns)
_HEAD: Final = struct.Struct(">hiqiq").pack
_AMOUNT: Final = struct.Struct(">iq").pack
_TIMES: Final = struct.Struct(">iqiq").pack
_NULL: Final = b"\xff\xff\xff\xff"


def _text(value: str) -> bytes:
    encoded = value.encode()
    return len(encoded).to_bytes(4, "big") + encoded


def _uuid(value: str | None) -> bytes:
    return _NULL if value is None else b"\0\0\0\x10" + bytes.fromhex(value.replace("-", ""))


def _packed_holder(holder: Holder) -> bytes:
    program, partner, currency = holder
    return _text(currency) + _uuid(program) + _uuid(partner) + _AMOUNT(8, POSTING_VERSION)


class _Texts(dict[str, bytes]):
    def __missing__(self, value: str) -> bytes:
        packed = self[value] = _text(value)
        return packed


_ACCOUNTS: Final = _Texts()


def _pack(legs: list[Any], position: int, entry: Sequence[tuple[str, int]], tail: Any) -> None:
    for number, (account, amount) in enumerate(entry, start=1):
        legs += (_HEAD(_WIDTH, 8, position, 8, number), _ACCOUNTS[account], _AMOUNT(8, amount), tail)


def _list(legs: list[Any], position: int, entry: Sequence[tuple[str, int]], tail: Any) -> None:
    for number, (account, amount) in enumerate(entry, start=1):
        legs.append((position, number, account, amount, *tail))


def _hex(value: str | None) -> str | None:
    return None if value is None else value.replace("-", "")
