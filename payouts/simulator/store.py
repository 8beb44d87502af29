"""The stand-in's durable store: one SQLite file with objects, books and idempotency keys.

The tables are made here, not by alembic: that owns revshare's tables, and this store plays another company's.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from payouts.simulator import books
from payouts.simulator.settings import Settings

Body = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS object (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    owner TEXT NOT NULL,
    created INTEGER NOT NULL,
    listed INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (id, kind)
);
CREATE INDEX IF NOT EXISTS object_in_list ON object (kind, owner, seq);
CREATE INDEX IF NOT EXISTS object_in_group
    ON object (kind, owner, json_extract(body, '$.transfer_group'), seq);
CREATE INDEX IF NOT EXISTS transaction_by_source ON object (json_extract(body, '$.source'))
    WHERE kind = 'balance_transaction';
CREATE TABLE IF NOT EXISTS idempotency (
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    request_id TEXT NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS due (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    what TEXT NOT NULL,
    about TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS due_in_order ON due (at, seq);
CREATE TABLE IF NOT EXISTS paid_out (
    payout TEXT NOT NULL,
    transfer_leg TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS paid_out_by_payout ON paid_out (payout);
CREATE TABLE IF NOT EXISTS delivery (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint TEXT NOT NULL,
    event TEXT NOT NULL,
    payload TEXT NOT NULL,
    trick TEXT NOT NULL,
    first INTEGER NOT NULL,
    at INTEGER,
    attempts INTEGER NOT NULL,
    status TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS delivery_in_order ON delivery (at, seq) WHERE at IS NOT NULL;
CREATE TABLE IF NOT EXISTS told (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
# Files of before there was a `listed` column, and one id was one object.
_LAYOUT = 1
_FROM_FIRST_LAYOUT = """
ALTER TABLE object RENAME TO object_before;
DROP INDEX object_in_list;
DROP INDEX object_in_group;
{schema}
INSERT INTO object (seq, id, kind, owner, created, listed, body)
    SELECT seq, id, kind, owner, created, created, body FROM object_before;
