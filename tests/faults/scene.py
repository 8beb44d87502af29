"""A batch of payouts, the worker processes that bring it to its end, and the books after that."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from ledger.store.database import DatabaseUnavailable
from payouts import batches
from payouts.batches import Batch
from projections.runner import Runner
from projections.views import views_named
from tests.faults.forks import Forks
from tests.support.finance import Finance
from tests.support.stripe_process import play_faults

CREATE = "POST /v1/transfers"
PATIENCE_S = 40
KILLED = -9
LOOKED_AT = ("balances", "directory", "payouts")
"""The views that workers look at: those that follow while one works."""


class Process:
    """A worker's process, and the edges that it met."""

    def __init__(self, forks: Forks, seen: Path, **how: Any) -> None:
        self._forks, self._seen = forks, seen
        self.pid = forks.start(seen=str(seen), **how)

    @property
    def edges(self) -> list[str]:
        """So far."""
        return self._seen.read_text().splitlines() if self._seen.exists() else []

    def wait(self) -> int:
        """How it ended."""
        return self._forks.wait(self.pid)

    def stop(self) -> None:
        """End it in peace."""
        assert self._forks.stop(self.pid) == 0


class Scene:
    """Payouts of one batch. Its clock is that of all its processes."""

    def __init__(self, finance: Finance, forks: Forks, folder: Path, *, url: str | None = None) -> None:
        self._finance, self._forks, self._folder = finance, forks, folder
        self._url = url or finance.ledger.database.url
        self._runner = Runner(finance.ledger, views_named(LOOKED_AT))
        self._epoch, self._hours = time.time(), 0
        self._earned: dict[UUID, int] = {}
        self.batch: Batch

    def begin(self, amounts: Sequence[int], faults: Sequence[dict[str, Any]] = ()) -> None:
        """A new program whose partners have earned these amounts, all of it approved."""
        self._finance.new_program()
        self._earned = {self._finance.partner(uuid4().hex, available_minor=a): a for a in amounts}
        self.batch = self._finance.approved()
        play_faults(self._finance.gateway.address, *faults)

    def later(self, hours: int) -> None:
        """Whoever starts from now on starts so much later."""
        self._hours += hours

    def start(self, *, kill_at: str | None = None, **options: Any) -> Process:
        """A worker's process."""
        return Process(
            self._forks,
            self._folder / uuid4().hex,
            url=self._url,
            address=self._finance.gateway.address,
            kill_at=kill_at,
            epoch=self._epoch,
            hours_later=self._hours,
            options=options,
        )

    def let_run(self, done: Callable[[], bool]) -> None:
        """The views follow the log until something is so; a database that is away is waited for."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._runner.catch_up()
                if done():
                    return
            except DatabaseUnavailable:
                time.sleep(0.1)
            assert time.monotonic() < deadline, self.statuses()
            time.sleep(0.01)

    def statuses(self) -> list[str]:
        """How the payouts stand, in order."""
        found = batches.load(self._finance.ledger, self.batch.batch_id).payouts
        return sorted(payout.status for payout in found)

    def confirmed(self) -> int:
        """How many payouts arrived."""
        return self.statuses().count("confirmed")

    def have_arrived(self, payouts: int) -> bool:
        """Whether so many did."""
        return self.confirmed() >= payouts

    def check(self) -> None:
        """One transfer for each payout that arrived, none for another, and the partners' balances agree."""
        known = {}
        for payout in batches.load(self._finance.ledger, self.batch.batch_id).payouts:
            partner_id, amount = payout.partner_id, self._earned[payout.partner_id]
            arrived = payout.transfer_id is not None
            if payout.transfer_id is not None:
                known[payout.transfer_id] = amount
            where = "paid" if arrived else "available"
            assert self._finance.balance(partner_id) == {where: amount, "earned": amount}
        assert {t.id: t.amount for t in self._finance.transfers(self.batch)} == known
