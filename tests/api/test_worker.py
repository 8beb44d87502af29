"""Which worker takes a new connection: the one that has the fewest, if it comes soon; and never nobody."""

import errno
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.workers.gthread import ThreadWorker

from api import worker
from api.settings import WORKERS_MAX
from api.worker import PASSES_MAX, SLOTS, Worker, connections, leave, seat

NOBODY = -1


@pytest.fixture(autouse=True)
def nobody() -> Iterator[None]:
    """No worker before, none after."""
    yield
    for slot in range(SLOTS):
        connections[slot] = NOBODY


class Listener:
    """Connections that wait."""

    def __init__(self, waiting: int = 1) -> None:
        self.waiting = waiting

    def accept(self) -> Any:
        """One of them."""
        if not self.waiting:
            raise OSError(errno.EAGAIN, "nobody waits")
        self.waiting -= 1
        return SimpleNamespace(setblocking=lambda _: None), "client"

    def getsockname(self) -> str:
        """Where they come in."""
        return "here"


class Poller:
    """What a worker asks for what happened."""

    register = unregister = lambda *_: None


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Any]:
    """Makes a worker that takes connections and has so many, in the next slot; without a server around it."""
    monkeypatch.setattr("gunicorn.workers.gthread.TConn", lambda *_: None)
    monkeypatch.setattr(worker, "PASS_S", 0)
    monkeypatch.setattr(ThreadWorker, "wait_for_and_dispatch_events", lambda self, _: self.events())
    siblings: list[Worker] = []

    def make(connected: int) -> Worker:
        one = Worker.__new__(Worker)
        one.cfg, one.sockets, one.poller = None, [], Poller()
        one.nr_conns, one._accepting = connected, False
        one.enqueue_req = lambda _conn: None
        one.events = lambda: None
        seat(one, siblings, ())
        siblings.append(one)
        one.set_accept_enabled(True)
        return one

    return make


def turn(one: Worker, listener: Listener) -> None:
    """One turn of a worker's loop, in which it sees whoever waits."""
    one.events = lambda: one.accept(listener) if listener.waiting else None
    one.wait_for_and_dispatch_events(0)


def test_a_worker_leaves_a_connection_to_a_sibling_that_has_fewer(made):
    busy, idle = made(5), made(4)
    listener = Listener()

    turn(busy, listener)
    left = listener.waiting
    turn(idle, listener)

    assert (left, listener.waiting) == (1, 0)
    assert (busy.nr_conns, idle.nr_conns) == (5, 5)
    assert list(connections[:3]) == [5, 5, NOBODY]


def test_among_equals_whoever_is_first_takes_it(made):
    one, _other = made(5), made(5)
    listener = Listener()

    turn(one, listener)

    assert (listener.waiting, one.nr_conns) == (0, 6)


def test_a_burst_is_shared_by_those_who_take_turns(made):
    workers = [made(0), made(0), made(3)]
    listener = Listener(waiting=60)

    while listener.waiting:
        for one in workers:
            for _ in range(PASSES_MAX):
                turn(one, listener)

    assert [one.nr_conns for one in workers] == [21, 21, 21]


def test_what_the_siblings_do_not_come_for_is_taken_and_so_is_all_that_waits_behind_it(made):
    busy, _stuck = made(5), made(0)
    listener = Listener(waiting=40)

    for _ in range(PASSES_MAX):
        turn(busy, listener)
    left = listener.waiting
    for _ in range(40):
        turn(busy, listener)

    assert (left, listener.waiting) == (40, 0)


def test_who_was_not_waited_for_in_vain_is_waited_for_again(made):
    busy, idle = made(5), made(0)
    listener = Listener()
    for _ in range(PASSES_MAX):
        turn(busy, listener)

    turn(idle, listener)
    turn(busy, listener)  # nobody waits
    listener.waiting = 1
    turn(busy, listener)

    assert listener.waiting == 1


def test_a_sibling_that_keeps_up_is_waited_for_again_in_the_same_burst(made):
    busy, idle = made(1), made(0)
    listener = Listener(waiting=3)
    for _ in range(PASSES_MAX):
        turn(busy, listener)

    turn(idle, listener)
    turn(busy, listener)
    turn(busy, listener)

    assert listener.waiting == 1
    assert (busy.nr_conns, idle.nr_conns) == (2, 1)


def test_connections_that_ended_are_told(made):
    busy, idle = made(5), made(4)

    busy.nr_conns = 3
    busy.wait_for_and_dispatch_events(0)
    listener = Listener()
    turn(idle, listener)

    assert listener.waiting == 1


@pytest.mark.parametrize("end", [leave, lambda other: other.set_accept_enabled(False)])
def test_nothing_is_left_to_a_worker_that_ended_or_takes_no_more(made, end):
    one, other = made(5), made(1)
    end(other)
    listener = Listener()

    turn(one, listener)

    assert listener.waiting == 0
    assert list(connections[:2]) == [6, NOBODY]


def test_a_worker_that_stops_stays_uncounted_while_it_answers_its_last_requests(made):
    stopping = made(1)
    stopping.set_accept_enabled(False)

    stopping.wait_for_and_dispatch_events(0)

    assert connections[0] == NOBODY


def test_all_workers_of_a_reload_have_a_slot_and_more_go_by_who_is_first(made):
    workers = [made(number) for number in range(2 * WORKERS_MAX + 1)]
    listener = Listener()

    turn(workers[-1], listener)

    assert [one.slot for one in workers] == [*range(2 * WORKERS_MAX), None]
    assert listener.waiting == 0
    leave(workers[-1])
    assert list(connections) == list(range(2 * WORKERS_MAX))


def seated(slot: int | None, processor: int | None = None) -> Any:
    """A sibling."""
    return SimpleNamespace(slot=slot, processor=processor)


def test_who_comes_for_another_gets_its_slot_with_nothing_left_in_it():
    heir = seated(None)
    connections[1] = 7

    seat(heir, [seated(0), seated(2)], ())

    assert (heir.slot, heir.processor) == (1, None)
    assert connections[1] == NOBODY


def test_each_gets_the_first_processor_that_the_fewest_have():
    workers: list[Any] = []

    for _ in range(7):
        one = seated(None)
        seat(one, workers, (9, 0, 4))
        workers.append(one)
    del workers[1]
    heir = seated(None)
    seat(heir, workers, (9, 0, 4))

    assert [one.processor for one in workers] == [9, 4, 9, 0, 4, 9]
    assert (heir.slot, heir.processor) == (1, 0)
