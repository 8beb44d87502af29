"""Checkpoints reach every target, in order, once; one that is down gets them later; none is written over."""

import os
import threading
import time
from datetime import timedelta

import pytest

from projections.deliveries import Deliverer, state_of
from projections.targets import NotDelivered, Refused, parse_target
from tests.support.receiver import receiving
from tests.support.world import World


@pytest.fixture
def world(database_url):
    made = World(database_url)
    yield made
    made.close()


@pytest.fixture
def receiver():
    with receiving() as made:
        yield made


def sizes(notes):
    return [int(note.split("\n")[1]) for note in notes]


def test_a_folder_keeps_every_checkpoint_as_a_file(world, sign, tmp_path):
    deliverer = Deliverer(world.ledger, [parse_target(f"file:{tmp_path / 'kept'}")])
    first = sign()
    assert deliverer.step() == 1
    second, third = sign(), sign()

    assert deliverer.step() == 2
    assert deliverer.step() == 0

    files = sorted((tmp_path / "kept").iterdir())
    assert [file.name for file in files] == [f"{size:012}.txt" for size in (first, second, third)]
    assert sizes(file.read_text() for file in files) == [first, second, third]


def test_a_web_address_gets_them_in_order_and_what_failed_again(world, sign, receiver):
    targets = [parse_target(receiver.url + "/hook"), parse_target(f"put+{receiver.url}/kept/{{size}}.txt")]
    deliverer = Deliverer(world.ledger, targets)
    receiver.status = 503
    expected = [sign(), sign()]
    assert deliverer.step() == 0
    receiver.status = 200
    assert deliverer.step() == 0, "not before its time"
    receiver.got.clear()
    world.now += timedelta(seconds=31)

    assert deliverer.step() == 4

    posted = [body for method, path, body in receiver.got if (method, path) == ("POST", "/hook")]
    put = [(path, body) for method, path, body in receiver.got if method == "PUT"]
    assert sizes(posted) == sizes(body for _, body in put) == expected
    assert [path for path, _ in put] == [f"/kept/{size:012}.txt" for size in expected]
    assert deliverer.step() == 0


class Deaf:
    """A target that takes nothing, or hangs until it is told to go on."""

    name = "deaf"

    def __init__(self, error=None):
        self.error, self.asked, self.go_on = error, [], threading.Event()

    def deliver(self, size, _note):
        self.asked.append(size)
        if self.error is None:
            self.go_on.wait(30)
        else:
            raise self.error


@pytest.mark.parametrize(
    "error", [NotDelivered("no"), Refused("another"), ValueError("what nobody thought of")]
)
def test_a_target_that_takes_nothing_keeps_no_other_waiting(world, sign, tmp_path, error):
    deaf = Deaf(error)
    deliverer = Deliverer(world.ledger, [deaf, parse_target(f"file:{tmp_path / 'kept'}")])
    expected = [sign(), sign()]

    assert deliverer.step() == 2

    assert sizes(file.read_text() for file in sorted((tmp_path / "kept").iterdir())) == expected


def test_a_target_that_hangs_keeps_no_other_waiting(world, sign, tmp_path):
    deaf, stop = Deaf(), threading.Event()
    expected = [sign(), sign()]
    deliverer = Deliverer(world.ledger, [deaf, parse_target(f"file:{tmp_path / 'kept'}")])
    running = threading.Thread(target=deliverer.run, args=(stop,))
    running.start()
    until = time.monotonic() + 20
    while (not deaf.asked or len(list((tmp_path / "kept").glob("*.txt"))) < 2) and time.monotonic() < until:
        time.sleep(0.02)
    hung = list(deaf.asked)
    stop.set()
    deaf.go_on.set()
    running.join()

    assert hung == expected[:1]
    assert sizes(file.read_text() for file in sorted((tmp_path / "kept").glob("*.txt"))) == expected


