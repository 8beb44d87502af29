"""The loop that all workers share: how long it waits, and for whom."""

import threading

from ledger.store.database import DatabaseUnavailable
from payouts.gate import Gate
from payouts.loop import run_turns
from payouts.outcomes import Confirmed
from payouts.worker import Options
from tests.support.finance import Script


class Ending(threading.Event):
    """Is set after some waits, and keeps them."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.waits: list[float | None] = []
        self._after = after

    def wait(self, timeout=None):
        """Do not wait."""
        self.waits.append(timeout)
        if len(self.waits) == self._after:
            self.set()
        return self.is_set()


def test_a_turn_says_how_long_to_wait_and_a_database_that_is_away_is_waited_for():
    """After 0 the next turn comes at once; whoever waits for the database goes on by itself."""
    stop, left = Ending(after=3), iter([0.5, DatabaseUnavailable("down"), 0, 0, 2])

    def turn():
        found = next(left)
        if isinstance(found, Exception):
            raise found
        return found

    run_turns(stop, turn, away_s=7)

    assert stop.waits == [0.5, 7, 2]
    assert list(left) == []


def test_behind_the_gate_a_worker_keeps_to_the_providers_pace(finance):
    """With one request a second the second payout waits for its second, not for the idle time."""
    for name in ("acme", "bolt"):
        finance.partner(name, available_minor=30_00)
    batch = finance.approved()
    gateway = Script(Confirmed("tr_1"), Confirmed("tr_2"))
    worker = finance.worker(gateway, options=Options(per_s=1, portion_max=1))
    finance.runner.catch_up()
    stop = Ending(after=1)

    Gate(finance.ledger, finance.gateway, worker).run(stop, idle_s=0.01)

    assert stop.waits == [1.0]
    assert len(gateway.intents) == 1
    assert sorted(p.status for p in finance.payouts(batch)) == ["approved", "confirmed"]
