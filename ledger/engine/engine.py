"""The engine's loop: read facts in log order, settle, mature, append; each step one transaction."""

import threading
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import sqlalchemy as sa
import structlog

from ledger import attribution, conversion, ids
from ledger.engine import tables
from ledger.engine.directory import Directory
from ledger.engine.settling import Settler
from ledger.engine.workspace import Conversion, Customer, Workspace, decode_piece
from ledger.events import conversion as conversions
from ledger.events.base import Recorded
from ledger.events.partner import AgreementAccepted
from ledger.events.program import TermsVersionPublished
from ledger.events.referral import CustomerReattributed, ReferralRecorded
from ledger.store.application import Change, Ledger
from ledger.store.database import DatabaseUnavailable
from ledger.store.leader import LeaderLock
from ledger.unswept import unswept

POSITION: Final = "engine"
"""The name of the engine's position in the log."""
_TURN: Final = "engine:turn"
"""Counts the engine's transactions: whoever finds it changed is not the leader any more."""
LOST_MAX: Final = 20
"""How often in a row a step may lose its race: payouts win one now and then, never so many."""
BATCH_MAX: Final = 4_000
"""Facts of a step. Only the insert of those that it makes is under the log's lock: some tens of ms."""
IDLE_S: Final = timedelta(milliseconds=50).total_seconds()
REST_S: Final = timedelta(milliseconds=10).total_seconds()
"""Between two steps while facts keep coming: few large transactions take less than many small ones."""
RETRY_S: Final = timedelta(seconds=1).total_seconds()

_log = structlog.get_logger(__name__)

_CONVERSION_FACTS: Final = (
    conversions.ConversionRecorded,
    conversions.ConversionRefunded,
    conversions.DisputeOpened,
    conversions.DisputeWon,
    conversions.DisputeLost,
    conversions.ConversionCanceled,
)
_DISPUTE_FACTS: Final = (conversions.DisputeOpened, conversions.DisputeWon, conversions.DisputeLost)
_CUSTOMER_FACTS: Final = (ReferralRecorded, CustomerReattributed)
_TOPICS_OF_OTHERS: Final = (
    "Conversion", "Dispute", "Referral", "Customer", "Agreement", "Partner", "Terms", "Program",
)  # fmt: skip
"""How the topics begin that the engine reads; its own and those of payouts it passes over undecoded."""


class NotLeader(Exception):
    """Another engine has taken a step meanwhile: this one must give way."""


class EngineStuck(Exception):
    """Streams that the engine alone writes hold facts that it does not know: its steps can't be stored."""


