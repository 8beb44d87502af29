"""API keys: who may do what. The secret is random, shown once, and kept only as a hash."""

import hashlib
import hmac
import re
import secrets
import unicodedata
from typing import Final
from uuid import UUID

import msgspec

from ledger import checks
from ledger.commands import IssueApiKey, RevokeApiKey
from ledger.events.access import ApiKeyIssued, ApiKeyRevoked, Scope
from ledger.events.base import Fact
from ledger.refusals import InvalidField, NotFound

_TOKEN: Final = re.compile(r"rs_([0-9a-f]{32})_([A-Za-z0-9_-]{43})", re.ASCII)
_BOUND: Final[Scope] = "partner:read"


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as its facts made it; `revoked` for ever once it is."""

    key_id: UUID
    name: str
    scopes: tuple[Scope, ...]
    secret_sha256: str
    partner_id: UUID | None
    person: str | None = None
    revoked: bool = False


class KeyState(msgspec.Struct, frozen=True):
    """What the stream of a key says; the id is the stream's."""

    issued: ApiKeyIssued | None = None
    revoked: bool = False


class Author(msgspec.Struct, frozen=True):
    """Who does something: under which key, and which person that names."""

    by: str
    person: str | None = None

    def is_also(self, other: "Author") -> bool:
        """Whether both are one: the same key, or two keys of the same person, however that is written."""
        return self.by == other.by or (self.person is not None and _known_as(self) == _known_as(other))


def _known_as(author: Author) -> str:
    return unicodedata.normalize("NFKC", author.person or "").strip().casefold()


class Token(msgspec.Struct, frozen=True):
    """A token taken apart."""

    key_id: UUID
    secret: str


INITIAL: Final = KeyState()


def evolve(state: KeyState, fact: Fact) -> KeyState:
    """The key after a fact."""
    match fact:
        case ApiKeyIssued():
            return KeyState(fact, state.revoked)
        case ApiKeyRevoked():
            return KeyState(state.issued, True)
        case _:
            return state


def key(key_id: UUID, state: KeyState) -> ApiKey | None:
    """The key of a stream; None where it never was."""
    issued = state.issued
    if issued is None:
        return None
    return ApiKey(
        key_id=key_id,
        name=issued.name,
        scopes=issued.scopes,
        secret_sha256=issued.secret_sha256,
        partner_id=issued.partner_id,
        person=issued.person,
        revoked=state.revoked,
    )


def new_secret() -> str:
    """A secret of 256 random bits, for a header."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """What is kept of a secret. It has 256 bits of its own, so that no salt or slow hash is needed."""
    return hashlib.sha256(secret.encode("ascii")).hexdigest()


def token(key_id: UUID, secret: str) -> str:
    """What the caller sends: `rs_<key_id>_<secret>`."""
    return f"rs_{key_id.hex}_{secret}"


def parse(text: str) -> Token | None:
    """A token taken apart; None if it is none."""
    found = _TOKEN.fullmatch(text)
    return Token(UUID(found[1]), found[2]) if found else None


def opens(api_key: ApiKey | None, secret: str) -> bool:
    """Whether a secret opens a key that was not revoked. Takes the same time for each wrong secret."""
    kept = api_key.secret_sha256 if api_key is not None else digest("")
    same = hmac.compare_digest(kept, digest(secret))
    return api_key is not None and same and not api_key.revoked


def issue(command: IssueApiKey, state: KeyState, *, secret: str) -> list[Fact]:
    """A new key. partner:read goes with one partner, and with nothing else."""
    checks.name(command.name, "/name")
    checks.optional_name(command.person, "/person")
    if not command.scopes:
        raise InvalidField("must name at least one scope", pointer="/scopes")
    for index, scope in enumerate(command.scopes):
        if scope in command.scopes[:index]:
            raise InvalidField("stands there twice", pointer=f"/scopes/{index}")
        if command.partner_id is not None and scope != _BOUND:
            raise InvalidField(f"a key of one partner can only hold {_BOUND}", pointer=f"/scopes/{index}")
    if _BOUND in command.scopes and command.partner_id is None:
        raise InvalidField(f"{_BOUND} needs the partner that it is bound to", pointer="/partner_id")
    assert state.issued is None, "a key's id is random and new"
    return [
        ApiKeyIssued(
            name=command.name,
            scopes=command.scopes,
            secret_sha256=digest(secret),
            partner_id=command.partner_id,
            person=command.person,
        )
    ]


def revoke(command: RevokeApiKey, state: KeyState) -> list[Fact]:
    """Close a key. Closing it again, for whatever reason, changes nothing."""
    checks.note(command.reason, "/reason")
    if state.issued is None:
        raise NotFound("there is no such key", pointer="/key_id")
    return [] if state.revoked else [ApiKeyRevoked(reason=command.reason)]
