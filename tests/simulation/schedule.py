"""One schedule: a storm of faults, crashes and turns; then calm; then what is left is paid, and judged."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from random import Random
from typing import Final, NamedTuple
from uuid import UUID

from ledger import payout
from ledger.store.database import DatabaseUnavailable
from payouts import candidates, worklist
from payouts.batches import PAYOUT
from payouts.causes import PASSING_CODES
from payouts.clearing import ACCOUNT_HOLDS
from payouts.webhooks.worker import WebhookWorker
from payouts.worker import PayoutWorker
from projections.runner import Runner
from tests.simulation import oracles
from tests.simulation.faults import Request
from tests.simulation.happenings import Happenings
from tests.simulation.hooks import Hooks
from tests.simulation.memory import Edge
from tests.simulation.plan import BANKS, plan, span
from tests.simulation.stage import Stage
from tests.simulation.turns import Killed, Lane

WorkerOf = Callable[["Schedule"], PayoutWorker]

CALM: Final = tuple(
    timedelta(minutes=minutes) for minutes in (0, 1, 2, 5, 15, 45, 120, 360, 720, 1500, 1500, 1500)
)
"""How time passes once nothing breaks any more: long enough for every waiting time, and for a key to end."""
ROUNDS_MAX: Final = 4
"""Steps that each worker makes at one time of the calm, as long as there is something to do."""
LONG: Final = timedelta(hours=2)
QUIET: Final = timedelta(hours=20)
NAP_MAX: Final = timedelta(minutes=5)
"""How long a worker is waited for in the calm; who sleeps for longer is a zombie that wakes later."""
NEXT_DAY: Final = timedelta(days=1)
TO_THE_BANK_S: Final = (3_600, 86_400, 172_800)
TURNS_MAX: Final = 20_000
SLEEP_MAX_S: Final = 30 * 3600


class Verdict(NamedTuple):
    """What is to be said of a schedule. `wrong` tells every way in which it went wrong."""

    seed: int
    payouts: int
    held_for_human: int
    paid_twice: int
    never_paid: int
    wrong: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether all oracles are content."""
        return not (self.paid_twice or self.never_paid or self.wrong)


class NeverEnds(AssertionError):
    """A schedule in which the turns did not come to an end."""


