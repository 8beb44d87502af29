"""What an operation of the stand-in works with: an open transaction, the time, new ids, and who asks."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from payouts.simulator import books, webhooks
from payouts.simulator.faults import Fault
from payouts.simulator.settings import Settings
from payouts.simulator.store import Body, Transaction

_ID_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
NO_VERSION = "2026-10-28.endive"  # What an event says when the call named no version.


def random_id(prefix: str) -> str:
    """An id as Stripe's look: `tr_1` and 23 letters or digits."""
    return f"{prefix}_1" + "".join(secrets.choice(_ID_LETTERS) for _ in range(23))


def timestamp(seconds: int) -> str:
    """A time as API v2 writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


@dataclass(frozen=True)
class Work:
    """What an operation works with: the open transaction and who asks for what, when."""

    tx: Transaction
    now: int
    owner: str
    make_id: Callable[[str], str]
    settings: Settings
    strike: Callable[[str], Fault | None]
    due_at: Callable[[int], None]
    request_id: str | None
    idempotency_key: str | None
    api_version: str | None
    lag_s: int
    base_url: str
    query: str = ""

    def new_id(self, prefix: str) -> str:
        """A fresh id with Stripe's prefix for the kind."""
        return self.make_id(prefix)

    def add(self, owner: str, body: Body) -> None:
        """Store a new object; lists may show it later than that."""
        self.tx.add(owner, body, self.now + self.lag_s)

    def schedule(self, at: int, what: str, about: str) -> None:
        """Something that will happen to an object (upkeep.py)."""
        self.tx.schedule(at, what, about)
        self.due_at(at)

    def emit(self, kind: str, about: Body, account: str | None = None) -> None:
        """Write an event: the object as it is now, under Stripe's name for what happened to it."""
        event = {
            "id": self.new_id("evt"),
            "object": "event",
            "api_version": self.api_version or NO_VERSION,
            "created": self.now,
            "data": {"object": about},
            "livemode": False,
            "pending_webhooks": 0,
            "request": {"id": self.request_id, "idempotency_key": self.idempotency_key},
            "type": kind,
        }
        if account:
            event["account"] = account
        if self.settings.endpoints:
            event["pending_webhooks"] = webhooks.queue(self, "snapshot", event)
        self.add(books.PLATFORM, event)

    def emit_thin(self, kind: str, account: str, changes: Mapping[str, Any] | None = None) -> None:
        """Write an event of API v2 about an account: it names the object and does not carry it."""
        event: Body = {
            "id": self.new_id("evt"),
            "object": "v2.core.event",
            "changes": dict(changes) if changes else None,
            "context": None,
            "created": timestamp(self.now),
            "livemode": False,
            "reason": None,
            "related_object": {
                "id": account,
                "type": "v2.core.account",
                "url": f"/v2/core/accounts/{account}",
            },
            "snapshot_event": None,
            "type": kind,
        }
        if self.request_id is not None:
            request = {"id": self.request_id, "idempotency_key": self.idempotency_key or ""}
            event["reason"] = {"type": "request", "request": request}
        self.tx.add(books.PLATFORM, event, self.now + self.lag_s, created=self.now)
        if self.settings.endpoints:
            told = {name: event[name] for name in event if name not in ("changes", "snapshot_event")}
            webhooks.queue(self, "thin", told)
