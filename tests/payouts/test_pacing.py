"""The pace: requests by the second, how many at once, how long to wait; and what a worker makes of it."""

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from payouts.leases import Leases
from payouts.outcomes import Confirmed, Outcome, RetryLater, TransferIntent
from payouts.pacing import Buckets, Concurrency, Portion, TokenBucket, Turnstile, Waits
from payouts.worker import Options
from tests.support.finance import Script

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that a test moves."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now

    def forward(self, **span):
        self.now += timedelta(**span)


def test_no_second_has_more_requests_than_allowed():
    """In any second, wherever it begins; the bucket says when the next one may go out."""
    clock = Clock()
    bucket = TokenBucket(3, clock)
    went_out = []
    for _ in range(400):
        if bucket.take():
            went_out.append(clock.now)
        clock.forward(milliseconds=10)

    in_a_second = [sum(start <= t < start + timedelta(seconds=1) for t in went_out) for start in went_out]
    assert max(in_a_second) == 3
    assert len(went_out) == 12
    assert TokenBucket(None, clock).take() is True


def test_a_bucket_that_ran_out_says_how_long():
    """And each endpoint has one of its own."""
    clock = Clock()
    buckets = Buckets(1, clock)
    assert [buckets.take("create"), buckets.take("create"), buckets.take("list")] == [True, False, True]
    clock.forward(milliseconds=400)

    assert buckets.pause_after() == timedelta(milliseconds=600)
    assert buckets.is_empty("create")
    assert not buckets.is_empty("account")
    clock.forward(milliseconds=600)
    assert buckets.pause_after() == timedelta(0)


def test_who_only_reads_waits_for_its_turn():
    """As long as the bucket says and no longer; who has no rate waits for nobody."""
    clock = Clock()
    slept: list[float] = []

    def sleep(seconds):
        slept.append(seconds)
        clock.forward(seconds=seconds)

    turnstile = Turnstile(2, clock=clock, sleep=sleep)
    for _ in range(5):
        turnstile.wait()
    for _ in range(5):
        Turnstile(None, clock=clock, sleep=sleep).wait()

    assert slept == [1.0, 1.0]


