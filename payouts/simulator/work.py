"""What an operation of the stand-in works with: an open transaction, the time, new ids, and who asks."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from payouts.simulator import books
from payouts.simulator.store import Body, Transaction

_ID_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def random_id(prefix: str) -> str:
    """An id as Stripe's look: `tr_1` and 23 letters or digits."""
    return f"{prefix}_1" + "".join(secrets.choice(_ID_LETTERS) for _ in range(23))


@dataclass(frozen=True)
class Work:
    """What an operation works with: the open transaction and who asks for what, when."""

    tx: Transaction
    now: int
    owner: str
    make_id: Callable[[str], str]
    request_id: str
    idempotency_key: str | None
    api_version: str | None

    def new_id(self, prefix: str) -> str:
        """A fresh id with Stripe's prefix for the kind."""
        return self.make_id(prefix)

    def emit(self, kind: str, about: Body, account: str | None = None) -> None:
        """Write an event: the object as it is now, under Stripe's name for what happened to it."""
        event = {
            "id": self.new_id("evt"),
            "object": "event",
            "api_version": self.api_version,
            "created": self.now,
            "data": {"object": about},
            "livemode": False,
            "pending_webhooks": 0,
            "request": {"id": self.request_id, "idempotency_key": self.idempotency_key},
            "type": kind,
        }
        self.tx.add(books.PLATFORM, {**event, "account": account} if account else event)
