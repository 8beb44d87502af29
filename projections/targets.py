"""Where checkpoints go, so that our administrator can't take them back: folders, web addresses, mailboxes."""

import hashlib
import os
import re
import secrets
import smtplib
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final, Literal, Protocol
from urllib.parse import unquote, urlsplit

import msgspec
import urllib3

PATIENCE_S: Final = 10.0
ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
"""An e-mail address as it stands in a setting: without a name, quotes or letters beyond ASCII."""

_THERE_ALREADY: Final = (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.CONFLICT)
"""What stores say of an object that is there. 409 is also: somebody else is just writing it."""

SmtpTls = Literal["starttls", "implicit", "none"]
_SCHEMES: Final[dict[str, tuple[SmtpTls, int]]] = {
    "smtp": ("starttls", 587),
    "smtps": ("implicit", 465),
    "smtp+plain": ("none", 25),
}


class NotDelivered(Exception):
    """The target did not take a checkpoint; it says why. It is tried again."""


class Refused(NotDelivered):
    """The target holds another checkpoint of this size. Until somebody has looked there, no try changes that;
    it says nothing of other checkpoints."""


class Target(Protocol):
    """Somewhere to keep checkpoints. `name` is how its state is remembered: no secret may be in it."""

    @property
    def name(self) -> str:
        """What stands for it in the table of deliveries, and in the log."""

    def deliver(self, size: int, note: str) -> None:
        """Hand a checkpoint over; a second time changes nothing. Raises NotDelivered, Refused."""


class Folder:
    """A folder, best on a disk of the auditor's: a file for each checkpoint, none ever written over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = f"file:{path}"

    def deliver(self, size: int, note: str) -> None:
        """Write `<size>.txt`."""
        path = self._path / f"{size:012}.txt"
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            self._write(path, note.encode())
        except OSError as error:
            raise NotDelivered(str(error)) from error

    def _write(self, path: Path, note: bytes) -> None:
        # Each try writes a file of its own: another process may be at it, and a link shares what is written.
        beside = path.with_suffix(f".{secrets.token_hex(4)}.part")
        try:
            with beside.open("wb") as file:
                file.write(note)
                file.flush()
                os.fsync(file.fileno())
            os.link(beside, path)  # fails where there is such a file: it is never replaced
        except FileExistsError:
            if path.read_bytes() != note:
                raise Refused(f"{path} holds another checkpoint of this size") from None
        finally:
            beside.unlink(missing_ok=True)
        folder = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(folder)  # the file's name, too, outlives a loss of power: only then is it a receipt
        finally:
            os.close(folder)


class WebAddress:
    """A web address: the note is the body of a POST, or of a PUT to an address with `{size}` in it."""

    def __init__(self, url: str, *, method: str = "POST") -> None:
        self._url = url
        self._method = method
        parsed = urllib3.util.parse_url(url)
        self.name = f"{method} {parsed.scheme}://{parsed.netloc}{parsed.path or ''}"
        self._own: dict[str, str] = {}
        """Who we are there, where the address has a name and a password."""
        if parsed.auth is not None:
            self._own = dict(urllib3.util.make_headers(basic_auth=unquote(parsed.auth)))
        self._pool = urllib3.PoolManager(timeout=PATIENCE_S, retries=False)

    def deliver(self, size: int, note: str) -> None:
        """Send it; any 2xx is a receipt. A PUT never replaces: an object that is there must be this note."""
        url = self._url.replace("{size}", f"{size:012}")
        headers = self._own | {"Content-Type": "text/plain; charset=utf-8"}
        if self._method == "PUT":
            headers["If-None-Match"] = "*"
        body = note.encode()
        try:
            answer = self._pool.request(self._method, url, body=body, headers=headers, redirect=False)
            if 200 <= answer.status < 300:
                return
            if self._method == "PUT" and answer.status in _THERE_ALREADY:
                self._compare(url, size, body, answer.status)
            elif self._method == "POST" and answer.status == HTTPStatus.CONFLICT:
                raise Refused(f"status 409: it says that it holds another checkpoint of size {size}")
            else:
                raise NotDelivered(f"status {answer.status}")
        except urllib3.exceptions.HTTPError as error:
            raise NotDelivered(type(error).__name__) from error

    def _compare(self, url: str, size: int, note: bytes, said: int) -> None:
        with self._pool.request(
            "GET", url, headers=self._own, redirect=False, preload_content=False
        ) as answer:
            if answer.status == HTTPStatus.NOT_FOUND:  # who writes it may yet fail
                raise NotDelivered(f"status {said}, and there is no such object yet")
            if answer.status != HTTPStatus.OK:
                raise NotDelivered(f"what is there can't be read back: status {answer.status}")
            if answer.read(len(note) + 1) != note:
                raise Refused(f"it holds another checkpoint of size {size}")


class MailServer(msgspec.Struct, frozen=True):
    """Our own SMTP server, that passes mail on. With TLS its certificate is always checked."""

    host: str
    port: int
    tls: SmtpTls
    sender: str
    user: str | None = None
    password: str | None = None

    def connect(self) -> smtplib.SMTP:
        """A session in which a message can be sent. Raises SMTPException, OSError (TLS's errors too)."""
        if self.tls == "implicit":
            context = ssl.create_default_context()
            session: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host, self.port, timeout=PATIENCE_S, context=context
            )
        else:
            session = smtplib.SMTP(self.host, self.port, timeout=PATIENCE_S)
        try:
            if self.tls == "starttls":
                session.starttls(context=ssl.create_default_context())
            if self.user is not None:
                session.login(self.user, self.password or "")
        except BaseException:
            session.close()
            raise
        return session


