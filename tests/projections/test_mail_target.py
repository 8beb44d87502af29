"""Checkpoints go by e-mail: through real SMTP servers, refused and then accepted, with TLS or without."""

import datetime as dt
import ipaddress
import mailbox
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import timedelta

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox as Maildir
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from projections.deliveries import Deliverer
from projections.targets import NotDelivered, parse_mail_server, parse_target
from tests.support.world import World

AUDITOR = "auditor@example.com"
NOTE = "log.example\n3\nROOT=\n\n— log.example SIG=\n"


def target_at(url):
    return parse_target(f"mailto:{AUDITOR}", parse_mail_server(url, "ledger@example.com"))


def attached(message):
    """The bytes of the one attachment."""
    (part,) = [part for part in message.walk() if part.get_filename()]
    return part.get_payload(decode=True)


@pytest.fixture
def world(database_url):
    made = World(database_url)
    yield made
    made.close()


class Post(Maildir):
    """Keeps what it gets in a folder, and answers as it is told."""

    answer: str | None = None

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        if self.answer and self.answer.startswith("550"):
            return self.answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        return self.answer or await super().handle_DATA(server, session, envelope)

    def messages(self):
        return list(mailbox.Maildir(self.mail_dir))


@contextmanager
def serving(post, **options):
    controller = Controller(post, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield f"127.0.0.1:{controller.port}"
    finally:
        controller.stop()


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def post(tmp_path):
    return Post(tmp_path / "mail")


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    """A server's context for 127.0.0.1, whose certificate this machine trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    return context


def test_a_server_that_was_down_gets_every_checkpoint_in_order_once_it_is_up(world, sign, tmp_path):
    """The server is a process of its own; the deliverer knows only its address."""
    port = free_port()
    deliverer = Deliverer(world.ledger, [target_at(f"smtp+plain://127.0.0.1:{port}")])
    sizes = [sign(), sign()]
    assert deliverer.step() == 0
    kept = tmp_path / "mail"
    serve = ["-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{port}", "-c", "aiosmtpd.handlers.Mailbox", str(kept)]
    with subprocess.Popen([sys.executable, *serve]) as process:
        wait_for(port)
        assert deliverer.step() == 0, "not before its time"
        world.now += timedelta(seconds=31)

        assert deliverer.step() == 2
        assert deliverer.step() == 0

        process.terminate()

    messages = sorted(mailbox.Maildir(kept), key=lambda message: message["Subject"])
    assert [attached(m).decode().split("\n")[1] for m in messages] == [str(size) for size in sizes]
    assert [m["Subject"] for m in messages] == [f"Checkpoint {size} of log" for size in sizes]
    assert {(m["From"], m["To"]) for m in messages} == {("ledger@example.com", AUDITOR)}


def wait_for(port):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the SMTP server did not come up")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("451 try again later", "451 try again later"),
        ("550 no such user", "refused the address: 550 no such user"),
    ],
)
def test_a_refusal_is_told_as_the_server_said_it_and_tried_again(world, sign, post, answer, said):
    post.answer = answer
    with serving(post) as address:
        target = target_at(f"smtp+plain://{address}")
        deliverer = Deliverer(world.ledger, [target])
        sign()
        assert deliverer.step() == 0
        with pytest.raises(NotDelivered, match=said):
            target.deliver(3, NOTE)
        post.answer = None
        world.now += timedelta(seconds=31)

        assert deliverer.step() == 1

    assert len(post.messages()) == 1


def test_the_attachment_is_the_note_to_the_byte_and_a_repeat_is_known_by_its_id(post):
    with serving(post) as address:
        target_at(f"smtp+plain://{address}").deliver(3, NOTE)
        target_at(f"smtp+plain://{address}").deliver(3, NOTE)
        target_at(f"smtp+plain://{address}").deliver(3, NOTE.replace("ROOT", "TOOR"))

    ids = [message["Message-ID"] for message in post.messages()]
    assert len(ids) == 3
    assert len(set(ids)) == 2
    assert {attached(m) for m in post.messages()} == {NOTE.encode(), NOTE.replace("ROOT", "TOOR").encode()}


def test_starttls_and_a_password(post, certificate):
    def check(_server, _session, _envelope, _mechanism, given):
        return AuthResult(success=(given.login, given.password) == (b"ledger", b"p@ss:word"), handled=False)

    options = {"authenticator": check, "auth_required": True, "tls_context": certificate}
    with serving(post, **options) as address:
        target_at(f"smtp://ledger:p%40ss%3Aword@{address}").deliver(3, NOTE)
        with pytest.raises(NotDelivered, match="535") as refused:
            target_at(f"smtp://ledger:wrong-secret@{address}").deliver(3, NOTE)

    assert [attached(m) for m in post.messages()] == [NOTE.encode()]
    assert "wrong-secret" not in str(refused.value)


def test_tls_from_the_start(post, certificate):
    with serving(post, ssl_context=certificate) as address:
        target_at(f"smtps://{address}").deliver(3, NOTE)

    assert [attached(m) for m in post.messages()] == [NOTE.encode()]


def test_a_certificate_of_somebody_else_gets_nothing(post, certificate, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with serving(post, tls_context=certificate) as address, pytest.raises(NotDelivered, match="certificate"):
        target_at(f"smtp://{address}").deliver(3, NOTE)

    assert post.messages() == []


def test_a_server_without_tls_gets_nothing_where_tls_was_asked_for(post):
    with serving(post) as address, pytest.raises(NotDelivered, match="STARTTLS"):
        target_at(f"smtp://{address}").deliver(3, NOTE)

    assert post.messages() == []


def test_a_goodbye_that_goes_wrong_is_no_failure(post, monkeypatch):
    """The server has said yes to the message: it would be sent twice."""

    def broken(self):
        raise smtplib.SMTPServerDisconnected("gone")

    monkeypatch.setattr(smtplib.SMTP, "quit", broken)
    with serving(post) as address:
        target_at(f"smtp+plain://{address}").deliver(3, NOTE)

    assert len(post.messages()) == 1


@pytest.mark.parametrize(
    "url",
    [
        "smtp://",
        "http://host",
        "smtp://host:99999",
        "smtp+plain://user:pw@host",
        "smtp://host/path",
        "host:25",
    ],
)
def test_what_is_no_mail_server_is_refused(url):
    with pytest.raises(ValueError, match=r"must|TLS") as refused:
        parse_mail_server(url, "ledger@example.com")

    assert "pw" not in str(refused.value)


def test_an_address_needs_a_server():
    with pytest.raises(ValueError, match="SMTP_URL"):
        parse_target(f"mailto:{AUDITOR}")
