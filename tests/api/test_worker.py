"""Which worker takes a new connection: the one that has the fewest, and never nobody."""

import errno
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.workers.gthread import ThreadWorker

from api import worker
from api.worker import LEFT_TIMES_MAX, PLACES, Worker, connections, leave, seat


@pytest.fixture(autouse=True)
def nobody() -> Iterator[None]:
    """No worker before, none after."""
    yield
    for place in range(PLACES):
        connections[place] = -1


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


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a worker with so many connections, at the next place; without a server around it."""
    monkeypatch.setattr("gunicorn.workers.gthread.TConn", lambda *_: None)
    monkeypatch.setattr(worker, "LEFT_S", 0)
    monkeypatch.setattr(ThreadWorker, "wait_for_and_dispatch_events", lambda self, _: self.events())
    siblings: list[Worker] = []

    def make(connected: int) -> Worker:
        one = Worker.__new__(Worker)
        one.cfg, one.nr_conns = None, connected
        one.enqueue_req = lambda _conn: None
        one.events = lambda: None
        seat(one, siblings)
        siblings.append(one)
        one.wait_for_and_dispatch_events(0)  # tells how many it has
        return one

    return make


def test_a_worker_leaves_a_connection_to_a_sibling_that_has_fewer(made):
    busy, idle = made(5), made(4)
    listener = Listener()

    busy.accept(listener)
    left = listener.waiting
    idle.accept(listener)

    assert (left, listener.waiting) == (1, 0)
    assert (busy.nr_conns, idle.nr_conns) == (5, 5)
    assert list(connections[:3]) == [5, 5, -1]


def test_among_equals_whoever_is_first_takes_it(made):
    one, _other = made(5), made(5)
    listener = Listener()

    one.accept(listener)

    assert (listener.waiting, one.nr_conns) == (0, 6)


def test_what_the_siblings_do_not_take_is_taken_in_the_end(made):
    busy, _stuck = made(5), made(0)
    listener = Listener(waiting=2)

    for _ in range(LEFT_TIMES_MAX):
        busy.accept(listener)
    left = listener.waiting
    busy.accept(listener)

    assert (left, listener.waiting) == (2, 1)
    busy.accept(listener)
    assert listener.waiting == 1  # the next one is left to the others anew


def test_patience_is_for_one_connection_not_for_the_next(made):
    busy, _idle = made(5), made(0)
    listener = Listener()
    for _ in range(LEFT_TIMES_MAX):
        busy.accept(listener)

    busy.wait_for_and_dispatch_events(0)  # nothing came: a sibling has taken it
    busy.accept(listener)

    assert listener.waiting == 1


def test_while_a_connection_waits_patience_is_used_up(made):
    busy, _stuck = made(5), made(0)
    listener = Listener()
    busy.events = lambda: busy.accept(listener)

    for _ in range(LEFT_TIMES_MAX + 1):
        busy.wait_for_and_dispatch_events(0)

    assert listener.waiting == 0


def test_connections_that_ended_are_told(made):
    busy, idle = made(5), made(4)

    busy.nr_conns = 3
    busy.wait_for_and_dispatch_events(0)
    listener = Listener()
    idle.accept(listener)

    assert listener.waiting == 1


def test_nothing_is_left_to_a_worker_that_ended(made):
    one, other = made(5), made(0)
    leave(other)
    listener = Listener()

    one.accept(listener)

    assert listener.waiting == 0
    assert list(connections[:2]) == [6, -1]


def test_more_workers_than_places_go_by_who_is_first(made):
    workers = [made(number) for number in range(PLACES + 1)]
    listener = Listener()

    workers[-1].accept(listener)

    assert workers[-1].place is None
    assert listener.waiting == 0
    leave(workers[-1])
    assert list(connections) == list(range(PLACES))


def test_who_takes_the_place_of_another_takes_its_place(made):
    workers = [made(0), made(0), made(0)]
    heir = Worker.__new__(Worker)

    seat(heir, [workers[0], workers[2]])

    assert heir.place == workers[1].place == 1
