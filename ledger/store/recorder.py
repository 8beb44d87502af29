"""Our own recorder: appends many streams in one locked transaction and answers which ids were new."""

import sqlite3
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, cast
from uuid import UUID

import sqlalchemy as sa
from eventsourcing.persistence import (
    ApplicationRecorder,
    IntegrityError,
    Notification,
    StoredEvent,
    Subscription,
)

from ledger.store.database import Database, driver

Unit = Sequence[StoredEvent]
"""Events that are stored all or none."""
Key = tuple[int, int]
"""A stream's id as a number, which hashes natively where a UUID does not, and a version."""
Row = tuple[UUID, int, str, bytes, int]
"""originator_id, originator_version, topic, state, notification_id."""

_COLUMNS: Final = "originator_id, originator_version, topic, state, notification_id"
READ_CHUNK: Final = 500
"""How many streams one statement asks for."""


def key_of(event: StoredEvent) -> Key:
    """Where an event stands."""
    return cast(UUID, event.originator_id).int, event.originator_version


class _Raced(Exception):
    """Rolls a transaction back that had to store all of its units."""


class EventRecorder(ApplicationRecorder):
    """What both databases share. A unit with a version that is taken is left out, and said so."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def append(
        self,
        units: Sequence[Unit],
        within: Callable[[sa.Connection], None] | None = None,
    ) -> list[list[int] | None]:
        """Store units in one transaction; per unit the new positions, or None where it lost a race.

        Writers exclude each other from before the first position is drawn until the commit, so positions
        are handed out in commit order and a reader that tails the log never skips one. `within` runs in
        the same transaction after the inserts; then it is all units or none, and an error stores nothing.
        """
        try:
            return self._append(units, within)
        except _Raced:
            return [None] * len(units)

    def _append(
        self, units: Sequence[Unit], within: Callable[[sa.Connection], None] | None
    ) -> list[list[int] | None]:
        with self.database.write() as connection:
            self._lock(connection)
            # With `within` a version that is taken undoes everything, so the inserts tell soon enough.
            taken = self._taken(connection, units) if within is None else set()
            accepted = [self._accept(unit, taken) for unit in units]
            events = [event for unit, ok in zip(units, accepted, strict=True) if ok for event in unit]
            inserted = iter(self._insert(connection, events) if events else [])
            outcome = [
                self._all_or_none([next(inserted) for _ in unit]) if ok else None
                for unit, ok in zip(units, accepted, strict=True)
            ]
            if within is not None:
                if None in outcome:
                    raise _Raced
                within(connection)
        return outcome

    @staticmethod
    def _accept(unit: Unit, taken: set[Key]) -> bool:
        """Whether none of a unit's keys is taken; from now on they are."""
        keys = [key_of(event) for event in unit]
        if not taken.isdisjoint(keys):
            return False
        taken.update(keys)
        return True

    @staticmethod
    def _all_or_none(positions: list[int | None]) -> list[int] | None:
        return None if None in positions else cast("list[int]", positions)

    def _taken(self, connection: sa.Connection, units: Sequence[Unit]) -> set[Key]:
        """Which keys of units of several events are stored already: a single event tells by its insert."""
        events = [event for unit in units if len(unit) > 1 for event in unit]
        return self._existing(connection, events) if events else set()

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """The library's way in: all or nothing. Raises IntegrityError when a version is taken."""
        if not stored_events:
            return []
        positions = self.append([stored_events])[0]
        if positions is None:
            raise IntegrityError("a version of a stream is taken")
        return positions

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """One stream's events by version, with their positions."""
        conditions = ["originator_id = :id"]
        parameters: dict[str, Any] = {"id": self._id(cast(UUID, originator_id)), "gt": gt, "lte": lte}
        if gt is not None:
            conditions.append("originator_version > :gt")
        if lte is not None:
            conditions.append("originator_version <= :lte")
        order = "DESC" if desc else "ASC"
        tail = "" if limit is None else f" LIMIT {int(limit)}"
        statement = (
            f"SELECT {_COLUMNS} FROM stored_events WHERE {' AND '.join(conditions)}"
            f" ORDER BY originator_version {order}{tail}"
        )
        with self.database.read() as connection:
            return self._notifications(connection.execute(sa.text(statement), parameters))

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """The log by position, as the library asks for it."""
        first = 0 if start is None else start - 1 if inclusive_of_start else start
        with self.database.read() as connection:
            rows = self.read_log(connection, after=first, limit=limit, stop=stop, topics=topics)
        return self._notifications(rows)

    @staticmethod
    def _notifications(rows: Iterable[Any]) -> list[Notification]:
        return [
            Notification(
                originator_id=stream if isinstance(stream, UUID) else UUID(stream),
                originator_version=version,
                topic=topic,
                state=bytes(state),
                id=position,
            )
            for stream, version, topic, state, position in rows
        ]

    def max_notification_id(self) -> int | None:
        """The last position of the log; None while it is empty."""
        with self.database.read() as connection:
            return self.head(connection) or None

    def head(self, connection: sa.Connection) -> int:
        """The last position of the log as this transaction sees it; 0 while it is empty."""
        statement = sa.text("SELECT coalesce(max(notification_id), 0) FROM stored_events")
        return int(connection.execute(statement).scalar_one())

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> Subscription[ApplicationRecorder]:
        """Refused: readers poll (a NOTIFY in each transaction costs more than it saves, see the design)."""
        raise IntegrityError("this store has no subscriptions: poll select_notifications")

    @abstractmethod
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

    @abstractmethod
    def read_streams(
        self, connection: sa.Connection, ids: Sequence[UUID], *, until: int | None = None
    ) -> list[Row]:
        """Raw rows of many streams, by stream and version; those up to the position `until` only."""

    @abstractmethod
    def read_tails(self, connection: sa.Connection, versions: Mapping[UUID, int]) -> list[Row]:
        """Raw rows of many streams behind the version given for each, by stream and version."""

    @abstractmethod
    def _id(self, stream_id: UUID) -> Any: ...

    @abstractmethod
    def _lock(self, connection: sa.Connection) -> None: ...

    @abstractmethod
    def _existing(self, connection: sa.Connection, events: list[StoredEvent]) -> set[Key]:
        """The keys of these events that are stored."""

    @abstractmethod
    def _insert(self, connection: sa.Connection, events: list[StoredEvent]) -> list[int | None]:
        """Store events, their keys all different; the position of each, None where its key was taken."""


