"""Facts of API keys: who may do what. Only a hash of the secret is ever stored."""

from typing import ClassVar, Literal
from uuid import UUID

from ledger.events.base import Fact

Scope = Literal["conversions:write", "finance:read", "finance:approve", "partner:read", "admin"]


class ApiKeyIssued(Fact, frozen=True, kw_only=True):
    """A key was made. `secret_sha256` is the hex digest of its 256-bit random secret.

    `person` names whoever uses it, so that two keys of one person don't count as two people; None: a program.
    """

    version: ClassVar[int] = 2
    name: str
    scopes: tuple[Scope, ...]
    secret_sha256: str
    partner_id: UUID | None = None
    person: str | None = None


class ApiKeyRevoked(Fact, frozen=True, kw_only=True):
    """The key no longer opens anything."""

    reason: str
