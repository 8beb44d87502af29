"""Who calls, and what a key opens.

A key's stream is asked at most once a second in each worker: a revocation takes effect within a second.
Only keys that open are remembered, under the hash of the token, so guesses neither fill nor pass the cache.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import falcon

from api.problems import HttpProblem
from ledger.access import ApiKey
from ledger.events.access import Scope

REMEMBERED_S: Final = 0.75
ASKING_S: Final = 0.25
"""While one thread asks again, the others go by what was known: after both times together it is forgotten."""
KEYS_MAX: Final = 1_000
CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="revshare"'}


@dataclass(frozen=True)
class Caller:
    """The key that a request came with. `partner_id` binds it to what is this partner's own.

    `person` is whom the key names.
    """

    key_id: UUID
    scopes: tuple[Scope, ...]
    partner_id: UUID | None = None
    person: str | None = None

    @property
    def by(self) -> str:
        """The author of what this caller adds."""
        return f"key:{self.key_id}"

    def may(self, scopes: Sequence[Scope]) -> bool:
        """Whether one of the scopes is the caller's; admin has them all."""
        return "admin" in self.scopes or any(scope in self.scopes for scope in scopes)

    def sees(self, partner_id: UUID | None) -> bool:
        """Whether what belongs to this partner may be shown to the caller."""
        return self.partner_id is None or self.partner_id == partner_id

    def own(self, partner_id: UUID | None) -> UUID | None:
        """The partner to list for: the one asked for; for a bound key its own, and no other."""
        if self.partner_id is None:
            return partner_id
        if partner_id is not None and partner_id != self.partner_id:
            raise nothing_there()
        return self.partner_id


def nothing_there() -> HttpProblem:
    """What is not there and what is not the caller's look the same."""
    return HttpProblem("not-found", "there is no such thing, or not for this key")


class Gate:
    """Turns the Authorization header into a caller."""

    def __init__(
        self, authenticate: Callable[[str], ApiKey | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._authenticate = authenticate
        self._clock = clock
        self._known: dict[bytes, tuple[float, Caller, bool]] = {}  # until when; whether it was put off once
        self._lock = threading.Lock()

    def caller(self, req: falcon.Request) -> Caller:
        """The caller. Refuses with 401 where there is no key, or one that opens nothing."""
        header = req.get_header("Authorization")
        if header is None:
            raise HttpProblem("unauthenticated", "send Authorization: Bearer rs_…", headers=CHALLENGE)
        kind, _, token = header.partition(" ")
        found = self._look_up(token.strip()) if kind.lower() == "bearer" else None
        if found is None:
            headers = {"WWW-Authenticate": CHALLENGE["WWW-Authenticate"] + ', error="invalid_token"'}
            raise HttpProblem("unauthenticated", "this key opens nothing", headers=headers)
        return found

    def _look_up(self, token: str) -> Caller | None:
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        now = self._clock()
        known = self._known.get(digest)
        if known is not None and known[0] > now:
            return known[1]
        if known is not None and not known[2] and now < known[0] + ASKING_S:
            with self._lock:
                if self._known.get(digest) is known:
                    self._known[digest] = (known[0] + ASKING_S, known[1], True)
        key = self._authenticate(token)
        with self._lock:
            self._known.pop(digest, None)
            if key is None:
                return None
            if len(self._known) >= KEYS_MAX:
                self._known.clear()
            caller = Caller(key.key_id, key.scopes, key.partner_id, key.person)
            self._known[digest] = (now + REMEMBERED_S, caller, False)
        return caller


def forbidden(scopes: Sequence[Scope]) -> HttpProblem:
    """The refusal of a key that lacks a scope."""
    named = " or ".join(dict.fromkeys((*scopes, "admin")))
    return HttpProblem("forbidden", f"this door needs the scope {named}")
