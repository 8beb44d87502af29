"""One running stand-in: its store, its clock, its faults, and what it was told about how to behave."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from payouts.simulator import books
from payouts.simulator.faults import FaultSource
from payouts.simulator.settings import Settings
from payouts.simulator.store import Store, Transaction
from payouts.simulator.work import Work, random_id

NEVER = 1 << 62


class Company:
    """What all calls share."""

    def __init__(
        self,
        store: Store,
        faults: FaultSource,
        clock: Callable[[], int] = lambda: int(time.time()),
        make_id: Callable[[str], str] = random_id,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """The clock gives seconds since 1970."""
        self.store, self.faults, self.clock, self.make_id, self.sleep = store, faults, clock, make_id, sleep
        self.on_early: Callable[[], object] | None = None
        """Called when a webhook may have to arrive before the answer of the call that caused it."""
        self.reload()

    def deliver_early(self) -> None:
        """Let those webhooks go out that overtake the answer."""
        if self.on_early is not None and self.settings.endpoints:
            self.on_early()

    def reload(self) -> None:
        """Take settings and what is due from the store."""
        with self.store.read() as tx:
            self.settings: Settings = tx.settings()
            self._next_due = tx.next_due(NEVER)

    def work(
        self,
        tx: Transaction,
        *,
        owner: str = books.PLATFORM,
        now: int | None = None,
        request_id: str | None = None,
        idempotency_key: str | None = None,
        api_version: str | None = None,
        lag_s: int | None = None,
        base_url: str = "https://connect.stripe.invalid",
        query: str = "",
    ) -> Work:
        """What an operation works with; without a request it is the company's own doing."""
        return Work(
            tx=tx,
            now=self.clock() if now is None else now,
            owner=owner,
            make_id=self.make_id,
            settings=self.settings,
            strike=self.faults.take,
            due_at=self.due_at,
            request_id=request_id,
            idempotency_key=idempotency_key,
            api_version=api_version,
            lag_s=self.settings.list_lag_s if lag_s is None else lag_s,
            base_url=base_url,
            query=query,
        )

    @contextmanager
    def acting(self, *, now: int | None = None) -> Iterator[Work]:
        """A transaction in which the company does something by itself."""
        with self.store.write() as tx:
            yield self.work(tx, now=now)

    def change_settings(self, settings: Settings) -> None:
        """Behave like that from now on, and after a restart."""
        with self.store.write() as tx:
            tx.keep_settings(settings)
        self.settings = settings

    def due_at(self, at: int) -> None:
        """Something will be due then."""
        self._next_due = min(self._next_due, at)

    def look_when_due(self) -> None:
        """Learn from the store when the next thing is due.

        Under the writer's lock: what another thread schedules meanwhile would be forgotten else.
        """
        with self.store.write() as tx:
            self._next_due = tx.next_due(NEVER)

    def is_due(self) -> bool:
        """Whether anything is due by now."""
        return self._next_due <= self.clock()
