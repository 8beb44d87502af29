"""How the stand-in behaves where people decide at Stripe: kept in its store, changed under /_sim/settings."""

from __future__ import annotations

from typing import Literal

import msgspec

DAY_S = 24 * 3600


class Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where webhooks go: `snapshot` payloads carry the object (API v1), `thin` ones only name it (API v2).

    Every delivery is signed with each of the secrets, as while one is being replaced. `events` are types, or
    beginnings of types that end in a star.
    """

    url: str
    secrets: tuple[str, ...]
    payload: Literal["snapshot", "thin"] = "snapshot"
    events: tuple[str, ...] = ("*",)

    def wants(self, payload: str, kind: str) -> bool:
        """Whether an event goes here."""
        if payload != self.payload:
            return False
        return any(
            wish == kind or (wish.endswith("*") and kind.startswith(wish[:-1])) for wish in self.events
        )


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that can be set."""

    list_lag_s: int = 0
    """How long after their creation objects appear in lists."""
    onboarding: Literal["instant", "manual"] = "instant"
    """Whether a new account is ready at once, or after its owner went through the link."""
    automatic_payouts: bool = False
    """Whether connected accounts are paid out every day at midnight UTC, as Stripe does by itself."""
    payout_takes_s: int = 2 * DAY_S
    """How long after its creation a payout says that it arrived."""
    endpoints: dict[str, Endpoint] = msgspec.field(default_factory=dict)
    """By name: where webhooks go."""
