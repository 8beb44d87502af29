"""The recorder on PostgreSQL: one array statement under the log's lock."""

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

import sqlalchemy as sa

from ledger.store import arrays
from ledger.store.database import driver
from ledger.store.event_recorder import COLUMNS, AnyEvent, EventRecorder, Key, Row, key_of


class PostgresRecorder(EventRecorder):
    """Positions come from a sequence, drawn under the lock alone."""

    def _id(self, stream_id: UUID) -> Any:
        return stream_id

    def _lock(self, connection: sa.Connection) -> None:
        # Makes writers wait and nobody else: positions come in the order of commits. The function lends the
        # lock to a role that may only insert and select. Each insert takes it, too, but after the statement's
        # snapshot.
        driver(connection).execute("SELECT lock_stored_events()")

    def _existing(self, connection: sa.Connection, events: Sequence[AnyEvent]) -> set[Key]:
        rows = driver(connection).execute(
            "SELECT originator_id, originator_version FROM stored_events"
            " JOIN unnest(%s::uuid[], %s::bigint[]) AS asked(id, version)"
            " ON originator_id = id AND originator_version = version",
            ([e.originator_id for e in events], [e.originator_version for e in events]),
        )
        return {(stream.int, version) for stream, version in rows}

    def _insert(self, connection: sa.Connection, events: Sequence[AnyEvent]) -> list[int | None]:
        return self._insert_by(
            connection,
            "INSERT INTO stored_events (originator_id, originator_version, topic, state)"
            " SELECT * FROM unnest(%b, %b, %b, %b)"
            " ON CONFLICT DO NOTHING RETURNING notification_id",
            events,
        )

    def _insert_alone(self, events: Sequence[AnyEvent]) -> list[int | None]:
        # One way there and back: while the lock is held, nobody waits for this process to have its turn.
        with self.database.glance() as connection:
            return self._insert_by(
                connection,
                "SELECT append_stored_events(%b, %b, %b, %b)",
                events,
            )

    @staticmethod
    def _insert_by(connection: sa.Connection, statement: str, events: Sequence[AnyEvent]) -> list[int | None]:
        cursor = driver(connection).cursor(binary=True)
        cursor.execute(
            statement,
            (
                arrays.uuids([cast(UUID, e.originator_id) for e in events]),
                arrays.bigints([e.originator_version for e in events]),
                arrays.texts([e.topic for e in events]),
                arrays.byteas([e.state for e in events]),
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
            f"SELECT {COLUMNS} FROM stored_events WHERE {conditions} ORDER BY notification_id LIMIT %s",
            [*parameters, limit],
        )
        return cast("list[Row]", cursor.fetchall())

    def read_streams(
        self, connection: sa.Connection, ids: Sequence[UUID], *, until: int | None = None
    ) -> list[Row]:
        """Raw rows of many streams, by stream and version; those up to the position `until` only."""
        cursor = driver(connection).cursor(binary=True)
        cursor.execute(
            f"SELECT {COLUMNS} FROM stored_events WHERE originator_id = ANY(%s)"
            " AND notification_id <= coalesce(%s::bigint, 9223372036854775807)"
            " ORDER BY originator_id, originator_version",
            (list(ids), until),
        )
        return cast("list[Row]", cursor.fetchall())

    def read_tails(self, connection: sa.Connection, versions: Mapping[UUID, int]) -> list[Row]:
        """Raw rows of many streams behind the version given for each, by stream and version."""
        cursor = driver(connection).cursor(binary=True)
        cursor.execute(
            f"SELECT {COLUMNS} FROM unnest(%s::uuid[], %s::bigint[]) AS asked(id, version)"
            " JOIN stored_events ON originator_id = id AND originator_version > version"
            " ORDER BY originator_id, originator_version",
            (list(versions), list(versions.values())),
        )
        return cast("list[Row]", cursor.fetchall())