def test_between_two_tries_it_waits_longer_each_time_but_never_for_ever(world, sign, receiver):
    receiver.status = 503
    deliverer = Deliverer(world.ledger, [parse_target(receiver.url)])
    sign()
    begin, tried = world.now, []
    while world.now < begin + timedelta(hours=1):
        before = len(receiver.got)
        deliverer.step()
        if len(receiver.got) > before:
            tried.append(int((world.now - begin).total_seconds()))
        world.now += timedelta(seconds=10)

    assert tried == [0, 30, 90, 210, 450, 930, 1830, 2730]
    receiver.status = 200
    assert deliverer.step(now_wanted=True) == 1
    receiver.status = 503
    sign()
    deliverer.step()
    world.now += timedelta(seconds=30)
    receiver.status = 200
    assert deliverer.step() == 1, "a receipt ends the waiting"


def test_one_that_is_refused_is_passed_by_and_asked_for_again(world, sign, tmp_path):
    target = parse_target(f"file:{tmp_path / 'kept'}")
    deliverer = Deliverer(world.ledger, [target])
    first, second = sign(), sign()
    in_its_place = tmp_path / "kept" / f"{first:012}.txt"
    in_its_place.parent.mkdir()
    in_its_place.write_text("what the auditor saw")

    assert deliverer.step() == 1
    assert deliverer.step() == 0

    state = state_in(world, target.name)
    assert (state.size, state.waiting, state.error) == (second, 0, None)
    assert (state.refused, state.first_refusal) == (
        1,
        f"size {first}: {in_its_place} holds another checkpoint of this size",
    )
    in_its_place.rename(tmp_path / "set aside")
    assert deliverer.step() == 0, "not before its time"
    world.now += timedelta(hours=1)
    assert deliverer.step() == 1
    assert sizes([in_its_place.read_text()]) == [first]
    assert (state_in(world, target.name).refused, state_in(world, target.name).size) == (0, second)


def test_the_state_of_a_target_tells_what_it_has_and_what_it_lacks(world, sign, receiver):
    target = parse_target(receiver.url)
    deliverer = Deliverer(world.ledger, [target])
    assert state_in(world, target.name).size is None
    first = sign()
    assert deliverer.step() == 1
    receiver.status = 500
    world.now += timedelta(minutes=1)
    made_at = world.now
    sign(), sign()
    deliverer.step()
    world.now += timedelta(seconds=20)

    state = state_in(world, target.name)

    assert (state.size, state.delivered_at) == (first, made_at - timedelta(minutes=1))
    assert (state.waiting, state.waiting_since, state.waiting_s) == (2, made_at, 20)
    assert (state.error, state.tried_at, state.failures) == ("status 500", made_at, 1)
    assert state.next_try_at == made_at + timedelta(seconds=30)
    assert (state.refused, state.first_refusal) == (0, None)


def state_in(world, name):
    with world.database.read() as connection:
        return state_of(connection, name, world.now)


@pytest.mark.parametrize("is_there", [False, True])
def test_a_file_is_a_receipt_once_its_name_is_on_the_disk_too(tmp_path, monkeypatch, is_there):
    target = parse_target(f"file:{tmp_path}")
    if is_there:
        target.deliver(7, "note")
    synced = []
    monkeypatch.setattr(
        "os.fsync", lambda file: synced.append((os.fstat(file).st_ino, *os.listdir(tmp_path)))
    )

    target.deliver(7, "note")

    assert synced[-1] == (tmp_path.stat().st_ino, "000000000007.txt")


def test_an_addresss_password_and_query_are_in_no_table():
    assert parse_target("https://host.example/hook?token=secret").name == "POST https://host.example/hook"


@pytest.mark.parametrize(
    "text", ["", "file:", "ftp://x", "put+https://host/no-size", "host.example", "mailto:", "mailto:a b@c"]
)
def test_what_is_no_target_is_refused(text):
    with pytest.raises(ValueError, match="must be"):
        parse_target(text)