class PostgresRecorder(EventRecorder):
    """On PostgreSQL: one array statement under the library's table lock."""

    def _id(self, stream_id: UUID) -> Any:
        return stream_id

    def _lock(self, connection: sa.Connection) -> None:
        # LOCK TABLE … EXCLUSIVE lets readers pass and makes writers wait: positions come in the order of
        # commits. The function lends the lock to a role that may only insert and select.
        driver(connection).execute("SELECT lock_stored_events()")

    def _existing(self, connection: sa.Connection, events: list[StoredEvent]) -> set[Key]:
        rows = driver(connection).execute(
            "SELECT originator_id, originator_version FROM stored_events"
            " JOIN unnest(%s::uuid[], %s::bigint[]) AS asked(id, version)"
            " ON originator_id = id AND originator_version = version",
            ([e.originator_id for e in events], [e.originator_version for e in events]),
        )
        return {(stream.int, version) for stream, version in rows}

    def _insert(self, connection: sa.Connection, events: list[StoredEvent]) -> list[int | None]:
        cursor = driver(connection).cursor(binary=True)
        cursor.execute(
            "INSERT INTO stored_events (originator_id, originator_version, topic, state)"
            " SELECT * FROM unnest(%b::uuid[], %b::bigint[], %b::text[], %b::bytea[])"
            " ON CONFLICT DO NOTHING RETURNING notification_id",
            (
                [e.originator_id for e in events],
                [e.originator_version for e in events],
                [e.topic for e in events],
                [e.state for e in events],
            ),
        )
        positions = [row[0] for row in cursor.fetchall()]
        if len(positions) == len(events):
            return positions  # rows go in as they stand in the arrays, and come back in that order
        cursor.execute(
            "SELECT originator_id, originator_version, notification_id FROM stored_events"
            " WHERE notification_id = ANY(%b)",
            (positions,),
        )
        found = {(stream.int, version): position for stream, version, position in cursor.fetchall()}
        return [found.get(key_of(event)) for event in events]

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
        conditions = "notification_id > %s" + (" AND notification_id <= %s" if stop is not None else "")
        parameters: list[Any] = [after, *([stop] if stop is not None else [])]
        if topics:
            conditions += " AND topic = ANY(%s)"
            parameters.append(list(topics))
        cursor = driver(connection).cursor(binary=True)
        cursor.execute(
            f"SELECT {_COLUMNS} FROM stored_events WHERE {conditions} ORDER BY notification_id LIMIT %s",
            [*parameters, limit],
        )
        return cast("list[Row]", cursor.fetchall())

    def read_streams(
        self, connection: sa.Connection, ids: Sequence[UUID], *, until: int | None = None
    ) -> list[Row]:
        """Raw rows of many streams, by stream and version; those up to the position `until` only."""
        cursor = driver(connection).cursor(binary=True)
        cursor.execute(
            f"SELECT {_COLUMNS} FROM stored_events WHERE originator_id = ANY(%s)"
            " AND notification_id <= coalesce(%s::bigint, 9223372036854775807)"
            " ORDER BY originator_id, originator_version",
            (list(ids), until),
        )
        return cast("list[Row]", cursor.fetchall())

    def read_tails(self, connection: sa.Connection, versions: Mapping[UUID, int]) -> list[Row]:
        """Raw rows of many streams behind the version given for each, by stream and version."""
        cursor = driver(connection).cursor(binary=True)
        cursor.execute(
            f"SELECT {_COLUMNS} FROM unnest(%s::uuid[], %s::bigint[]) AS asked(id, version)"
            " JOIN stored_events ON originator_id = id AND originator_version > version"
            " ORDER BY originator_id, originator_version",
            (list(versions), list(versions.values())),
        )
        return cast("list[Row]", cursor.fetchall())


