"""The pace of asking the provider: tokens by the second, how much at once, how long to wait after trouble.

A worker that pays never sleeps: it asks whether it may, and goes on elsewhere. Whoever only reads waits.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Hashable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

Clock = Callable[[], datetime]

LIVE_PER_S: Final = 100
TEST_PER_S: Final = 25
"""Stripe's documented limits of requests a second, with a live key and with a test key."""
WAIT_FIRST: Final = timedelta(seconds=1)
WAIT_MAX: Final = timedelta(minutes=5)
_SECOND: Final = timedelta(seconds=1)


class TokenBucket:
    """So many requests in any second, and no more. None: as many as you like."""

    def __init__(self, per_s: int | None, clock: Clock) -> None:
        assert per_s is None or per_s > 0
        self.per_s, self._clock = per_s, clock
        self._taken: deque[datetime] = deque()

    def take(self) -> bool:
        """Whether one more request may go out now; then it is counted."""
        if self.per_s is None:
            return True
        now = self._clock()
        while self._taken and now - self._taken[0] >= _SECOND:
            self._taken.popleft()
        if len(self._taken) >= self.per_s:
            return False
        self._taken.append(now)
        return True

    def pause_after(self) -> timedelta:
        """How long until one may go out."""
        if self.per_s is None or len(self._taken) < self.per_s:
            return timedelta(0)
        return max(timedelta(0), self._taken[0] + _SECOND - self._clock())


def _steady() -> datetime:
    """A time that nobody puts back."""
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=time.monotonic())


class Turnstile:
    """Lets so many requests through in any second; others wait their turn. For all threads of a process."""

    def __init__(
        self,
        per_s: int | None,
        *,
        clock: Clock = _steady,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._bucket, self._sleep = TokenBucket(per_s, clock), sleep
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Come back when one more request may go out."""
        while True:
            with self._lock:
                if self._bucket.take():
                    return
                pause = self._bucket.pause_after()
            self._sleep(pause.total_seconds())


class Buckets:
    """A bucket for each endpoint: listing transfers takes nothing away from making them."""

    def __init__(self, per_s: int | None, clock: Clock) -> None:
        self._per_s = per_s
        self._of = {name: TokenBucket(per_s, clock) for name in ("create", "list", "account", "balance")}

    @property
    def is_limited(self) -> bool:
        """Whether there is a rate at all."""
        return self._per_s is not None

    def share(self, workers: int) -> None:
        """From now on so many workers share the rate; each has one request a second at least."""
        if self._per_s is not None:
            for bucket in self._of.values():
                bucket.per_s = max(1, self._per_s // max(1, workers))

    def take(self, endpoint: str) -> bool:
        """Whether one more request to the endpoint may go out now."""
        return self._of[endpoint].take()

    def is_empty(self, endpoint: str) -> bool:
        """Whether the endpoint may not be asked now."""
        return self._of[endpoint].pause_after() > timedelta(0)

    def pause_after(self) -> timedelta:
        """How long until any endpoint that ran out may be asked again."""
        pauses = [pause for bucket in self._of.values() if (pause := bucket.pause_after())]
        return min(pauses, default=timedelta(0))


class Concurrency:
    """How many requests are on their way at once: one more when all is well, half when there were too many.

    Only the first "too many" of those that were sent together counts.
    """

    def __init__(self, most: int) -> None:
        assert most > 0
        self._most = most
        self.limit = most
        self.cuts = 0
        """How often it was halved; a request keeps the number that it was sent under."""
        self._answered = 0

    def answered(self) -> None:
        """A request was answered: as many as may be at once in a row make it one more."""
        self._answered += 1
        if self._answered >= self.limit:
            self._answered = 0
            self.limit = min(self._most, self.limit + 1)

    def too_many(self, sent_under: int) -> None:
        """The provider was too busy for a request."""
        if sent_under == self.cuts:
            self.cuts += 1
            self._answered = 0
            self.limit = max(1, self.limit // 2)


class Portion:
    """How many payouts are opened together: twice as many each time that all went well, one after trouble."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.size = 1

    def went_well(self) -> None:
        """All of the last portion had an outcome."""
        self.size = min(self._most, self.size * 2)

    def went_badly(self) -> None:
        """Somebody was not answered: open no more than one until somebody is."""
        self.size = 1


class Wait(NamedTuple):
    """When to try again, and how long we waited for it."""

    until: datetime
    delay: timedelta


class Waits:
    """What is waited for, by key: each time twice as long as before, up to a limit.

    Who says how long to wait at least is waited for as long, however long that is.
    """

    def __init__(self, clock: Clock, *, first: timedelta = WAIT_FIRST, most: timedelta = WAIT_MAX) -> None:
        self._clock, self._first, self._most = clock, first, most
        self._of: dict[Hashable, Wait] = {}

    def wait(self, key: Hashable, *, least: timedelta = timedelta(0)) -> None:
        """Wait (longer than the last time)."""
        before = self._of.get(key)
        delay = min(before.delay * 2, self._most) if before else self._first
        self._of[key] = Wait(self._clock() + max(delay, least), delay)

    def extend(self, key: Hashable, least: timedelta) -> None:
        """Go on waiting for this long at least."""
        found = self._of[key]
        self._of[key] = Wait(max(found.until, self._clock() + least), found.delay)

    def wait_until(self, key: Hashable, until: datetime) -> None:
        """Wait for a time that is known."""
        self._of[key] = Wait(until, self._first)

    def is_waiting(self, key: Hashable) -> bool:
        """Whether it is not yet time."""
        found = self._of.get(key)
        return found is not None and self._clock() < found.until

    def knows(self, key: Hashable) -> bool:
        """Whether the key is waited for, or was until a moment ago."""
        return key in self._of

    def forget(self, key: Hashable) -> None:
        """It came, or nobody asks any more."""
        self._of.pop(key, None)

    def keep_also(self, keys: Collection[Hashable]) -> None:
        """Forget what is none of these, and is no longer waited for either."""
        self._of = {key: w for key, w in self._of.items() if key in keys or self.is_waiting(key)}

    def keep(self, keys: Collection[Hashable]) -> None:
        """Forget all others."""
        self._of = {key: wait for key, wait in self._of.items() if key in keys}