class Schedule:
    """A run of the house in a world that a seed decided upon."""

    def __init__(
        self, stage: Stage, seed: int, worker_of: WorkerOf | None = None, *, trace: list[str] | None = None
    ) -> None:
        self.stage, self.seed = stage, seed
        self.rng = Random(seed)
        self.plan = plan(self.rng)
        self.clock = stage.clock
        self.trace = trace
        self.storm = False
        self.lane: Lane | None = None
        self.flying: set[str] = set()
        """Keys of requests that the provider is working on."""
        self.seen_by_humans: set[UUID] = set()
        """Payouts that had come into a human's queue, or that somebody had a word on."""
        self.lanes = [*stage.lanes[: self.plan.workers], stage.hooks_lane]
        self.workers: dict[str, PayoutWorker] = {}
        self.hooks_worker: WebhookWorker | None = None
        self._worker_of = worker_of or _our_worker
        self._turns = 0
        self._looked_at, self._asked_at = -1, -2
        self._unsettled: Sequence[UUID] = ()
        stage.reset()
        for lane in self.lanes:
            lane.until = None
        stage.database.at = self._edge
        stage.provider.carried_by(lambda *request: Request(self, *request).carry())
        stage.provider.on_wait = lambda seconds: self.pause(timedelta(seconds=seconds))
        stage.provider.begin(
            takes_s=self.rng.choice(TO_THE_BANK_S),
            list_lag_s=self.plan.list_lag_s,
            chances=self.plan.mishaps,
            seed=seed,
        )
        self.runner = Runner(stage.ledger, stage.views)
        self.happenings = Happenings(self)
        self.hooks = Hooks(self)

    def say(self, text: str) -> None:
        """Remember what happened, when somebody wants to read it."""
        if self.trace is not None:
            who = self.lane.name if self.lane else "-"
            self.trace.append(f"{self.clock.now:%d %H:%M:%S.%f} {who:<9} {text}")

    # The whole

    def run(self) -> Verdict:
        """From the first cent earned to the verdict."""
        try:
            self.say(f"seed {self.seed}: {self.plan}")
            self.happenings.begin()
            self.storm = True
            for _ in range(self.plan.ticks):
                self._tick()
            self.storm = False
            self._calm_down()
            return oracles.judge(self)
        finally:
            self._end()

    def _calm_down(self) -> None:
        """Nothing breaks any more; people see to what was left to them, and all that is payable is paid."""
        self.say("--- calm")
        self.happenings.mend()
        self._settle()
        held = self.held_for_human()
        self.seen_by_humans |= held
        self.happenings.resolve(sorted(held))
        if self.happenings.has_reversed:
            self.pass_time(NEXT_DAY)
            self.hooks.reconcile()
        self.hooks.try_again()
        self._settle()
        self._pay_the_rest()
        if self.happenings.has_reversed:
            # What the daily look found to have been taken back since is payable again, by the next batch.
            self._pay_the_rest()

    def _pay_the_rest(self) -> None:
        self.happenings.last_batch()
        self._settle()
        self.happenings.last_payouts()
        self._settle(delivered=True)
        # A bank may have given back what was paid; if the word of it is lost, the daily look learns it.
        self.pass_time(NEXT_DAY)
        self._settle(delivered=True)

    def _end(self) -> None:
        self.storm = False
        for lane in self.lanes:
            if not lane.idle:
                self.lane = lane
                lane.kill()
        self.lane = None

    def _tick(self) -> None:
        roll = self.rng.random()
        if roll < self.plan.happening_rate:
            self.happenings.happen(self.plan.happenings)
        elif roll < 0.5:
            self.pass_time(span(self.rng, self.plan.pace_weights))
        if self.rng.random() < self.plan.bank_rate:
            self.happenings.happen(BANKS)
        if self.rng.random() < 0.6:
            self.look()
        self.hooks.come()
        ready = [lane for lane in self.lanes if self._ready(lane) and self._has_turns(lane)]
        if ready:
            self._let_run(self.rng.choice(ready))

    def _settle(self, *, delivered: bool = False) -> None:
        """Time passes until all is done (`delivered`: at the banks, too), or a day changes nothing."""
        quiet = timedelta(0)
        for passing in CALM:
            if timedelta(0) < passing < LONG and self._only_others_are_due():
                continue
            self.pass_time(passing)
            before, awake = self.stage.database.commits, all(map(self._awake, self.lanes))
            for number in range(ROUNDS_MAX):
                found = self.stage.database.commits
                self._round(everybody=number == 0 and passing >= LONG)
                if self.stage.database.commits == found:
                    break
            # Who slept until now has only been told so: what it makes of that is still to come.
            quiet = quiet + passing if awake and self.stage.database.commits == before else timedelta(0)
            if not all(map(self._awake, self.lanes)) or self.stage.provider.is_busy():
                continue
            if quiet >= QUIET or self._is_done(delivered):
                return

    def _round(self, *, everybody: bool) -> None:
        """Everybody has a turn, in order; or everybody who could have something to do."""
        self.hooks.come()
        self.look()
        for lane in self.lanes:
            if lane is self.stage.hooks_lane:
                has_work = self.hooks.has_work()
            else:
                has_work = bool(self.unsettled())
            if everybody or has_work or not lane.idle:
                self._finish(lane)

    def _only_others_are_due(self) -> bool:
        """Whether all that is still to come comes from the provider, so that a moment makes no difference."""
        return all(lane.idle for lane in self.lanes) and not (self.unsettled() or self.hooks.is_waiting())

    def _is_done(self, delivered: bool) -> bool:
        if self.hooks.is_waiting() or self.unsettled():
            return False
        with self.stage.database.read() as connection:
            return not delivered or not candidates.payouts_in(connection, {"confirmed"}, limit=1)

    # Turns

    def _ready(self, lane: Lane) -> bool:
        return lane.until is None or lane.until <= self.clock.now

    def _has_turns(self, lane: Lane) -> bool:
        """Whether a turn could do more than look in vain; of workers that pay nobody knows."""
        return lane is not self.stage.hooks_lane or not lane.idle or self.hooks.has_work()

    def _awake(self, lane: Lane) -> bool:
        return lane.until is None or lane.until - self.clock.now <= NAP_MAX

    def _let_run(self, lane: Lane) -> None:
        self._turns += 1
        if self._turns > TURNS_MAX:
            raise NeverEnds(f"seed {self.seed}: more than {TURNS_MAX} turns")
        lane.until = None
        if lane.idle:
            lane.start(lambda: self._work(lane))
        self.lane = lane
        try:
            lane.resume()
        finally:
            self.lane = None

    def _finish(self, lane: Lane) -> None:
        """Let a worker end its step; who sleeps for long goes on sleeping."""
        while True:
            if not self._ready(lane):
                if not self._awake(lane):
                    return
                assert lane.until is not None
                self.pass_time(lane.until - self.clock.now)
            self._let_run(lane)
            if lane.idle:
                return

    def _work(self, lane: Lane) -> None:
        try:
            self._worker_in(lane).step()
        except DatabaseUnavailable as error:
            self.say(f"goes on after: {error}")

    def _worker_in(self, lane: Lane) -> PayoutWorker | WebhookWorker:
        """Who works there, since the start of its process."""
        if lane is self.stage.hooks_lane:
            self.hooks.looks()
            if self.hooks_worker is None:
                self.hooks_worker = WebhookWorker(self.stage.ledger, self.stage.gateway)
            return self.hooks_worker
        if lane.name not in self.workers:
            self.say("starts")
            self.workers[lane.name] = self._worker_of(self)
        return self.workers[lane.name]

    def pause(self, until: timedelta | None = None) -> None:
        """The worker that runs gives its turn back, perhaps to sleep."""
        lane = self.lane
        assert lane is not None
        if until is not None:
            lane.until = self.clock.now + until
        lane.pause()

    def pass_time(self, passing: timedelta) -> None:
        """Time passes; what is due on the way happens."""
        if passing > timedelta(minutes=1):
            self.say(f"{passing} pass")
        self.clock.advance(passing)

    # Edges

    def _edge(self, edge: Edge) -> None:
        if self.lane is None:
            return
        self.lane.check()
        if self.storm:
            if edge != "after commit" or self.plan.outage_rate == 0 or self.rng.random() >= 0.5:
                self._maybe_gone(edge)
            self.edge(edge)

    def _maybe_gone(self, edge: Edge) -> None:
        if self.rng.random() < self.plan.outage_rate:
            self.say(f"the database is gone: {edge}")
            raise DatabaseUnavailable(f"simulated, {edge}")

    def edge(self, label: str) -> None:
        """A point at which the outside could notice: the process may end, sleep, or another take its turn."""
        lane = self.lane
        if lane is None:
            return
        lane.check()
        if not self.storm:
            return
        roll = self.rng.random()
        plan = self.plan
        if roll < plan.crash_rate:
            self.say(f"ends: {label}")
            self._forget(lane)
            lane.doomed = True
            raise Killed
        roll -= plan.crash_rate
        if roll < plan.sleep_rate:
            asleep = timedelta(seconds=self.rng.random() ** 4 * SLEEP_MAX_S)
            self.say(f"falls asleep for {asleep}: {label}")
            self.pause(asleep)
        elif roll - plan.sleep_rate < plan.switch_rate:
            self.pause()

    def _forget(self, lane: Lane) -> None:
        if lane is self.stage.hooks_lane:
            self.hooks_worker = None
        self.workers.pop(lane.name, None)

    # What is to be seen

    def look(self) -> None:
        """The views catch up: a schedule's facts are one batch of theirs."""
        head = self.stage.database.head()
        if self._looked_at != head:
            self.runner.step()
            self._looked_at = head

    def unsettled(self) -> Sequence[UUID]:
        """Payouts that somebody still has to do something about, as the views see it."""
        if self._asked_at != self._looked_at:
            states = {"approved", *payout.REOPENABLE, *payout.ASKED}
            with self.stage.database.read() as connection:
                held = worklist.held_partners(connection, ACCOUNT_HOLDS, limit=1_000)
                found = candidates.payouts_in(connection, states, limit=1_000)
            self._unsettled = [*held, *(payout_id for payout_id in found if self._goes_on(payout_id))]
            self._asked_at = self._looked_at
        return self._unsettled

    def _goes_on(self, payout_id: UUID) -> bool:
        """Whether an attempt is to come, or an outcome: a rejection whose cause does not pass is the end."""
        state = self.state_of(payout_id)
        return state.rejection is None or state.rejection.code in PASSING_CODES

    def state_of(self, payout_id: UUID) -> payout.PayoutState:
        """A payout as its stream says."""
        return self.stage.ledger.load(payout_id, PAYOUT).state

    def held_for_human(self) -> set[UUID]:
        """Payouts that a worker left for a human, and that nobody settled since."""
        named = {payout_id for worker in self.workers.values() for payout_id in worker.held_for_human}
        with self.stage.database.read() as connection:
            named |= set(candidates.payouts_in(connection, {"held"}, limit=1_000))
        return {payout_id for payout_id in named if self.state_of(payout_id).status in payout.UNSETTLED}


def _our_worker(at: Schedule) -> PayoutWorker:
    """The real one, under a name that the seed decides upon."""
    return PayoutWorker(at.stage.ledger, at.stage.gateway, name=f"worker {at.rng.getrandbits(64):x}")