def parse_mail_server(url: str, sender: str) -> MailServer:
    """A server from the settings SMTP_URL and SMTP_SENDER. ValueError, which says nothing of the password."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(
            "must be smtp://USER:PASSWORD@HOST:PORT (STARTTLS), smtps://… (TLS) or smtp+plain://… (no TLS)"
        )
    tls, usual_port = _SCHEMES[parts.scheme]
    try:
        port = parts.port or usual_port
    except ValueError:
        raise ValueError("must have a port from 1 to 65535, or none") from None
    if parts.username is not None and tls == "none":
        raise ValueError("a password is sent over TLS only: take smtp:// or smtps://")
    user, password = (None if part is None else unquote(part) for part in (parts.username, parts.password))
    return MailServer(parts.hostname, port, tls, sender, user, password)


class Mailbox:
    """The auditor's mailbox: a message for each checkpoint, with the note in it and, to the byte, beside it.

    A message sent twice (the server took it, but its answer was lost) has the same Message-ID both times, by
    which mailboxes tell that they have it.
    """

    def __init__(self, address: str, server: MailServer) -> None:
        self._address = address
        self._server = server
        self.name = f"mailto:{address}"

    def deliver(self, size: int, note: str) -> None:
        """Send it; the server's yes to the whole message is the receipt."""
        try:
            session = self._server.connect()
            try:
                session.send_message(self._message(size, note))
            finally:
                with suppress(smtplib.SMTPException, OSError):  # a goodbye that goes wrong changes nothing
                    session.quit()
        except (smtplib.SMTPException, OSError) as error:
            raise NotDelivered(_said(error)) from error

    def _message(self, size: int, note: str) -> EmailMessage:
        origin = note.partition("\n")[0]
        message = EmailMessage()
        message["From"] = self._server.sender
        message["To"] = self._address
        message["Subject"] = f"Checkpoint {size} of {origin}"
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = self._message_id(note)
        message["Auto-Submitted"] = "auto-generated"  # nobody's absence answers it
        message.set_content(
            f"{note}\nThe attached file is this checkpoint. Keep it where nobody of ours can change it:\n"
            "`revshare_verify.py FILE --kept CHECKPOINT` tells by it whether anything was changed.\n"
        )
        message.add_attachment(
            note.encode(), maintype="application", subtype="octet-stream", filename=f"{size:012}.txt"
        )
        return message

    def _message_id(self, note: str) -> str:
        meant = hashlib.sha256(f"{self._address}\n{note}".encode()).hexdigest()[:32]
        return f"<checkpoint.{meant}@{self._server.sender.rpartition('@')[2]}>"


def _said(error: Exception) -> str:
    """What an SMTP server or the network said, in one line."""
    match error:
        case smtplib.SMTPRecipientsRefused(recipients=refused):
            code, words = next(iter(refused.values()))
            return f"refused the address: {_answer(code, words)}"
        case smtplib.SMTPResponseException(smtp_code=code, smtp_error=words):
            return _answer(code, words)
        case _:
            return f"{type(error).__name__}: {error}".replace("\n", " ")[:300]


def _answer(code: int, words: bytes | str) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return f"{code} {' '.join(text.split())}"[:300]


def parse_target(text: str, mail: MailServer | None = None) -> Target:
    """A target from a setting: `file:FOLDER`, `https://…` (POST), `put+https://…{size}…`, `mailto:ADDRESS`.

    `mail` is the server that messages go out by; mailto needs it. ValueError.
    """
    if text.startswith("file:") and len(text) > len("file:"):
        return Folder(Path(text.removeprefix("file:")))
    if text.startswith(("http://", "https://")):
        return WebAddress(text)
    if text.startswith(("put+http://", "put+https://")) and "{size}" in text:
        return WebAddress(text.removeprefix("put+"), method="PUT")
    if text.startswith("mailto:") and ADDRESS.fullmatch(text.removeprefix("mailto:")):
        if mail is None:
            raise ValueError("mailto: needs SMTP_URL and SMTP_SENDER, the server that sends the messages")
        return Mailbox(text.removeprefix("mailto:"), mail)
    raise ValueError(
        "must be file:FOLDER, https://…, put+https://… with {size} in it or mailto:ADDRESS (plain ASCII)"
    )
