"""What one step of the engine works on: loaded in bulk, changed in memory, saved with the step's facts."""

from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
import sqlalchemy as sa

from ledger import account, attribution, conversion, ids
from ledger.account import AccountState
from ledger.attribution import Binding, CustomerState
from ledger.conversion import ConversionState
from ledger.engine import tables
from ledger.engine.snapshots import ONLY_NOW, accounts_now
from ledger.events.base import Fact
from ledger.reward import Piece, TotalKey
from ledger.store.application import Change, Ledger


class Customer(msgspec.Struct):
    """A customer between batches. `has_unbound`: a conversion was settled before anybody had brought it."""

    program_id: UUID
    state: CustomerState = attribution.INITIAL
    binding: Binding | None = None
    has_unbound: bool = False

    @property
    def converted(self) -> bool:
        """Whether the engine has seen any conversion of it."""
        return self.binding is not None or self.has_unbound


class Conversion(msgspec.Struct):
    """A conversion in this step: its facts so far, its rewards, and its row in the engine's table."""

    conversion_id: UUID
    state: ConversionState = conversion.INITIAL
    pieces: dict[UUID, Piece] = {}
    told: frozenset[str] = frozenset()
    rewards_version: int = 0
    new_facts: list[Fact] = []
    derived_customer_id: UUID | None = None

    @property
    def customer_id(self) -> UUID:
        """The customer of a recorded conversion."""
        if self.derived_customer_id is None:
            assert self.state.recorded is not None
            recorded = self.state.recorded
            self.derived_customer_id = ids.customer_id(recorded.program_id, recorded.customer)
        return self.derived_customer_id


class Account(msgspec.Struct):
    """A money account in this step, fast-forwarded to the end of its stream."""

    state: AccountState
    version: int
    new_facts: list[Fact] = []


_customer_decoder: Final = msgspec.json.Decoder(Customer)
decode_piece: Final = msgspec.json.Decoder(Piece).decode


def total_id(key: TotalKey) -> UUID:
    """The row of a running total."""
    return ids.total_id(key.account_id, key.kind, key.name)


