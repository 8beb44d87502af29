"""Group commit: who arrives together shares a transaction, and everybody hears of their own outcome."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast
from uuid import uuid4

import pytest
import sqlalchemy as sa
from eventsourcing.persistence import StoredEvent

from ledger.store import commit
from ledger.store.application import Ledger
from ledger.store.commit import COMPANY_MIN, EVENTS_ENOUGH, GROUP_EVENTS_MAX, GroupCommitter, Overloaded
from ledger.store.database import Database, DatabaseUnavailable
from ledger.store.recorder import EventRecorder, Unit, make_recorder
from tests.ledger.test_store import NOW, envelope, stored, touch

WAIT_S = 20


def event(version: int = 1) -> StoredEvent:
    """The first event of a stream of its own."""
    return StoredEvent(uuid4(), version, "Raw@1", b"{}")


class Gate:
    """A recorder around the real one that counts transactions and lets each through only when told to."""

    def __init__(self, recorder: EventRecorder) -> None:
        self._recorder = recorder
        self.calls: list[int] = []
        self.open = threading.Event()
        self.entered = threading.Event()
        self.error: BaseException | None = None

    def append(self, units: Sequence[Unit], within: Any = None) -> list[list[int] | None]:
        """Wait for the gate, then do as the real one."""
        self.calls.append(len(units))
        self.entered.set()
        assert self.open.wait(WAIT_S)
        if self.error is not None:
            raise self.error
        return self._recorder.append(units, within)


@pytest.fixture
def gate(database_url: str) -> Iterator[Gate]:
    """A gate before a fresh database."""
    database = Database(database_url)
    made = Gate(make_recorder(database))
    yield made
    made.open.set()
    database.close()


def hold(gate: Gate, committer: GroupCommitter, pool: ThreadPoolExecutor) -> Any:
    """Send one append and wait until its transaction stands before the gate."""
    first = pool.submit(committer.append, [[event()]])
    assert gate.entered.wait(WAIT_S)
    return first


def wait_for(condition: Callable[[], bool]) -> None:
    """Poll until it holds."""
    for _ in range(WAIT_S * 200):
        if condition():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it never came true")


def waiting(committer: GroupCommitter) -> int:
    """How many appends stand in the queue."""
    return committer.waiting


def test_appends_that_gather_during_a_commit_share_the_next_one(gate):
    committer = GroupCommitter(gate)
    with ThreadPoolExecutor(32) as pool:
        first = hold(gate, committer, pool)
        others = [pool.submit(committer.append, [[event()], [event()]]) for _ in range(20)]
        wait_for(lambda: waiting(committer) == 20)
        gate.open.set()

        assert len(first.result(WAIT_S)) == 1
        positions = [position for other in others for unit in other.result(WAIT_S) for position in unit or ()]

    assert gate.calls == [1, 40]
    assert len(set(positions)) == 40
    committer.close()


def test_each_caller_gets_the_outcome_of_its_own_units(gate):
    committer = GroupCommitter(gate)
    contested = event()
    with ThreadPoolExecutor(32) as pool:
        hold(gate, committer, pool)
        calls = []
        for number in range(12):
            units = [[event()] for _ in range(number % 3)] + [[contested]] + [[event(1), event(2)]]
            calls.append((units, pool.submit(committer.append, units)))
        wait_for(lambda: waiting(committer) == 12)
        gate.open.set()
        outcomes = [(units, call.result(WAIT_S)) for units, call in calls]

    assert gate.calls[0] == 1
    assert len(gate.calls) == 2
    assert all(len(outcome) == len(units) for units, outcome in outcomes)
    winners = [outcome for _, outcome in outcomes if outcome[-2] is not None]
    assert len(winners) == 1
    log = {n.originator_id: n.id for n in gate._recorder.select_notifications(1, 1_000)}
    for units, outcome in outcomes:
        for unit, positions in zip(units, outcome, strict=True):
            if positions is not None:
                assert len(positions) == len(unit)
                assert log[unit[-1].originator_id] == positions[-1]
    committer.close()


def test_a_group_holds_no_more_than_one_large_batch_beyond_the_limit(gate):
    committer = GroupCommitter(gate)
    batch = [[event()] for _ in range(GROUP_EVENTS_MAX // 2)]
    with ThreadPoolExecutor(8) as pool:
        hold(gate, committer, pool)
        others = [pool.submit(committer.append, [[event()] for _ in batch]) for _ in range(3)]
        wait_for(lambda: waiting(committer) == 3)
        gate.open.set()
        for other in others:
            assert None not in other.result(WAIT_S)

    assert gate.calls == [1, GROUP_EVENTS_MAX, GROUP_EVENTS_MAX // 2]
    committer.close()


class Round:
    """Eight writers that come again as soon as they are answered, and what stands in each transaction."""

    WRITERS = 8

    def __init__(self, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
        # Patience without end: who waits for company that does not come hangs.
        monkeypatch.setattr(commit, "PATIENCE_COMMITS", 1_000_000_000)
        monkeypatch.setattr(commit, "PATIENCE_S_MAX", threading.TIMEOUT_MAX)
        self.committer = GroupCommitter(cast(EventRecorder, gate))  # of a recorder it asks for `append` only
        gate.open.set()
        self.committer.append([[event()] for _ in range(EVENTS_ENOUGH)])  # what is written counts no more
        gate.open.clear()
        gate.entered.clear()
        with ThreadPoolExecutor(self.WRITERS) as pool:
            calls = [hold(gate, self.committer, pool)]
            calls += [pool.submit(self.committer.append, [[event()]]) for _ in range(self.WRITERS - 1)]
            wait_for(lambda: waiting(self.committer) == self.WRITERS - 1)
            gate.open.set()
            # The last of the first group comes again behind those who waited for it.
            calls.append(pool.submit(self.committer.append, [[event()]]))
            for call in calls:
                call.result(WAIT_S)


def test_who_was_answered_is_waited_for_so_that_all_share_the_next_commit(gate, monkeypatch):
    company = Round(gate, monkeypatch)

    assert gate.calls == [EVENTS_ENOUGH, 1, company.WRITERS]
    company.committer.close()


def test_a_large_group_waits_for_nobody(gate, monkeypatch):
    company = Round(gate, monkeypatch)

    large = [[event()] for _ in range(EVENTS_ENOUGH)]

    assert None not in company.committer.submit(large).result(WAIT_S)
    company.committer.close()


def test_closing_ends_the_wait_for_company(gate, monkeypatch):
    company = Round(gate, monkeypatch)
    alone = company.committer.submit([[event()]])

    company.committer.close()

    assert alone.result(WAIT_S)[0] is not None


def test_a_few_writers_are_not_waited_for(gate, monkeypatch):
    monkeypatch.setattr(Round, "WRITERS", COMPANY_MIN - 2)
    company = Round(gate, monkeypatch)

    assert company.committer.append([[event()]])[0] is not None
    assert company.committer.append([[event()]])[0] is not None
    company.committer.close()


def test_company_that_does_not_come_is_waited_for_so_long_and_no_longer(gate, monkeypatch):
    company = Round(gate, monkeypatch)
    monkeypatch.undo()
    company.committer._patience_s = 0.01

    assert company.committer.append([[event()]])[0] is not None
    company.committer.close()


def test_a_database_that_fails_fails_everybody_who_waited_and_the_next_ones_are_tried_again(gate):
    committer = GroupCommitter(gate)
    gate.error = DatabaseUnavailable("gone")
    with ThreadPoolExecutor(8) as pool:
        calls = [hold(gate, committer, pool)]
        calls += [pool.submit(committer.append, [[event()]]) for _ in range(5)]
        wait_for(lambda: waiting(committer) == 5)
        gate.open.set()

        for call in calls:
            with pytest.raises(DatabaseUnavailable, match="gone"):
                call.result(WAIT_S)

    gate.error = None
    assert committer.append([[event()]])[0] is not None
    assert len(gate._recorder.select_notifications(1, 1_000)) == 1
    committer.close()


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(gate):
    committer = GroupCommitter(gate, queue_max=2)
    with ThreadPoolExecutor(8) as pool:
        calls = [hold(gate, committer, pool)]
        calls += [pool.submit(committer.append, [[event()]]) for _ in range(2)]
        wait_for(lambda: waiting(committer) == 2)

        with pytest.raises(Overloaded) as refused:
            committer.append([[event()]])

        gate.open.set()
        for call in calls:
            assert call.result(WAIT_S)[0] is not None
    assert refused.value.retry_after_s >= 1
    assert len(gate._recorder.select_notifications(1, 1_000)) == 3
    committer.close()


def test_closing_commits_what_waits_and_refuses_what_comes_later(gate):
    committer = GroupCommitter(gate)
    with ThreadPoolExecutor(8) as pool:
        calls = [hold(gate, committer, pool)]
        calls += [pool.submit(committer.append, [[event()]]) for _ in range(5)]
        wait_for(lambda: waiting(committer) == 5)
        closing = pool.submit(committer.close)
        gate.open.set()
        closing.result(WAIT_S)

        assert all(call.result(WAIT_S)[0] is not None for call in calls)
    with pytest.raises(Overloaded):
        committer.append([[event()]])
    committer.close()
    assert len(gate._recorder.select_notifications(1, 1_000)) == 6


def test_an_error_nobody_foresaw_reaches_the_callers_and_the_thread_lives_on(gate):
    committer = GroupCommitter(gate)
    gate.open.set()
    gate.error = ZeroDivisionError()

    with pytest.raises(ZeroDivisionError):
        committer.append([[event()]])

    gate.error = None
    assert committer.append([[event()]])[0] is not None
    committer.close()


def test_no_thread_runs_before_the_first_append_so_a_fork_between_them_works(postgresql_database_url):
    ledger = Ledger(Database(postgresql_database_url), group_commit=True, clock=lambda: NOW)
    before = {thread.name for thread in threading.enumerate()}
    child = os.fork()
    if not child:  # the child answers by its exit status, and by nothing else
        status = 1
        try:
            outcome = ledger.append_units([[envelope(uuid4(), 1)]])
            ledger.close()
            status = 0 if outcome[0] is not None else 2
        finally:
            os._exit(status)

    assert "group-commit" not in before
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert ledger.append_units([[envelope(uuid4(), 1)]])[0] is not None
    assert len(stored(ledger)) == 2
    ledger.close()


def test_an_append_with_something_to_write_beside_it_has_its_own_transaction(database_url):
    ledger = Ledger(Database(database_url), group_commit=True, clock=lambda: NOW)

    def fail(connection: sa.Connection) -> None:
        raise ZeroDivisionError

    with ThreadPoolExecutor(8) as pool:
        good = [pool.submit(ledger.append_units, [[envelope(uuid4(), 1)]]) for _ in range(20)]
        bad = [pool.submit(ledger.append_units, [[envelope(uuid4(), 1)]], within=fail) for _ in range(5)]

        assert all(call.result(WAIT_S)[0] is not None for call in good)
        for call in bad:
            with pytest.raises(ZeroDivisionError):
                call.result(WAIT_S)

    assert len(stored(ledger)) == 20
    ledger.close()


def test_threads_that_append_at_once_share_commits_on_a_real_database(database_url):
    ledger = Ledger(Database(database_url), group_commit=True, clock=lambda: NOW)
    commits: list[int] = []
    sa.event.listen(ledger.database.engine, "commit", lambda _: commits.append(1))

    def send(number: int) -> None:
        for _ in range(20):
            assert ledger.append_units([[envelope(uuid4(), 1, number)]])[0] is not None

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(send, range(16)))

    assert len(stored(ledger)) == 320
    assert len(commits) < 320
    assert touch(3) in [ledger.history(stream)[0].fact for stream, _ in stored(ledger)]
    ledger.close()