class RewardEngine:
    """One leader. A second engine is fenced off by the turn that each step advances."""

    def __init__(self, ledger: Ledger, *, batch_max: int = BATCH_MAX) -> None:
        self._ledger = ledger
        self._batch_max = batch_max
        self._directory = Directory(ledger)
        self._turn: int | None = None
        self._lost: dict[str, int] = {}
        """How often in a row each kind of step has lost its race."""

    def run(self, stop: threading.Event) -> None:
        """Step until told to stop; a database that is down, or another leader, is waited for."""
        lock = LeaderLock(self._ledger.database, POSITION)
        try:
            while not stop.is_set():
                try:
                    if not lock.acquire():
                        self._turn = None
                        stop.wait(RETRY_S)
                    elif not (done := self.step()):
                        stop.wait(IDLE_S)
                    elif done < self._batch_max:
                        stop.wait(REST_S)
                except DatabaseUnavailable as error:
                    _log.warning("engine waits for the database", error=str(error))
                    stop.wait(RETRY_S)
                except NotLeader:
                    _log.warning("another engine led meanwhile; this one starts over")
                    self._turn = None
                except EngineStuck as error:
                    _log.error("the engine is stuck", error=str(error), retry_in_s=RETRY_S)
                    stop.wait(RETRY_S)
        finally:
            lock.release()

    def step(self) -> int:
        """Read a batch, settle what waits, mature what is due: how much there was to do; 0 when idle.

        Raises NotLeader when another engine wrote since this one's last step, and EngineStuck when the
        same step lost its race so often that it can't be chance.
        """
        with unswept():
            done = self._read()
            waits, due = self._look()
            return done + (self._settle_waiting() if waits else 0) + (self._mature() if due else 0)

    def drain(self) -> None:
        """Step until there is nothing left to do."""
        while self.step():
            pass

    def _look(self) -> tuple[bool, bool]:
        """Whether anything waits to be settled again, and whether anything is due: mostly neither."""
        waits = sa.select(tables.work.c.conversion_id).exists()
        due_at = tables.rewards.c.due_at_us
        due = sa.select(due_at).where(due_at <= tables.to_us(self._ledger.clock())).exists()
        with self._ledger.database.glance() as connection:
            found = connection.execute(sa.select(waits, due)).one()
        return bool(found[0]), bool(found[1])

    # The three kinds of steps

    def _read(self) -> int:
        with self._ledger.database.read() as connection:
            position = self._begin(connection)
            rows = self._ledger.log.read_log(connection, after=position, limit=self._batch_max)
            if not rows:
                return 0
            events = [self._ledger.decode(row) for row in rows if row[2].startswith(_TOPICS_OF_OTHERS)]
            space = Workspace(self._ledger, connection)
            self._load_for(space, events, until=position)
            for event in events:
                self._take(space, event)
        self._commit(space, "read", position=rows[-1][4])
        return len(rows)

    def _settle_waiting(self) -> int:
        with self._ledger.database.read() as connection:
            position = self._begin(connection)
            query = sa.select(tables.work).order_by(tables.work.c.since, tables.work.c.conversion_id)
            waiting = connection.execute(query.limit(self._batch_max)).all()
            if not waiting:
                return 0
            space = Workspace(self._ledger, connection)
            space.load_conversions([row.conversion_id for row in waiting], until=position)
            self._load_companions(space, [row.conversion_id for row in waiting])
            self._bind_anew(space, position)
            for row in waiting:
                Settler(self._directory).settle(space, space.conversions[row.conversion_id], row.since)
                space.work_done.append(row.conversion_id)
        self._commit(space, "settle")
        return len(waiting)

    def _mature(self) -> int:
        now = self._ledger.clock()
        with self._ledger.database.read() as connection:
            self._begin(connection)
            due_at = tables.rewards.c.due_at_us
            query = (
                sa.select(tables.rewards.c.document)
                .where(due_at <= tables.to_us(now))
                .order_by(due_at, tables.rewards.c.reward_id)
                .limit(self._batch_max)
            )
            pieces = [decode_piece(row.document) for row in connection.execute(query)]
            if not pieces:
                return 0
            space = Workspace(self._ledger, connection)
            space.load_accounts(piece.account_id for piece in pieces)
            for piece in pieces:
                Settler.mature(space, piece)
        self._commit(space, "mature")
        return len(pieces)

    # One transaction

    def _begin(self, connection: sa.Connection) -> int:
        """The position to read on from; checks that nobody else has led meanwhile."""
        found = {
            row.name: row.position
            for row in connection.execute(
                sa.select(tables.positions).where(tables.positions.c.name.in_([POSITION, _TURN]))
            )
        }
        turn = found.get(_TURN, 0)
        if self._turn is not None and turn != self._turn:
            raise NotLeader
        if self._turn is None:
            self._directory = Directory(self._ledger)  # what was known may be older than the log
        self._turn = turn
        return int(found.get(POSITION, 0))

    def _commit(self, space: Workspace, step: str, *, position: int | None = None) -> None:
        assert self._turn is not None
        turn = self._turn
        saves = [*space.saves()]
        if position is not None:
            row = (POSITION, position)
            saves.append(
                tables.upserting(tables.positions, [row], postgresql=self._ledger.database.is_postgresql)
            )

        def before(connection: sa.Connection) -> None:
            self._advance(connection, turn)
            for save in saves:
                save(connection)

        changes = space.changes()
        # Only the facts themselves are written under the log's lock, and nothing is made ready there.
        if None in self._ledger.append_units([self._ledger.stamp(changes, by=POSITION)], before=before):
            # A money account moved on between our read and our write: payouts may do that. The step is
            # taken again from the start; nothing of it was stored.
            self._lost[step] = self._lost.get(step, 0) + 1
            if self._lost[step] >= LOST_MAX:
                raise EngineStuck(self._why_lost(step, changes))
            return
        self._lost.pop(step, None)
        self._turn = turn + 1

    def _why_lost(self, step: str, changes: Sequence[Change]) -> str:
        """Which stream stands in the way, as far as it can still be seen."""
        text = f"the step `{step}` lost its race {self._lost[step]} times in a row"
        with self._ledger.database.read() as connection:
            versions = {change.stream_id: change.expected_version for change in changes}
            tails = self._ledger.log.read_tails(connection, versions)
        if not tails:
            return text
        stream, version, topic, _, position = tails[0]
        return (
            f"{text}: stream {stream} holds {topic} as its version {version} at position {position} of the"
            f" log, and the engine knows it up to version {versions[stream]}"
        )

    @staticmethod
    def _advance(connection: sa.Connection, turn: int) -> None:
        """Take the next turn, or find that somebody else has: the row tells exactly one of two engines."""
        if turn == 0:
            tables.insert_if_absent(connection, tables.positions, {"name": _TURN, "position": 0})
        table = tables.positions
        taken = connection.execute(
            sa.update(table).where(table.c.name == _TURN, table.c.position == turn).values(position=turn + 1)
        )
        if taken.rowcount != 1:
            raise NotLeader

    # Loading

    def _load_for(self, space: Workspace, events: Sequence[Recorded], *, until: int) -> None:
        """Everything that a batch of facts will touch, in a few reads."""
        fresh: dict[UUID, UUID] = {}
        with_history: set[UUID] = set()
        customers: dict[UUID, UUID] = {}
        for event in events:
            fact = event.fact
            if isinstance(fact, conversions.ConversionRecorded):
                customer_id = ids.customer_id(fact.program_id, fact.customer)
                customers[customer_id] = fact.program_id
                if event.originator_version == 1:
                    fresh[event.originator_id] = customer_id
                else:
                    with_history.add(event.originator_id)
            elif isinstance(fact, _CONVERSION_FACTS):
                with_history.add(event.originator_id)
            elif isinstance(fact, _CUSTOMER_FACTS):
                customers[event.originator_id] = fact.program_id
        for conversion_id, customer_id in fresh.items():
            if conversion_id not in with_history:
                space.conversions[conversion_id] = Conversion(conversion_id, derived_customer_id=customer_id)
        space.load_conversions(with_history, until=until)
        space.load_customers(customers)
        self._load_companions(space, with_history)

    @staticmethod
    def _load_companions(space: Workspace, conversion_ids: Iterable[UUID]) -> None:
        """The customers and money accounts of conversions that were loaded."""
        entries = [space.conversions[conversion_id] for conversion_id in conversion_ids]
        customers = {
            entry.customer_id: entry.state.recorded.program_id
            for entry in entries
            if entry.state.recorded is not None
        }
        space.load_customers(customers)
        space.load_accounts(
            piece.account_id for entry in entries for piece in entry.pieces.values() if piece.matured
        )

    # Facts

    def _take(self, space: Workspace, event: Recorded) -> None:
        """One fact of the log."""
        fact = event.fact
        if isinstance(fact, _CONVERSION_FACTS):
            entry = space.conversions[event.originator_id]
            entry.state = conversion.evolve(entry.state, fact)
            if isinstance(fact, conversions.ConversionRecorded):
                self._bind_by(space, entry, event.position)
                space.changed_conversions[entry.conversion_id] = None
            elif isinstance(fact, _DISPUTE_FACTS):
                for piece in entry.pieces.values():
                    space.keep_piece(piece)  # an open dispute takes it off the list of what is due
            if entry.state.recorded is not None:
                Settler(self._directory).settle(space, entry, event.position)
        elif isinstance(fact, _CUSTOMER_FACTS):
            self._take_customer(space, event)
        else:
            self._directory.forget([event.originator_id])
            if isinstance(fact, AgreementAccepted):
                space.agreements_to_revisit[fact.program_id, fact.partner_id] = event.position
            elif isinstance(fact, TermsVersionPublished):
                in_force_us = tables.to_us(fact.effective_at)
                space.terms_to_revisit[event.originator_id] = (in_force_us, event.position)

    def _take_customer(self, space: Workspace, event: Recorded) -> None:
        """A touch or a decision of finance: bind anew, and settle the customer's conversions again."""
        fact = event.fact
        entry = space.customers[event.originator_id]
        entry.state = attribution.evolve(entry.state, fact)
        space.changed_customers.add(event.originator_id)
        if isinstance(fact, ReferralRecorded):
            partners = [fact.partner_id]
            if entry.converted:
                entry.binding = self._first_binding(space, event.originator_id, entry)
        else:
            assert isinstance(fact, CustomerReattributed)
            partners = [share.partner_id for share in fact.shares]
        for partner_id in partners:
            space.partner_links.add((entry.program_id, partner_id, event.originator_id))
        if entry.converted:
            space.customers_to_revisit[event.originator_id] = event.position

    def _bind_anew(self, space: Workspace, position: int) -> None:
        """Terms or an agreement that came late may bind the customers of the conversions that wait."""
        for customer_id in {entry.customer_id for entry in space.conversions.values()}:
            customer = space.customers[customer_id]
            binding = self._first_binding(space, customer_id, customer)
            if binding != customer.binding:
                customer.binding = binding
                space.changed_customers.add(customer_id)
                space.customers_to_revisit[customer_id] = position

    def _first_binding(
        self, space: Workspace, customer_id: UUID, entry: Customer
    ) -> attribution.Binding | None:
        if not entry.state.touches:
            return None
        first_touch_us = tables.to_us(entry.state.touches[0].effective_at)
        times = [tables.from_us(us) for us in space.conversion_times(customer_id, first_touch_us)]
        return attribution.first_binding(entry.state, times, self._rule_at(entry.program_id))

    def _rule_at(self, program_id: UUID) -> attribution.RuleAt:
        return lambda when: self._directory.attribution_at(program_id, when)

    def _bind_by(self, space: Workspace, entry: Conversion, position: int) -> None:
        """A new conversion may be the one that binds its customer, or an earlier one than did."""
        assert entry.state.recorded is not None
        when = entry.state.recorded.effective_at
        customer = space.customers[entry.customer_id]
        if customer.binding is not None and customer.binding.bound_at <= when:
            return
        binding = attribution.bind(customer.state, when, self._rule_at(customer.program_id))
        if binding is None:
            if not customer.has_unbound:
                customer.has_unbound = True
                space.changed_customers.add(entry.customer_id)
            return
        if customer.converted:
            space.customers_to_revisit[entry.customer_id] = position
        customer.binding = binding
        space.changed_customers.add(entry.customer_id)
