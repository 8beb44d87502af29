"""Each answer of each kind of target, as docs/operations.md has them in a table: receipt, again, refused."""

import errno
import os

import pytest

from projections.targets import NotDelivered, Refused, parse_target
from tests.support.receiver import receiving

NOTE = "log.example\n3\nROOT=\n\n— log.example SIG=\n"
OTHERS = [NOTE.replace("ROOT", "TOOR"), NOTE + "more", NOTE[:-1], ""]


@pytest.fixture
def receiver():
    with receiving() as made:
        yield made


def said_by(target):
    """What it says to a checkpoint that it does not take, and whether that is its last word."""
    with pytest.raises(NotDelivered) as raised:
        target.deliver(3, NOTE)
    return str(raised.value), raised.type


def test_a_folder_that_has_this_very_file_has_it(tmp_path):
    target = parse_target(f"file:{tmp_path / 'kept'}")
    target.deliver(3, NOTE)
    target.deliver(3, NOTE)

    assert [(file.name, file.read_text()) for file in (tmp_path / "kept").iterdir()] == [
        ("000000000003.txt", NOTE)
    ]


@pytest.mark.parametrize("other", OTHERS)
def test_a_folder_that_has_another_one_refuses_and_keeps_it(tmp_path, other):
    kept = tmp_path / "000000000003.txt"
    kept.write_text(other)

    said, kind = said_by(parse_target(f"file:{tmp_path}"))

    assert (said, kind) == (f"{kept} holds another checkpoint of this size", Refused)
    assert [(file, file.read_text()) for file in tmp_path.iterdir()] == [(kept, other)]


def test_a_folder_that_can_t_be_made_is_tried_again(tmp_path):
    (tmp_path / "file").write_text("")

    said, kind = said_by(parse_target(f"file:{tmp_path}/file/kept"))

    assert kind is NotDelivered
    assert "Not a directory" in said


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_takes_nothing_is_tried_again_and_left_clean(tmp_path, monkeypatch, code):
    def full(_file):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("os.fsync", full)

    said, kind = said_by(parse_target(f"file:{tmp_path}"))

    assert kind is NotDelivered
    assert os.strerror(code) in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("address", ["{}", "put+{}/{{size}}"])
def test_any_2xx_is_a_receipt(receiver, address, status):
    receiver.status = status

    parse_target(address.format(receiver.url)).deliver(3, NOTE)

    assert [body for _, _, body in receiver.got] == [NOTE]


@pytest.mark.parametrize("address", ["{}", "put+{}/{{size}}"])
@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 405, 413, 422, 429, 500, 501, 503])
def test_any_other_answer_is_tried_again(receiver, address, status):
    receiver.status = status

    assert said_by(parse_target(address.format(receiver.url))) == (f"status {status}", NotDelivered)

    assert len(receiver.got) == 1, "nothing is followed, nothing is tried at once"


def test_a_webhook_that_says_conflict_refuses(receiver):
    receiver.status = 409

    said, kind = said_by(parse_target(receiver.url))

    assert kind is Refused
    assert "status 409" in said


@pytest.mark.parametrize("status", [409, 412])
class TestAnObjectThatIsThere:
    """Stores say so by 412 or by 409: what is there is read back."""

    def test_is_a_receipt_if_it_is_this_very_one(self, receiver, status):
        receiver.status, receiver.kept = status, NOTE.encode()

        parse_target(f"put+{receiver.url}/{{size}}").deliver(3, NOTE)

        asked = [("PUT", "/000000000003"), ("GET", "/000000000003")]
        assert [(method, path) for method, path, _ in receiver.got] == asked
        assert receiver.headers[0]["If-None-Match"] == "*"

    @pytest.mark.parametrize("other", OTHERS)
    def test_is_a_refusal_if_it_is_another(self, receiver, status, other):
        receiver.status, receiver.kept = status, other.encode()

        said = said_by(parse_target(f"put+{receiver.url}/{{size}}"))

        assert said == ("it holds another checkpoint of size 3", Refused)

    def test_is_tried_again_if_it_is_not_there_yet(self, receiver, status):
        """Somebody is just writing it, and may yet fail."""
        receiver.status, receiver.read = status, 404

        said = said_by(parse_target(f"put+{receiver.url}/{{size}}"))

        assert said == (f"status {status}, and there is no such object yet", NotDelivered)

    @pytest.mark.parametrize("read", [302, 403, 500])
    def test_is_tried_again_if_it_can_t_be_read(self, receiver, status, read):
        receiver.status, receiver.read = status, read

        said = said_by(parse_target(f"put+{receiver.url}/{{size}}"))

        assert said == (f"what is there can't be read back: status {read}", NotDelivered)


@pytest.mark.parametrize("address", ["{}", "put+{}/{{size}}"])
def test_where_nobody_answers_it_is_tried_again(address):
    assert said_by(parse_target(address.format("http://127.0.0.1:1")))[1] is NotDelivered


@pytest.mark.parametrize("address", ["http://", "put+http://"])
def test_a_name_and_password_of_an_address_are_sent_and_told_to_nobody(receiver, address):
    url = receiver.url.replace("http://", f"{address}auditor:p%40ss@") + "/{size}"
    receiver.status, receiver.kept = (409, NOTE.encode()) if address.startswith("put") else (200, None)
    target = parse_target(url)

    target.deliver(3, NOTE)

    assert {got["Authorization"] for got in receiver.headers} == {"Basic YXVkaXRvcjpwQHNz"}
    assert "p%40ss" not in target.name
    assert "p@ss" not in target.name
