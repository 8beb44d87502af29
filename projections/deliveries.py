"""Checkpoints go where our administrator can't take them back: folders, web addresses, object stores.

Each target gets every checkpoint, in order; what could not be delivered is tried again.
"""

import os
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import sqlalchemy as sa
import structlog
import urllib3

from ledger.store.application import Ledger
from ledger.store.database import DatabaseUnavailable
from projections.audit_log import checkpoints, deliveries

IDLE_S: Final = 0.5
RETRY: Final = timedelta(seconds=30)
PATIENCE_S: Final = 10.0
AT_ONCE: Final = 100

log = structlog.get_logger(__name__)


class NotDelivered(Exception):
    """The target did not take a checkpoint; it says why."""


class Target(Protocol):
    """Somewhere to keep checkpoints. `name` is how its state is remembered: no secret may be in it."""

    @property
    def name(self) -> str:
        """What stands for it in the table of deliveries, and in the log."""

    def deliver(self, size: int, note: str) -> None:
        """Hand a checkpoint over; a second time changes nothing. Raises NotDelivered."""


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
        beside = path.with_suffix(".part")
        with beside.open("wb") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(beside, path)  # fails where there is such a file: it is never replaced
        except FileExistsError:
            if path.read_bytes() != note:
                raise NotDelivered(f"{path} holds another checkpoint of this size") from None
        finally:
            beside.unlink()


class WebAddress:
    """A web address: the note is the body of a POST, or of a PUT to an address with `{size}` in it."""

    def __init__(self, url: str, *, method: str = "POST") -> None:
        self._url = url
        self._method = method
        parsed = urllib3.util.parse_url(url)
        self.name = f"{method} {parsed.scheme}://{parsed.netloc}{parsed.path or ''}"
        self._pool = urllib3.PoolManager(timeout=PATIENCE_S, retries=False)

    def deliver(self, size: int, note: str) -> None:
        """Send it; any 2xx is a receipt, and so is 409 or 412 where an object must not be replaced."""
        url = self._url.replace("{size}", f"{size:012}")
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        if self._method == "PUT":
            headers["If-None-Match"] = "*"
        try:
            answer = self._pool.request(
                self._method, url, body=note.encode(), headers=headers, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise NotDelivered(type(error).__name__) from error
        taken = (409, 412) if self._method == "PUT" else ()
        if not 200 <= answer.status < 300 and answer.status not in taken:
            raise NotDelivered(f"status {answer.status}")


def parse_target(text: str) -> Target:
    """A target from a setting: `file:FOLDER`, `https://…` (POST) or `put+https://…{size}…`. ValueError."""
    if text.startswith("file:") and len(text) > len("file:"):
        return Folder(Path(text.removeprefix("file:")))
    if text.startswith(("http://", "https://")):
        return WebAddress(text)
    if text.startswith(("put+http://", "put+https://")) and "{size}" in text:
        return WebAddress(text.removeprefix("put+"), method="PUT")
    raise ValueError("must be file:FOLDER, https://… or put+https://… with {size} in it")


class Deliverer:
    """Brings every checkpoint to every target."""

    def __init__(self, ledger: Ledger, targets: Sequence[Target]) -> None:
        self._ledger = ledger
        self._targets = targets

    def step(self) -> int:
        """Deliver what is due: how many."""
        return sum(self._serve(target) for target in self._targets)

    def run(self, stop: threading.Event) -> None:
        """Deliver until told to stop."""
        while not stop.is_set():
            try:
                self.step()
            except DatabaseUnavailable as error:
                log.warning("audit.database_unavailable", error=str(error))
            stop.wait(IDLE_S)

    def _serve(self, target: Target) -> int:
        now = self._ledger.clock()
        with self._ledger.database.read() as connection:
            state = connection.execute(
                sa.select(deliveries).where(deliveries.c.target == target.name)
            ).first()
            if state is not None and state.error is not None and now - state.tried_at < RETRY:
                return 0
            due = connection.execute(
                sa.select(checkpoints.c.size, checkpoints.c.note)
                .where(checkpoints.c.size > (0 if state is None else state.size))
                .order_by(checkpoints.c.size)
                .limit(AT_ONCE)
            ).all()
        done = 0
        for size, note in due:
            try:
                target.deliver(size, note)
            except NotDelivered as error:
                log.warning("audit.not_delivered", target=target.name, size=size, error=str(error))
                self._keep(target, {"error": str(error), "tried_at": now})
                return done
            self._keep(target, {"size": size, "delivered_at": now, "tried_at": now, "error": None})
            done += 1
        return done

    def _keep(self, target: Target, changes: dict[str, Any]) -> None:
        with self._ledger.database.write() as connection:
            changed = connection.execute(
                sa.update(deliveries).where(deliveries.c.target == target.name).values(**changes)
            )
            if not changed.rowcount:
                connection.execute(sa.insert(deliveries), [{"target": target.name, "size": 0, **changes}])
