"""The quick way to make journal and balances: from the log's JSON straight to rows.

It decodes no more of a fact than its legs need and makes no object per leg. The posting rules are those of
the ledger. What is made anew is compared with what the live views wrote, byte for byte.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa

from ledger.events.base import Fact
from ledger.events.payout import TransferConfirmed
from ledger.postings import MONEY_FACTS, entry_rule, posting_version
from ledger.store.application import Ledger
from ledger.store.mapper import topic_of
from projections import binding, bulk, tables
from projections.balances import ACCOUNT_COLUMNS, EARNED, POSITION, Balances, Totals
from projections.folios import Account, Folio, Loose, Movement
from projections.forms import Memo, form_of, packed_text, stored_struct
from projections.log_rows import Row
from projections.view import Names, View, topics_of

Holder = tuple[str, str, str]
"""Program, partner, currency, as the log's JSON has them."""
Entry = Sequence[tuple[str, int]]
"""Accounts and signed amounts."""

_COLUMNS: Final = tuple(column.name for column in tables.journal.columns)
_TRANSFER: Final = f"{TransferConfirmed.__name__}@"
_NEEDED: Final = (
    *("program_id", "partner_id", "currency", "effective_at"),
    *("reward_id", "payout_id", "conversion_id"),
    "provider",
)
"""What legs need of a fact besides its amounts."""


class Folded(NamedTuple):
    """What a batch adds to the journal (COPY's bytes, or SQLite's values) and its folios, and by how much
    balances move. A live journal has `moved` instead of folios: its tables know where they follow on."""

    legs: Any
    folios: dict[Account, list[Folio]]
    moved: dict[Account, list[Movement]]
    totals: Totals


def _needed(kind: type[Fact]) -> list[str]:
    return [*_NEEDED, *(field.name for field in msgspec.structs.fields(kind) if field.type is int)]


