"""The recorder on SQLite: BEGIN IMMEDIATE is the lock; ids are 32 hexadecimal digits."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast
from uuid import UUID

import sqlalchemy as sa

from ledger.store.database import driver
from ledger.store.event_recorder import COLUMNS, AnyEvent, EventRecorder, Key, Row, key_of

_ROWS: Final = (500, 50, 5, 1)
"""How many rows one statement inserts. Each statement costs the thread a turn under the interpreter's lock,
so a group is written with few of them; few sizes, so that each is prepared once."""
_INSERT: Final = {
    size: "INSERT INTO stored_events (notification_id, originator_id, originator_version, topic, state)"
    f" VALUES {', '.join(['(?, ?, ?, ?, ?)'] * size)} ON CONFLICT DO NOTHING"
    for size in _ROWS
}


class SqliteRecorder(EventRecorder):
    """The one writer hands out the positions itself."""

    def _id(self, stream_id: UUID) -> Any:
        return stream_id.hex

    def _lock(self, connection: sa.Connection) -> None:
        """Nothing to do: the transaction began IMMEDIATE, so there is one writer."""

    def _existing(self, connection: sa.Connection, events: Sequence[AnyEvent]) -> set[Key]:
        raw: sqlite3.Connection = driver(connection)
        statement = "SELECT 1 FROM stored_events WHERE originator_id = ? AND originator_version = ?"
        return {
            key_of(e)
            for e in events
            if raw.execute(statement, (cast(UUID, e.originator_id).hex, e.originator_version)).fetchone()
        }

    def _insert(self, connection: sa.Connection, events: Sequence[AnyEvent]) -> list[int | None]:
        # The only writer hands out the positions itself: nothing to ask back.
        raw: sqlite3.Connection = driver(connection)
        last = raw.execute("SELECT seq FROM sqlite_sequence WHERE name = 'stored_events'").fetchone()
        first = last[0] + 1 if last else 1
        positions = range(first, first + len(events))
        inserted = 0
        start = 0
        for size in _ROWS:
            while len(events) - start >= size:
                values: list[Any] = []
                for position, e in enumerate(events[start : start + size], first + start):
                    id_ = cast(UUID, e.originator_id).hex
                    values += (position, id_, e.originator_version, e.topic, e.state)
                inserted += raw.execute(_INSERT[size], values).rowcount
                start += size
        if inserted == len(events):
            return list(positions)
        rows = raw.execute("SELECT notification_id FROM stored_events WHERE notification_id >= ?", (first,))
        stored = {row[0] for row in rows}
        return [position if position in stored else None for position in positions]

    def read_log(
        self,
        connection: sa.Connection,
        *,
        after: int,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
    ) -> list[Row]:
        """Raw rows of the log behind a position, in order."""
        conditions = "notification_id > ?" + (" AND notification_id <= ?" if stop is not None else "")
        parameters: list[Any] = [after, *([stop] if stop is not None else []), *topics]
        if topics:
            conditions += f" AND topic IN ({', '.join('?' * len(topics))})"
        rows = driver(connection).execute(
            f"SELECT {COLUMNS} FROM stored_events WHERE {conditions} ORDER BY notification_id LIMIT ?",
            [*parameters, limit],
        )
        return [(UUID(row[0]), *row[1:]) for row in rows]

    def read_streams(
        self, connection: sa.Connection, ids: Sequence[UUID], *, until: int | None = None
    ) -> list[Row]:
        """Raw rows of many streams, by stream and version; those up to the position `until` only."""
        raw: sqlite3.Connection = driver(connection)
        rows = raw.execute(
            f"SELECT {COLUMNS} FROM stored_events WHERE originator_id IN (SELECT value FROM json_each(?))"
            " AND notification_id <= ? ORDER BY originator_id, originator_version",
            (json.dumps([stream.hex for stream in ids]), 2**63 - 1 if until is None else until),
        )
        return [(UUID(row[0]), *row[1:]) for row in rows]

    def read_tails(self, connection: sa.Connection, versions: Mapping[UUID, int]) -> list[Row]:
        """Raw rows of many streams behind the version given for each, by stream and version."""
        raw: sqlite3.Connection = driver(connection)
        statement = (
            f"SELECT {COLUMNS} FROM stored_events WHERE originator_id = ? AND originator_version > ?"
            " ORDER BY originator_version"
        )
        return [
            (UUID(row[0]), *row[1:])
            for stream, version in versions.items()
            for row in raw.execute(statement, (stream.hex, version))
        ]