class Workspace:
    """The loaded part of the engine's memory, and what of it changed."""

    def __init__(self, ledger: Ledger, connection: sa.Connection) -> None:
        self._ledger = ledger
        self._connection = connection
        self._encoder = msgspec.json.Encoder()
        self.conversions: dict[UUID, Conversion] = {}
        self.customers: dict[UUID, Customer] = {}
        self.accounts: dict[UUID, Account] = {}
        self.totals: dict[TotalKey, int] = {}
        self.changed_customers: set[UUID] = set()
        self.changed_pieces: dict[UUID, Piece] = {}
        self.changed_conversions: dict[UUID, None] = {}  # in the order in which they changed
        self.changed_totals: set[TotalKey] = set()
        self.partner_links: set[tuple[UUID, UUID, UUID]] = set()
        self.work: dict[UUID, int] = {}
        self.work_done: list[UUID] = []
        self.customers_to_revisit: dict[UUID, int] = {}
        self.agreements_to_revisit: dict[tuple[UUID, UUID], int] = {}
        self.terms_to_revisit: dict[UUID, tuple[int, int]] = {}

    # Loading

    def load_conversions(self, conversion_ids: Iterable[UUID], *, until: int) -> None:
        """Conversions with a history: their facts up to a position, their rewards, their rows."""
        wanted = [c for c in conversion_ids if c not in self.conversions]
        if not wanted:
            return
        for conversion_id in wanted:
            self.conversions[conversion_id] = Conversion(conversion_id)
        streams = self._ledger.streams(self._connection, wanted, until=until)
        for conversion_id, history in streams.items():
            entry = self.conversions[conversion_id]
            for recorded in history:
                entry.state = conversion.evolve(entry.state, recorded.fact)
        for row in tables.select_in(self._connection, tables.conversions, "conversion_id", wanted):
            entry = self.conversions[row.conversion_id]
            entry.rewards_version = row.rewards_version
            entry.told = frozenset(row.told.split())
        for row in tables.select_in(self._connection, tables.rewards, "conversion_id", wanted):
            self.conversions[row.conversion_id].pieces[row.reward_id] = decode_piece(row.document)

    def load_customers(self, customer_ids: dict[UUID, UUID]) -> None:
        """Customers by id, given with their programs."""
        wanted = [c for c in customer_ids if c not in self.customers]
        for row in tables.select_in(self._connection, tables.customers, "customer_id", wanted):
            self.customers[row.customer_id] = _customer_decoder.decode(row.document)
        for customer_id in wanted:
            if customer_id not in self.customers:
                self.customers[customer_id] = Customer(customer_ids[customer_id])

    def load_accounts(self, account_ids: Iterable[UUID]) -> None:
        """Money accounts: their snapshot and what was appended since, by us or by payouts."""
        wanted = [a for a in set(account_ids) if a not in self.accounts]
        if wanted:
            found = accounts_now(self._ledger, self._connection, dict.fromkeys(wanted, ONLY_NOW))
            self.accounts.update({a: Account(now.state, now.version) for a, now in found.items()})

    def total(self, key: TotalKey) -> int:
        """A running total."""
        if key not in self.totals:
            query = sa.select(tables.totals.c.amount).where(tables.totals.c.total_id == total_id(key))
            self.totals[key] = self._connection.execute(query).scalar() or 0
        return self.totals[key]

    def conversion_times(self, customer_id: UUID, since_us: int) -> list[int]:
        """The distinct times (µs) of a customer's conversions from a time on, in order, this step's too."""
        table = tables.conversions
        query = (
            sa.select(table.c.effective_at_us)
            .where(table.c.customer_id == customer_id, table.c.effective_at_us >= since_us)
            .distinct()
        )
        stored = set(self._connection.execute(query).scalars())
        for entry in self.conversions.values():
            recorded = entry.state.recorded
            if recorded is not None and entry.customer_id == customer_id:
                stored.add(tables.to_us(recorded.effective_at))
        return sorted(when for when in stored if when >= since_us)

    # Changing

    def add_total(self, key: TotalKey, amount: int) -> None:
        """Count an amount (or a payment) in a running total."""
        self.totals[key] = self.total(key) + amount
        self.changed_totals.add(key)

    def keep_piece(self, piece: Piece) -> None:
        """Remember a reward as it stands now."""
        entry = self.conversions.get(piece.conversion_id)
        if entry is not None:
            entry.pieces[piece.reward_id] = piece
        self.changed_pieces[piece.reward_id] = piece

    def append_to_rewards(self, entry: Conversion, fact: Fact) -> None:
        """A new fact about what a conversion earned."""
        entry.new_facts.append(fact)
        self.changed_conversions[entry.conversion_id] = None

    def append_to_account(self, account_id: UUID, facts: Sequence[Fact]) -> None:
        """New facts of a money account."""
        entry = self.accounts[account_id]
        for fact in facts:
            entry.state = account.evolve(entry.state, fact)
            entry.new_facts.append(fact)

    # Saving

    def changes(self) -> list[Change]:
        """The step's new facts by stream, in the order in which the streams were changed."""
        settled = (self.conversions[conversion_id] for conversion_id in self.changed_conversions)
        changes = [
            Change(ids.rewards_id(entry.conversion_id), entry.rewards_version, entry.new_facts)
            for entry in settled
            if entry.new_facts
        ]
        changes += [
            Change(account_id, entry.version, entry.new_facts)
            for account_id, entry in self.accounts.items()
            if entry.new_facts
        ]
        return changes

    def saves(self) -> list[tables.Save]:
        """What writes all that changed, in the transaction that stores the step's facts; made ready here."""
        encode = self._encoder.encode
        links = list(self.partner_links)
        rows: list[tuple[sa.Table, Sequence[tuple[Any, ...]]]] = [
            (tables.conversions, self._conversion_rows()),
            (tables.customers, [(c, encode(self.customers[c])) for c in self.changed_customers]),
            (tables.customer_partners, links),
            (tables.rewards, [self._reward_row(piece) for piece in self.changed_pieces.values()]),
            (tables.totals, [(total_id(key), self.totals[key]) for key in self.changed_totals]),
            (
                tables.accounts,
                [
                    (account_id, entry.version + len(entry.new_facts), encode(entry.state))
                    for account_id, entry in self.accounts.items()
                    if entry.new_facts
                ],
            ),
        ]
        postgresql = self._ledger.database.is_postgresql
        upserts = [tables.upserting(table, of, postgresql=postgresql) for table, of in rows if of]
        return [*upserts, self._save_work]

    def _conversion_rows(self) -> list[tuple[Any, ...]]:
        rows = []
        for conversion_id in self.changed_conversions:
            entry = self.conversions[conversion_id]
            assert entry.state.recorded is not None
            rows.append(
                (
                    conversion_id,
                    entry.customer_id,
                    tables.to_us(entry.state.recorded.effective_at),
                    entry.rewards_version + len(entry.new_facts),
                    " ".join(sorted(entry.told)),
                )
            )
        return rows

    def _reward_row(self, piece: Piece) -> tuple[Any, ...]:
        waits = False
        if piece.kept_minor and not piece.matured:
            waits = not self.conversions[piece.conversion_id].state.disputed
        due_at_us = tables.to_us(piece.matures_at) if waits else None
        return (piece.reward_id, piece.conversion_id, due_at_us, self._encoder.encode(piece))

    def _save_work(self, connection: sa.Connection) -> None:
        for start in range(0, len(self.work_done), 500):
            done = self.work_done[start : start + 500]
            connection.execute(sa.delete(tables.work).where(tables.work.c.conversion_id.in_(done)))
        table = tables.conversions
        for customer_id, position in self.customers_to_revisit.items():
            _enqueue(
                connection,
                sa.select(table.c.conversion_id, sa.literal(position)).where(
                    table.c.customer_id == customer_id
                ),
            )
        links = tables.customer_partners
        for (program_id, partner_id), position in self.agreements_to_revisit.items():
            linked = sa.select(links.c.customer_id).where(
                links.c.program_id == program_id, links.c.partner_id == partner_id
            )
            chosen = sa.select(table.c.conversion_id, sa.literal(position))
            _enqueue(connection, chosen.where(table.c.customer_id.in_(linked)))
        for program_id, (in_force_us, position) in self.terms_to_revisit.items():
            linked = sa.select(links.c.customer_id).where(links.c.program_id == program_id)
            chosen = sa.select(table.c.conversion_id, sa.literal(position)).where(
                table.c.effective_at_us >= in_force_us
            )
            _enqueue(connection, chosen.where(table.c.customer_id.in_(linked)))


def _enqueue(connection: sa.Connection, chosen: sa.Select[Any]) -> None:
    """Put conversions on the list to settle again; those that wait there keep their place."""
    waiting = sa.select(tables.work.c.conversion_id)
    fresh = chosen.where(tables.conversions.c.conversion_id.not_in(waiting))
    connection.execute(sa.insert(tables.work).from_select(["conversion_id", "since"], fresh))
