"""Answers kept under an Idempotency-Key: the same request again gets the same answer, for a day.

Keys belong to the API key that sent them. The row is taken before the request runs, in a transaction of its
own, so of two at the same time one runs. If the process dies in between, the row is taken over after
RUNNING_S_MAX. What had been stored by then is found again: ids derive from the request or from this key, and
a step that was taken is known as taken. Only an API key is made anew: nobody was told the first one's secret.
"""

import hashlib
import time
import zlib
from collections.abc import Callable
from typing import Final, NamedTuple
from uuid import uuid4

import msgspec
import sqlalchemy as sa

from ledger.store.database import Database

KEPT_S: Final = 24 * 3_600
RUNNING_S_MAX: Final = 60
"""A request that runs longer has died: no answer takes half as long."""
CLEARED_AT_ONCE: Final = 200


class Answer(NamedTuple):
    """An answer as it was given."""

    status: int
    headers: dict[str, str]
    body: bytes


class Taken(NamedTuple):
    """The key is ours: run the request, then store or release."""

    actor: str
    key: str
    owner: str


class OtherRequest(Exception):
    """The key came before with another request."""


class StillRunning(Exception):
    """The request with this key has not ended."""


def fingerprint(method: str, target: str, media_type: str, body: bytes) -> bytes:
    """What makes two requests the same."""
    digest = hashlib.sha256()
    for part in (method.encode(), target.encode(), media_type.encode()):
        digest.update(len(part).to_bytes(4, "big") + part)
    digest.update(body)
    return digest.digest()


_TAKE: Final = sa.text(
    "INSERT INTO idempotency_keys (actor, idempotency_key, fingerprint, owner, started_s)"
    " VALUES (:actor, :key, :fingerprint, :owner, :now)"
    " ON CONFLICT (actor, idempotency_key) DO UPDATE SET fingerprint = excluded.fingerprint,"
    " owner = excluded.owner, started_s = excluded.started_s, status = NULL, headers = NULL, body = NULL"
    " WHERE idempotency_keys.started_s < :expired"
    " OR (idempotency_keys.status IS NULL AND idempotency_keys.started_s < :died"
    " AND idempotency_keys.fingerprint = excluded.fingerprint)"
    " RETURNING owner"
)
_FIND: Final = sa.text(
    "SELECT fingerprint, status, headers, body FROM idempotency_keys"
    " WHERE actor = :actor AND idempotency_key = :key"
)
_STORE: Final = sa.text(
    "UPDATE idempotency_keys SET status = :status, headers = :headers, body = :body"
    " WHERE actor = :actor AND idempotency_key = :key AND owner = :owner AND status IS NULL"
)
_RELEASE: Final = sa.text(
    "DELETE FROM idempotency_keys"
    " WHERE actor = :actor AND idempotency_key = :key AND owner = :owner AND status IS NULL"
)
_CLEAR: Final = sa.text(
    "DELETE FROM idempotency_keys WHERE (actor, idempotency_key) IN (SELECT actor, idempotency_key"
    " FROM idempotency_keys WHERE started_s < :expired ORDER BY started_s LIMIT :at_once)"
)


class IdempotencyKeys:
    """The table `idempotency_keys`."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def take(self, actor: str, key: str, of: bytes) -> Taken | Answer:
        """Take the key, or the answer that was given under it. Raises OtherRequest, StillRunning."""
        now = int(self._clock())
        owner = uuid4().hex
        asked = {"actor": actor, "key": key}
        expired = now - KEPT_S
        with self._database.write() as connection:
            values = {"fingerprint": of, "owner": owner, "now": now, "died": now - RUNNING_S_MAX}
            if connection.execute(_TAKE, {**asked, **values, "expired": expired}).first() is not None:
                connection.execute(_CLEAR, {"expired": expired, "at_once": CLEARED_AT_ONCE})
                return Taken(actor, key, owner)
            kept, status, headers, body = connection.execute(_FIND, asked).one()
        if bytes(kept) != of:
            raise OtherRequest(key)
        if status is None:
            raise StillRunning(key)
        said = msgspec.json.decode(headers, type=dict[str, str])
        return Answer(status, said, zlib.decompress(bytes(body)))

    def store(self, taken: Taken, answer: Answer) -> None:
        """Keep the answer."""
        values = {
            "status": answer.status,
            "headers": msgspec.json.encode(answer.headers).decode(),
            "body": zlib.compress(answer.body, 1),
        }
        with self._database.write() as connection:
            connection.execute(_STORE, {**taken._asdict(), **values})

    def release(self, taken: Taken) -> None:
        """Forget the key: its request came to nothing."""
        with self._database.write() as connection:
            connection.execute(_RELEASE, taken._asdict())