DROP TABLE object_before;
"""


class StoredAnswer(NamedTuple):
    """The first answer to an idempotency key."""

    fingerprint: str
    status: int
    body: str
    request_id: str
    created: int


class Transaction:
    """What can be done with the store inside one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def add(self, owner: str, body: Body, listed: int, *, created: int | None = None) -> None:
        """Store a new object, of the kind and id that its body says; lists show it from `listed` on."""
        since = body["created"] if created is None else created
        self.connection.execute(
            "INSERT INTO object (id, kind, owner, created, listed, body) VALUES (?, ?, ?, ?, ?, ?)",
            (body["id"], body["object"], owner, since, listed, _dumps(body)),
        )

    def replace(self, body: Body) -> None:
        """Store an object's new state under its id."""
        changed = self.connection.execute(
            "UPDATE object SET body = ? WHERE id = ? AND kind = ?", (_dumps(body), body["id"], body["object"])
        ).rowcount
        assert changed == 1, f"{body['id']} is not stored"

    def get(self, kind: str, owner: str, identifier: str) -> Body | None:
        """An object of the owner's, or None."""
        row = self.connection.execute(
            "SELECT body FROM object WHERE id = ? AND kind = ? AND owner = ?", (identifier, kind, owner)
        ).fetchone()
        return None if row is None else _loads(row[0])

    def find(self, kind: str, identifier: str) -> tuple[str, Body] | None:
        """An object and its owner, whoever that is."""
        row = self.connection.execute(
            "SELECT owner, body FROM object WHERE id = ? AND kind = ?", (identifier, kind)
        ).fetchone()
        return None if row is None else (row[0], _loads(row[1]))

    def position(self, kind: str, owner: str, identifier: str) -> int | None:
        """Where an object stands in the order of creation, or None when the owner has none such."""
        row = self.connection.execute(
            "SELECT seq FROM object WHERE id = ? AND kind = ? AND owner = ?", (identifier, kind, owner)
        ).fetchone()
        return None if row is None else int(row[0])

    def select(
        self, kind: str, owner: str, where: Mapping[str, Any], *, oldest_first: bool, limit: int
    ) -> list[Body]:
        """Objects by conditions: SQL with one `?` -> its value. That SQL is all written in this package."""
        found = self.select_placed(kind, owner, where, oldest_first=oldest_first, limit=limit)
        return [body for _seq, body in found]

    def select_placed(
        self, kind: str, owner: str, where: Mapping[str, Any], *, oldest_first: bool = False, limit: int
    ) -> list[tuple[int, Body]]:
        """The same, each with its place in the order of creation."""
        conditions = ["kind = ?", "owner = ?", *where]
        order = "ASC" if oldest_first else "DESC"
        query = f"SELECT seq, body FROM object WHERE {' AND '.join(conditions)} ORDER BY seq {order} LIMIT ?"
        rows = self.connection.execute(query, (kind, owner, *where.values(), limit))
        return [(seq, _loads(body)) for seq, body in rows]

    def answer_of(self, owner: str, key: str) -> StoredAnswer | None:
        """The answer stored under an idempotency key, or None."""
        row = self.connection.execute(
            "SELECT fingerprint, status, body, request_id, created FROM idempotency"
            " WHERE owner = ? AND key = ?",
            (owner, key),
        ).fetchone()
        return None if row is None else StoredAnswer(*row)

    def keep_answer(self, owner: str, key: str, answer: StoredAnswer) -> None:
        """Store the answer under its key; one that was pruned before gives way."""
        self.connection.execute(
            "INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?, ?, ?)", (owner, key, *answer)
        )

    def schedule(self, at: int, what: str, about: str) -> None:
        """Something will happen to an object then."""
        self.connection.execute("INSERT INTO due (at, what, about) VALUES (?, ?, ?)", (at, what, about))

    def next_due(self, never: int) -> int:
        """When the next thing is due."""
        return int(self.connection.execute("SELECT coalesce(min(at), ?) FROM due", (never,)).fetchone()[0])

    def take_due(self, now: int) -> tuple[int, str, str] | None:
        """The first thing that is due by now: when it was, what happens, and to which object."""
        row: tuple[int, str, str] | None = self.connection.execute(
            "DELETE FROM due WHERE seq = (SELECT seq FROM due WHERE at <= ? ORDER BY at, seq LIMIT 1)"
            " RETURNING at, what, about",
            (now,),
        ).fetchone()
        return row

    def settings(self) -> Settings:
        """What the stand-in was told about how to behave."""
        row = self.connection.execute("SELECT value FROM told WHERE name = 'settings'").fetchone()
        return Settings() if row is None else msgspec.json.decode(row[0], type=Settings)

    def keep_settings(self, settings: Settings) -> None:
        """Remember how to behave."""
        self.remember("settings", msgspec.json.encode(settings).decode())

    def remember(self, name: str, value: str) -> None:
        """Keep a text under a name."""
        self.connection.execute("INSERT OR REPLACE INTO told VALUES (?, ?)", (name, value))

    def recall(self, name: str) -> str | None:
        """The text kept under a name."""
        row = self.connection.execute("SELECT value FROM told WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A part of the transaction that leaves nothing behind when it raises."""
        self.connection.execute("SAVEPOINT attempt")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK TO attempt")
            raise
        finally:
            self.connection.execute("RELEASE attempt")


class Store:
    """The file: one writer at a time, any number of readers beside it (WAL), every commit on the disk."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._writing = threading.Lock()
        self._writer = self._connect()
        self._make_tables()
        self._idle_readers: list[sqlite3.Connection] = []

    def _make_tables(self) -> None:
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        before = self._writer.execute("SELECT count(*) FROM sqlite_master WHERE name = 'object'").fetchone()[
            0
        ]
        schema = SCHEMA + books.SCHEMA
        if before and version < _LAYOUT:
            schema = _FROM_FIRST_LAYOUT.format(schema=schema)
        self._writer.executescript(f"BEGIN IMMEDIATE; {schema} PRAGMA user_version = {_LAYOUT}; COMMIT")

    def _connect(self) -> sqlite3.Connection:
        # Used by one thread at a time, but not always the same one.
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction that is on the disk when the block ends, and undone when it raises."""
        with self._writing:
            # IMMEDIATE: a deferred transaction that turns writer fails at once with "database is locked".
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield Transaction(self._writer)
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """One unchanging view of everything committed so far."""
        try:
            connection = self._idle_readers.pop()
        except IndexError:
            connection = self._connect()
        connection.execute("BEGIN")
        try:
            yield Transaction(connection)
        finally:
            connection.execute("ROLLBACK")
            self._idle_readers.append(connection)

    def close(self) -> None:
        """Waits for the writer's commit, then closes the file."""
        with self._writing:
            self._writer.close()
        while self._idle_readers:
            self._idle_readers.pop().close()


class MemoryStore(Store):
    """The same in memory, over one connection, for one thread at a time. `reset` empties it."""

    def __init__(self) -> None:
        self._writer = self._connect()
        self._writer.executescript(SCHEMA + books.SCHEMA)
        self._empty = self._writer.serialize()
        self._image, self._template = b"", self._connect()

    @staticmethod
    def _connect() -> sqlite3.Connection:
        return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)

    def reset(self, image: bytes | None = None) -> None:
        """As it was when it was made, or when the image was taken.

        Page by page: after `deserialize` SQLite 3.40 may look for a schema that is gone where a statement
        asks `json_each` as one did before, and crash.
        """
        content = self._empty if image is None else image
        if content is not self._image:
            self._image, self._template = content, self._connect()
            self._template.deserialize(content)
        self._template.backup(self._writer)

    def image(self) -> bytes:
        """Everything stored now, for `reset`."""
        return self._writer.serialize()

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction that is undone when the block raises."""
        self._writer.execute("BEGIN")
        try:
            yield Transaction(self._writer)
            self._writer.execute("COMMIT")
        except BaseException:
            self._writer.execute("ROLLBACK")
            raise

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Everything stored so far; nobody else can write meanwhile."""
        yield Transaction(self._writer)

    def close(self) -> None:
        """Forget everything."""
        self._writer.close()


def _dumps(body: Body) -> str:
    return msgspec.json.encode(body).decode()


def _loads(text: str) -> Body:
    body: Body = msgspec.json.decode(text)
    return body