class SqliteRecorder(EventRecorder):
    """On SQLite: BEGIN IMMEDIATE is the lock; ids are 32 hexadecimal digits."""

    def _id(self, stream_id: UUID) -> Any:
        return stream_id.hex

    def _lock(self, connection: sa.Connection) -> None:
        """Nothing to do: the transaction began IMMEDIATE, so there is one writer."""

    def _existing(self, connection: sa.Connection, events: list[StoredEvent]) -> set[Key]:
        raw: sqlite3.Connection = driver(connection)
        statement = "SELECT 1 FROM stored_events WHERE originator_id = ? AND originator_version = ?"
        return {
            key_of(e)
            for e in events
            if raw.execute(statement, (cast(UUID, e.originator_id).hex, e.originator_version)).fetchone()
        }

    def _insert(self, connection: sa.Connection, events: list[StoredEvent]) -> list[int | None]:
        # The only writer hands out the positions itself: one statement for all rows, nothing to ask back.
        raw: sqlite3.Connection = driver(connection)
        last = raw.execute("SELECT seq FROM sqlite_sequence WHERE name = 'stored_events'").fetchone()
        first = last[0] + 1 if last else 1
        inserted = raw.executemany(
            "INSERT INTO stored_events (notification_id, originator_id, originator_version, topic, state)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [
                (position, cast(UUID, e.originator_id).hex, e.originator_version, e.topic, e.state)
                for position, e in enumerate(events, first)
            ],
        )
        positions = range(first, first + len(events))
        if inserted.rowcount == len(events):
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
            f"SELECT {_COLUMNS} FROM stored_events WHERE {conditions} ORDER BY notification_id LIMIT ?",
            [*parameters, limit],
        )
        return [(UUID(row[0]), *row[1:]) for row in rows]

    def read_streams(
        self, connection: sa.Connection, ids: Sequence[UUID], *, until: int | None = None
    ) -> list[Row]:
        """Raw rows of many streams, by stream and version; those up to the position `until` only."""
        raw: sqlite3.Connection = driver(connection)
        last = 2**63 - 1 if until is None else until
        found: list[Row] = []
        for start in range(0, len(ids), READ_CHUNK):
            chunk = [stream.hex for stream in ids[start : start + READ_CHUNK]]
            rows = raw.execute(
                f"SELECT {_COLUMNS} FROM stored_events WHERE originator_id IN ({', '.join('?' * len(chunk))})"
                " AND notification_id <= ? ORDER BY originator_id, originator_version",
                [*chunk, last],
            )
            found.extend((UUID(row[0]), *row[1:]) for row in rows)
        return found

    def read_tails(self, connection: sa.Connection, versions: Mapping[UUID, int]) -> list[Row]:
        """Raw rows of many streams behind the version given for each, by stream and version."""
        raw: sqlite3.Connection = driver(connection)
        statement = (
            f"SELECT {_COLUMNS} FROM stored_events WHERE originator_id = ? AND originator_version > ?"
            " ORDER BY originator_version"
        )
        return [
            (UUID(row[0]), *row[1:])
            for stream, version in versions.items()
            for row in raw.execute(statement, (stream.hex, version))
        ]


def make_recorder(database: Database) -> EventRecorder:
    """The recorder for this database."""
    return PostgresRecorder(database) if database.is_postgresql else SqliteRecorder(database)