def test_no_second_has_more_however_many_threads_wait():
    """The turnstile of a process is one."""
    clock = Clock()
    lock, through = threading.Lock(), Counter[datetime]()

    def sleep(seconds):
        with lock:
            clock.forward(seconds=seconds)

    turnstile = Turnstile(3, clock=clock, sleep=sleep)

    def go_through():
        for _ in range(5):
            turnstile.wait()
            through[clock.now] += 1

    threads = [threading.Thread(target=go_through) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert through.total() == 20
    assert clock.now >= NOW + timedelta(seconds=6)


def test_concurrency_is_halved_by_429_and_grows_by_one():
    """Those that were sent together count once; after as many answers as may be at once one more may."""
    pace = Concurrency(16)
    for _ in range(5):
        pace.too_many(0)
    assert (pace.limit, pace.cuts) == (8, 1)
    for _ in range(6):
        pace.too_many(pace.cuts)
    assert pace.limit == 1
    for _ in range(1 + 2 + 3):
        pace.answered()
    assert pace.limit == 4
    for _ in range(1_000):
        pace.answered()
    assert pace.limit == 16


def test_a_portion_doubles_while_all_goes_well():
    """One at first, and one after trouble."""
    portion = Portion(5)
    sizes = [portion.size]
    for _ in range(3):
        portion.went_well()
        sizes.append(portion.size)
    portion.went_badly()

    assert [*sizes, portion.size] == [1, 2, 4, 5, 1]


def test_each_wait_is_twice_the_last():
    """Up to a limit, and as long as was asked for at least; what is forgotten begins anew."""
    clock = Clock()
    waits = Waits(clock, first=timedelta(seconds=1), most=timedelta(seconds=6))
    spans = []
    for _ in range(4):
        waits.wait("a")
        start = clock.now
        while waits.is_waiting("a"):
            clock.forward(seconds=1)
        spans.append((clock.now - start).seconds)
    waits.wait("b", least=timedelta(seconds=3))
    waits.keep({"b"})

    assert spans == [1, 2, 4, 6]
    assert waits.is_waiting("b")
    assert not waits.knows("a")


def test_who_says_how_long_to_wait_is_waited_for():
    """Also longer than our own limit, which goes on doubling as if nothing had been said."""
    clock = Clock()
    waits = Waits(clock, first=timedelta(seconds=1), most=timedelta(seconds=6))
    waits.wait("a", least=timedelta(minutes=30))
    waits.wait("b")
    waits.extend("b", timedelta(hours=1))
    clock.forward(minutes=29, seconds=59)
    assert waits.is_waiting("a")
    clock.forward(seconds=1)
    assert not waits.is_waiting("a")
    waits.wait("a")
    clock.forward(seconds=2)

    assert not waits.is_waiting("a")
    assert waits.is_waiting("b")


# What a worker makes of it


class Busy:
    """A provider that makes transfers in threads, and counts how many are with it at once."""

    def __init__(self, *, at_most: int = 100) -> None:
        self.script = Script(Confirmed("tr_0"))
        self.at_most = at_most
        self.now = 0
        self.peak = 0
        self.refused = 0
        self.made: dict[str, int] = {}
        self._lock = threading.Lock()
        self._full = threading.Event()

    def __getattr__(self, name):
        return getattr(self.script, name)

    def create_transfer(self, intent: TransferIntent) -> Outcome:
        """Slow, and busy above a limit."""
        with self._lock:
            self.now += 1
            self.peak = max(self.peak, self.now)
            busy = self.now > self.at_most
            self.refused += busy
        self._full.wait(0.01)
        with self._lock:
            self.now -= 1
            if busy:
                return RetryLater(after_s=1)
            self.made[intent.idempotency_key] = self.made.get(intent.idempotency_key, 0) + 1
            return Confirmed(f"tr_{len(self.made)}")


@pytest.fixture
def many(finance):
    """A batch of 12 payouts."""
    for number in range(12):
        finance.partner(f"p{number}", available_minor=10_00 + number)
    return finance.approved()


def test_several_transfers_are_on_their_way_at_once(finance, many):
    """In threads, each sent once and recorded; those of a portion (1, 2, 4 and 5) in one commit."""
    provider, steps = Busy(), Counter[str]()
    worker = finance.worker(
        provider, options=Options(concurrency=6, shards=1), reached=lambda step: steps.update([step])
    )

    assert finance.pay(worker) == 12

    assert (steps["intent recorded"], steps["outcome recorded"]) == (4, 4)
    assert 1 < provider.peak <= 6
    assert set(provider.made.values()) == {1}
    assert len({p.transfer_id for p in finance.payouts(many)}) == 12
    finance.check_zero_sum()


def test_fewer_are_sent_at_once_after_429(finance, many):
    """All are paid in the end, each once."""
    provider = Busy(at_most=2)
    worker = finance.worker(provider, options=Options(concurrency=8, shards=1))

    for _ in range(40):
        finance.pay(worker)
        finance.later(seconds=10)

    assert provider.refused
    assert worker._sending.concurrency.limit < 8
    assert len(provider.made) == 12
    assert set(provider.made.values()) == {1}
    assert {p.status for p in finance.payouts(many)} == {"confirmed"}


def test_a_provider_that_asks_for_an_hour_has_it(finance, many):
    """As long as it says, as far as the gateway believes it; nothing goes out before."""
    worker = finance.worker(
        gateway := Script(RetryLater(after_s=3600), Confirmed("tr_1")), options=Options(shards=1)
    )
    finance.pay(worker)
    for minutes in (5, 50):
        finance.later(minutes=minutes)
        finance.pay(worker)
    assert len(gateway.intents) == 1
    finance.later(minutes=5)
    finance.pay(worker)

    assert len(gateway.intents) > 1


def test_what_waits_hides_nothing_that_could_be_sent(finance):
    """However many wait: a worker looks on until it finds something to do, or has seen everything."""
    stuck = [finance.partner(f"stuck-{number}", available_minor=20_00) for number in range(5)]
    batch = finance.approved()
    worker = finance.worker(Script(Confirmed("tr_1")), options=Options(shards=1, look_at_once=2))
    for partner_id in stuck:
        worker._waits.wait_until(
            finance.payout(batch, partner_id).payout_id, finance.world.now + timedelta(hours=1)
        )
    due = finance.partner("due", available_minor=30_00)
    last = finance.approved()

    assert finance.pay(worker) == 1
    assert finance.payout(last, due).status == "confirmed"
    assert {p.status for p in finance.payouts(batch)} == {"approved"}
    finance.later(hours=1)
    for _ in range(5):
        finance.pay(worker)
    assert {p.status for p in finance.payouts(batch)} == {"confirmed"}


def test_what_is_no_good_news_is_recorded_at_once(finance, many):
    """A 429 among the answers holds the next ones back before they are sent: one at most was under way."""
    worker = finance.worker(
        gateway := Script(*[Confirmed("tr_1")] * 4, RetryLater(after_s=60), Confirmed("tr_2")),
        options=Options(concurrency=2, shards=1),
    )

    finance.pay(worker)

    assert 5 <= len(gateway.intents) <= 6
    assert sorted(p.status for p in finance.payouts(many)).count("sent") == 1


def test_workers_that_are_at_work_share_the_rate(finance, many):
    """Whoever holds a lease counts; who has nothing to do leaves its part to the others."""
    leases = Leases(finance.ledger.database, finance.ledger.clock, holder="another")
    theirs = [leases.take(name) for name in ("payouts 1 of 8", "payouts 2 of 8")]
    worker = finance.worker(gateway := Script(Confirmed("tr_1")), options=Options(per_s=4, shards=1))
    finance.pay(worker)
    assert len(gateway.intents) == 2
    for lease in theirs:
        assert lease is not None
        leases.release(lease)
    finance.later(seconds=1)
    finance.pay(worker)

    assert len(gateway.intents) == 2 + 4


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_step_never_sleeps_and_sends_no_more_than_the_second_allows(finance, many, concurrency):
    """What has no token waits for a later step, its intent recorded or not."""
    options = Options(per_s=3, shards=1, concurrency=concurrency)
    worker = finance.worker(gateway := Script(Confirmed("tr_1")), options=options)
    sent = []
    for _ in range(6):
        finance.pay(worker)
        sent.append(len(gateway.intents))
        finance.later(milliseconds=500)

    assert sent == [3, 3, 6, 6, 9, 9]
    while finance.pay(worker) or len(gateway.intents) < 12:
        finance.later(seconds=1)
    assert {p.status for p in finance.payouts(many)} == {"confirmed"}
