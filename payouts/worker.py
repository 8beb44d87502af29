"""The payout worker: records what it is about to send, sends it, records what came of it.

The intent is stored before the socket opens, together with the reservation of its money. From then on a
crash at any point is answered by sending the same bytes under the same key again: the provider makes one
transfer of them. A key is trusted for twenty hours; after that nobody sends again, and the provider's list is
searched. Several workers may run: they lease parts of the payouts, each append asks whether its lease still
holds, and whoever appends to a payout's stream first goes on; what two of them send has one key.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol
from uuid import UUID, uuid4

import msgspec
import sqlalchemy as sa
import structlog

from ledger import payout, payout_search
from ledger.refusals import LostRace
from ledger.store.application import Ledger
from ledger.store.database import DatabaseUnavailable
from payouts import candidates, worklist
from payouts.clearing import Asked as AskedOfProvider
from payouts.clearing import Clearing
from payouts.eligibility import STRIPE
from payouts.gateway import GatewayError
from payouts.leases import LEASE_FOR, SHARDS, LeaseLost, Leases, shard_of
from payouts.loop import run_turns
from payouts.opening import OPENABLE, Opening, transfer_body
from payouts.outcomes import Confirmed
from payouts.pacing import Buckets, Portion, Waits
from payouts.recording import Recording
from payouts.searching import MARGIN, Lists, Searching
from payouts.sending import Sending, Transfers
from payouts.sending_now import Asked, Asks
from payouts.steps import Reached, nothing
from payouts.turn import Around, At, Turn, load, load_around

__all__ = ["Gateway", "Options", "PayoutWorker", "transfer_body"]

_log = structlog.get_logger(__name__)

LOOK_AT_ONCE: Final = 10_000
"""Payouts that one step looks at; more where all of them wait."""
PORTION_MAX: Final = 128
"""Payouts that are opened together at the most: so many intents share one commit."""
_CLEARING: Final = "clearing"


class Gateway(Transfers, Lists, AskedOfProvider, Protocol):
    """What the worker asks of the provider."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker works. `per_s`: requests a second to each endpoint, of all workers that are at work
    together; None: as many as it can.

    `search_margin` is how long a search waits for its proof of absence, `concurrency` how many transfers are
    on their way at once (1: one after the other, without threads).
    """

    per_s: int | None = None
    concurrency: int = 1
    lease_for: timedelta = LEASE_FOR
    shards: int = SHARDS
    search_margin: timedelta = MARGIN
    portion_max: int = PORTION_MAX
    look_at_once: int = LOOK_AT_ONCE


class PayoutWorker:
    """Sends approved payouts. `counts` says how often each outcome was seen since the start.

    `held_for_human` are the payouts that the view shows as left to a human. `reached` is told each step.
    """

    def __init__(
        self,
        ledger: Ledger,
        gateway: Gateway,
        *,
        options: Options | None = None,
        name: str | None = None,
        reached: Reached = nothing,
    ) -> None:
        self._ledger, self._reached = ledger, reached
        self._options = of = options or Options()
        self._clock: Callable[[], datetime] = ledger.clock
        self.counts: Counter[str] = Counter()
        self.held_for_human: set[UUID] = set()
        self._settled: set[UUID] = set()
        self._waits = Waits(self._clock)
        self._buckets = Buckets(of.per_s, self._clock)
        self._portion = Portion(of.portion_max)
        self._leases = Leases(
            ledger.database, self._clock, holder=name or f"worker {uuid4()}", lease_for=of.lease_for
        )
        self._opening = Opening(ledger, self._waits, self.counts, reached)
        self._sending = Sending(
            ledger, gateway, self._waits, self._buckets, self.counts, reached, concurrency=of.concurrency
        )
        self._recording = Recording(ledger, self.counts, reached)
        self._searching = Searching(
            ledger, gateway, self._recording, self._waits, self.counts, reached, margin=of.search_margin
        )
        self._clearing = Clearing(ledger, gateway, self._buckets, self.counts, reached)
        self._asks = Asks()

    # Turns

    def run(self, stop: threading.Event, *, idle_s: float = 0.5) -> None:
        """Work until told to stop."""
        run_turns(stop, lambda: self.turn(stop, idle_s=idle_s), away_s=idle_s)

    def turn(self, stop: threading.Event | None = None, *, idle_s: float) -> float:
        """A step: how many seconds to wait after it, by the provider's pace and by what there is to do."""
        done = self.step(stop)
        pause_s = self._buckets.pause_after().total_seconds()
        if pause_s:
            return max(pause_s, idle_s / 2)  # some at once are cheaper than one by one
        return 0 if done else idle_s

    def close(self) -> None:
        """End the threads, once what they sent was answered."""
        self._sending.close()

    def step(self, stop: threading.Event | None = None) -> int:
        """Look once at every payout that the views name as open: how many got on. Never sleeps."""
        if self._sending.is_held_off():
            return 0
        self._recording.paused.clear()
        due = self._clearing.due()
        done = self._under_lease(_CLEARING, partial(self._clearing.clear, due)) if due else 0
        with self._ledger.database.read() as connection:
            self._hurry(self._asks.new(connection))
            found = self._look_through(connection)
            self.held_for_human = set(candidates.payouts_in(connection, {"held"}, limit=LOOK_AT_ONCE))
        for shard, payouts in self._dealt(found).items():
            if not self._may_go_on(stop):
                break
            done += self._under_lease(shard, partial(self._work, payouts, stop))
        return done

    def _hurry(self, asked: Asked | None) -> None:
        """Wait no longer for what somebody asked to be sent now."""
        if asked is not None:
            for payout_id in asked.payouts:
                self._waits.forget(payout_id)
            self._clearing.hurry([*asked.batches, *asked.partners])

    def _may_go_on(self, stop: threading.Event | None) -> bool:
        return not (stop is not None and stop.is_set()) and not self._sending.is_held_off()

    def _look_through(self, connection: sa.Connection) -> list[UUID]:
        """What the views name as open, as far as something that does not wait: what waits hides nothing."""
        found: list[UUID] = []
        limit = self._options.look_at_once
        while True:
            some = worklist.payouts_to_work_on(connection, STRIPE, limit=limit, after=len(found))
            found += some
            if len(some) < limit:
                self._forget_settled(found)
                return found
            if not all(map(self._is_to_wait, some)):
                return found

    def _forget_settled(self, found: Sequence[UUID]) -> None:
        """Wait no longer for what is settled: by whichever worker, or by a human. `found` is all there is."""
        self._waits.keep(frozenset(found))
        self._settled.intersection_update(found)

    def _is_to_wait(self, payout_id: UUID) -> bool:
        return payout_id in self._settled or self._waits.is_waiting(payout_id)

    def _dealt(self, found: Sequence[UUID]) -> dict[str, list[UUID]]:
        """What is to be looked at now, by its lease."""
        shards: dict[str, list[UUID]] = {}
        for payout_id in found:
            if not self._is_to_wait(payout_id):
                shards.setdefault(shard_of(payout_id, self._options.shards), []).append(payout_id)
        return shards

    def _under_lease(self, name: str, work: Callable[[Turn], int]) -> int:
        """Work while nobody else does; 0 where somebody does, or the lease was lost on the way.

        A process that ends here leaves its lease behind, which ends by itself.
        """
        lease = self._leases.take(name)
        if lease is None:
            return 0
        self._reached("lease taken")
        turn = Turn(self._ledger, self._leases, lease)
        try:
            done = work(turn)
        except LeaseLost:
            self.counts["lease_lost"] += 1
            _log.warning("lease lost: nothing more was recorded under it", lease=name, token=lease.token)
            return 0
        except Exception:
            self._leases.release(lease)
            raise
        self._leases.release(lease)
        self._reached("lease released")
        return done

    # What is done under a lease

    def _work(self, payouts: Sequence[UUID], stop: threading.Event | None, turn: Turn) -> int:
        left, done = deque(payouts), 0
        while left and self._may_go_on(stop) and not self._buckets.is_empty("create"):
            turn.keep()
            if self._buckets.is_limited:
                self._buckets.share(self._leases.at_work())
            portion = [left.popleft() for _ in range(min(len(left), self._portion.size))]
            try:
                done += self._work_on(load(self._ledger, portion), turn, stop)
            except (DatabaseUnavailable, LeaseLost):
                raise
            except (
                LostRace
            ) as error:  # others were quicker each time: as if it had ended before it could record
                _log.warning("payouts wait", error=str(error))
                self._wait_for(portion)
            except Exception:  # the trouble of some payouts does not stop the others; what is recorded stands
                _log.exception("payouts failed", payouts=[str(payout_id) for payout_id in portion])
                self.counts["failed"] += len(portion)
                self._wait_for(portion)
        return done

    def _wait_for(self, portion: Sequence[UUID]) -> None:
        self._portion.went_badly()
        for payout_id in portion:
            self._waits.wait(payout_id)

    def _work_on(self, found: Sequence[At], turn: Turn, stop: threading.Event | None) -> int:
        around = load_around(self._ledger, [at.draft for at in found])
        opened = self._opening.open([at for at in found if at.state.status in OPENABLE], around, turn)
        done = sum(at.state.status == "canceled" for at in opened)
        to_send = [at for at in [*found, *opened] if self._is_to_send(at, around)]
        sends = self._sending.send(to_send, lambda at: self._may_send(at, stop), turn.keep)
        for group in sends:
            done += self._recording.record(group, turn)
            self._settled.update(h.at.payout_id for h in group if isinstance(h.outcome, Confirmed))
        if self._sending.is_held_off():
            self._portion.went_badly()
        else:
            self._portion.went_well()
        for at in found:
            if self._is_to_search(at) and self._may_go_on(stop):
                done += self._search(at, turn)
        return done

    def _is_to_send(self, at: At, around: Around) -> bool:
        """An intent that may not have gone out yet waits while the partner or the batch does."""
        if at.state.status not in payout.ASKED or not payout_search.key_is_trusted(at.state, self._clock()):
            return False
        return at.state.status != "intent" or not around.holds(at.draft)

    def _may_send(self, at: At, stop: threading.Event | None) -> bool:
        """Asked before each socket: a batch may have been paused by the one before."""
        return self._may_go_on(stop) and at.draft.batch_id not in self._recording.paused

    def _is_to_search(self, at: At) -> bool:
        return at.state.status in payout.ASKED and not payout_search.key_is_trusted(at.state, self._clock())

    def _search(self, at: At, turn: Turn) -> int:
        if not self._buckets.take("list"):
            return 0
        try:
            return self._searching.search(at, turn)
        except GatewayError as error:
            _log.warning("list not read", payout_id=str(at.payout_id), outcome=repr(error.outcome))
            self.counts["list_not_read"] += 1
            self._waits.wait(at.payout_id)
            return 0