class MoneyReplay:
    """Folds the facts that move money, for the views `journal` and `balances` or one of them."""

    def __init__(
        self, ledger: Ledger, views: Sequence[View], topics: Sequence[str], *, live: bool = False
    ) -> None:
        self.views = tuple(views)
        self.topics = tuple(topics)
        self._ledger = ledger
        self._live = live
        self._postgresql = ledger.database.is_postgresql
        self._form = form_of(postgresql=self._postgresql)
        self._stored = {
            topic_of(kind): stored_struct(kind, _needed(kind), self._form) for kind in MONEY_FACTS
        }
        self._decode = {topic: msgspec.json.Decoder(stored).decode for topic, stored in self._stored.items()}
        self._rule = {topic_of(kind): entry_rule(kind) for kind in MONEY_FACTS}
        self._with_journal = any(view.name == "journal" for view in views)
        self._with_balances = any(view.name == "balances" for view in views)
        self._about = Memo(self._packed_holder if self._postgresql else self._listed_holder)
        self._recorded = Memo(self._form.time)
        self._accounts = Memo(lambda holder: (UUID(holder[0]), UUID(holder[1]), holder[2]))
        self._loose: dict[Account, Loose] = {}

    def fold(self, rows: Sequence[Row]) -> Folded:
        """The legs of a batch, and what they sum to."""
        sums: dict[Holder, dict[str, int]] = {}
        last: dict[Holder, int] = {}
        legs: list[Any] = []
        folded = Folded(legs, {}, {}, {})
        add = self._pack if self._postgresql else self._list
        decoders, rules = self._decode, self._rule
        for stream, _, topic, state, position in rows:
            decode = decoders.get(topic)
            stored = decode(state) if decode is not None else self._older(topic, state, position)
            fact = stored.fact
            holder = (fact.program_id, fact.partner_id, fact.currency)
            rule = rules.get(topic) or self._rule_of_older(topic)
            entry = [leg for leg in rule(fact) if leg[1]]
            if not entry:
                continue
            if self._with_journal:
                about = self._about[*holder, posting_version(fact.provider)]
                # Only a transfer's legs are about the stream that their fact stands in.
                payout = stream if topic.startswith(_TRANSFER) else None
                add(legs, position, entry, about, self._tail(stored, payout))
                moved = Movement(fact.effective_at, stored.recorded_at, position, entry)
                self._keep(folded, self._accounts[holder], moved)
            if self._with_balances:
                total = sums.get(holder)
                if total is None:
                    total = sums[holder] = {}
                for account, amount in entry:
                    total[account] = total.get(account, 0) + amount
                last[holder] = position
        packed = b"".join(legs) if self._postgresql else legs
        return folded._replace(legs=packed, totals=_totals(sums, last))

    def write(self, connection: sa.Connection, folded: Folded, names: Names) -> None:
        """Add the legs and let the balances grow."""
        for view in self.views:
            if view.name == "balances":
                Balances().write(connection, folded.totals, names)
                continue
            closed = binding.filled(connection, folded.moved) if self._live else folded.folios
            if self._postgresql:
                bulk.copy_packed(connection, names["journal"], _COLUMNS, folded.legs)
            else:
                bulk.insert_stored(connection, names["journal"], _COLUMNS, folded.legs)
            binding.store(connection, names["folios"], closed)

    def alone(self, view: View) -> "MoneyReplay":
        """One of the views, with the movements that are in no folio yet."""
        other = MoneyReplay(self._ledger, [view], topics_of([view]), live=self._live)
        other._loose = self._loose
        return other

    def _keep(self, folded: Folded, account: Account, moved: Movement) -> None:
        """Note a movement for the folios: they are closed here, or when the tables are at hand."""
        if self._live:
            folded.moved.setdefault(account, []).append(moved)
            return
        loose = self._loose.get(account)
        if loose is None:
            loose = self._loose[account] = Loose()
        folio = loose.add(moved)
        if folio is not None:
            folded.folios.setdefault(account, []).append(folio)

    def _rule_of_older(self, topic: str) -> Callable[[Any], Entry]:
        """A fact of an older version, once upcast, goes by the rule of today's."""
        name = topic.partition("@")[0]
        rule = self._rule[topic] = next(entry_rule(kind) for kind in MONEY_FACTS if kind.__name__ == name)
        return rule

    def _older(self, topic: str, state: bytes, position: int) -> Any:
        """A fact of an older version: decoded and upcast by the ledger, then cut down to what legs need."""
        recorded = self._ledger.decode((UUID(int=0), 1, topic, state, position))
        whole = msgspec.to_builtins({"recorded_at": recorded.recorded_at, "fact": recorded.fact})
        return msgspec.convert(whole, self._stored[topic_of(type(recorded.fact))])

    def _tail(self, stored: Any, stream: Any) -> tuple[Any, ...]:
        """What all legs of an entry end with: its times, and what it is about."""
        form, fact = self._form, stored.fact
        payout = form.uuid(fact.payout_id) if stream is None else form.stream(stream)
        return (
            form.time(fact.effective_at),
            self._recorded[stored.recorded_at],
            form.uuid(fact.reward_id),
            payout,
            form.uuid(fact.conversion_id),
        )

    # Legs in the order of the journal's columns: bytes for COPY, or SQLite's values

    def _packed_holder(self, holder: tuple[str, str, str, int]) -> bytes:
        return b"".join(self._listed_holder(holder))

    def _listed_holder(self, holder: tuple[str, str, str, int]) -> tuple[Any, ...]:
        program, partner, currency, version = holder
        form = self._form
        ids = form.uuid(program), form.uuid(partner)
        return (form.text(currency), *ids, form.whole(version))

    @staticmethod
    def _pack(legs: list[Any], position: int, entry: Entry, about: bytes, tail: tuple[bytes, ...]) -> None:
        end = about + b"".join(tail)
        for number, (account, amount) in enumerate(entry, start=1):
            pack, name = _LEGS[account]
            legs += (pack(_WIDTH, 8, position, 8, number, name, 8, amount), end)

    @staticmethod
    def _list(
        legs: list[Any], position: int, entry: Entry, about: tuple[Any, ...], tail: tuple[Any, ...]
    ) -> None:
        for number, (account, amount) in enumerate(entry, start=1):
            legs.append((position, number, account, amount, *about, *tail))


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


# How a leg begins in COPY's binary format: each value is its length, then its bytes

_WIDTH: Final = len(_COLUMNS)


def _leg(account: str) -> tuple[Callable[..., bytes], bytes]:
    name = packed_text(account)
    return struct.Struct(f">hiqiq{len(name)}siq").pack, name


_LEGS: Final = Memo(_leg)
