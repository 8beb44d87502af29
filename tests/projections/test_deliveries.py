"""Checkpoints reach every target, in order, once; one that is down gets them later; none is written over."""

import os
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from projections.checkpoints import latest
from projections.deliveries import Deliverer
from projections.targets import NotDelivered, parse_target
from tests.support.world import World


@pytest.fixture
def world(database_url):
    made = World(database_url)
    yield made
    made.close()


class Receiver:
    """A web server that remembers what it got, and answers as it is told."""

    def __init__(self):
        self.got: list[tuple[str, str, str]] = []
        self.status = 204
        self.kept: bytes | None = None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                receiver.got.append((self.command, self.path, body))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_PUT = do_POST

            def do_GET(self):
                receiver.got.append((self.command, self.path, ""))
                self.send_response(403 if receiver.kept is None else 200)
                self.send_header("Content-Length", str(len(receiver.kept or b"")))
                self.end_headers()
                self.wfile.write(receiver.kept or b"")

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


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


def test_a_file_that_holds_another_checkpoint_is_never_replaced(world, sign, tmp_path):
    size = sign()
    kept = tmp_path / f"{size:012}.txt"
    kept.write_text("what the auditor saw")
    target = parse_target(f"file:{tmp_path}")

    assert Deliverer(world.ledger, [target]).step() == 0

    assert kept.read_text() == "what the auditor saw"
    with pytest.raises(NotDelivered, match="another checkpoint"):
        target.deliver(size, "a new story")


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


def note_of(world):
    with world.database.read() as connection:
        return latest(connection).note.encode()


def test_an_object_that_is_there_already_and_is_the_same_is_a_receipt(world, sign, receiver):
    receiver.status = 412
    size = sign()
    receiver.kept = note_of(world)

    assert Deliverer(world.ledger, [parse_target(f"put+{receiver.url}/{{size}}")]).step() == 1

    assert [(method, path) for method, path, _ in receiver.got] == [
        ("PUT", f"/{size:012}"),
        ("GET", f"/{size:012}"),
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _: b"what the auditor saw", "another checkpoint"),
        (lambda note: note + b"more", "another checkpoint"),
        (lambda note: note[:-1], "another checkpoint"),
        (lambda _: None, "read back: status 403"),
    ],
)
def test_an_object_that_is_another_or_can_t_be_read_is_no_receipt(world, sign, receiver, change, said):
    receiver.status = 412
    size = sign()
    note = note_of(world)
    receiver.kept = change(note)
    target = parse_target(f"put+{receiver.url}/{{size}}")

    assert Deliverer(world.ledger, [target]).step() == 0

    with pytest.raises(NotDelivered, match=said):
        target.deliver(size, note.decode())


def test_while_others_write_the_same_object_it_is_tried_again(world, sign, receiver):
    deliverer = Deliverer(world.ledger, [parse_target(f"put+{receiver.url}/{{size}}")])
    receiver.status = 409
    sign()
    receiver.kept = note_of(world)
    assert deliverer.step() == 0
    receiver.status = 200
    world.now += timedelta(seconds=31)

    assert deliverer.step() == 1


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


def test_a_target_nobody_answers_at_is_told_so():
    with pytest.raises(NotDelivered):
        parse_target("http://127.0.0.1:1/nothing").deliver(1, "note")


def test_an_addresss_password_and_query_are_in_no_table():
    assert parse_target("https://host.example/hook?token=secret").name == "POST https://host.example/hook"


@pytest.mark.parametrize(
    "text", ["", "file:", "ftp://x", "put+https://host/no-size", "host.example", "mailto:", "mailto:a b@c"]
)
def test_what_is_no_target_is_refused(text):
    with pytest.raises(ValueError, match="must be"):
        parse_target(text)
