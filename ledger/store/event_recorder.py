"""Our own recorder, what both databases share: appends many streams in one locked transaction."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, cast
from uuid import UUID

import msgspec
import sqlalchemy as sa
from eventsourcing.persistence import (
    ApplicationRecorder,
    IntegrityError,
    Notification,
    StoredEvent,
    Subscription,
)

from ledger.store.database import Database


class NewEvent(msgspec.Struct, gc=False):
    """An event on its way into the store: as the library's StoredEvent, made in a tenth of its time."""

    originator_id: UUID
    originator_version: int
    topic: str
    state: bytes


AnyEvent = StoredEvent | NewEvent
Unit = Sequence[AnyEvent]
"""Events that are stored all or none."""
Key = tuple[int, int]
"""A stream's id as a number, which hashes natively where a UUID does not, and a version."""
Row = tuple[UUID, int, str, bytes, int]
"""originator_id, originator_version, topic, state, notification_id."""

COLUMNS: Final = "originator_id, originator_version, topic, state, notification_id"


def key_of(event: AnyEvent) -> Key:
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
        *,
        before: Callable[[sa.Connection], None] | None = None,
    ) -> list[list[int] | None]:
        """Store units in one transaction; per unit the new positions, or None where it lost a race.

        Writers exclude each other from before the first position is drawn until the commit, so positions
        are handed out in commit order and a reader that tails the log never skips one. `within` runs in
        the same transaction after the inserts; then it is all units or none, and an error stores nothing.
        So with `before`, which runs ahead of the lock: what needs no lock keeps no other writer waiting.
        """
        if within is None and before is None and all(len(unit) == 1 for unit in units):
            return self._append_singles([unit[0] for unit in units])
        try:
            return self._append(units, within, before)
        except _Raced:
            return [None] * len(units)

    def _append_singles(self, events: Sequence[AnyEvent]) -> list[list[int] | None]:
        """Events that stand for themselves: the insert alone tells which were new."""
        if len({cast(UUID, event.originator_id).int for event in events}) == len(events):
            return [None if position is None else [position] for position in self._insert_alone(events)]
        first: dict[Key, AnyEvent] = {}
        for event in events:
            first.setdefault(key_of(event), event)
        positions = dict(zip(first, self._insert_alone(list(first.values())), strict=True))
        # Of two with one key the first is stored, and the second lost to it.
        return [
            [position]
            if first[key_of(event)] is event and (position := positions[key_of(event)]) is not None
            else None
            for event in events
        ]

    def _append(
        self,
        units: Sequence[Unit],
        within: Callable[[sa.Connection], None] | None,
        before: Callable[[sa.Connection], None] | None,
    ) -> list[list[int] | None]:
        together = within is not None or before is not None
        with self.database.write() as connection:
            if before is not None:
                before(connection)
            if within is not None or any(units):
                self._lock(connection)
            # Where all are stored or none, a version that is taken undoes everything: the inserts tell soon
            # enough.
            taken = set() if together else self._taken(connection, units)
            accepted = [self._accept(unit, taken) for unit in units]
            events = [event for unit, ok in zip(units, accepted, strict=True) if ok for event in unit]
            inserted = iter(self._insert(connection, events) if events else [])
            outcome = [
                self._all_or_none([next(inserted) for _ in unit]) if ok else None
                for unit, ok in zip(units, accepted, strict=True)
            ]
            if together and None in outcome:
                raise _Raced
            if within is not None:
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

    def insert_events(self, stored_events: Sequence[AnyEvent], **kwargs: Any) -> Sequence[int] | None:
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
        parameters: dict[str, Any] = {"id": self._id(cast(UUID, originator_id))}
        parameters |= {name: value for name, value in (("gt", gt), ("lte", lte)) if value is not None}
        statement = _stream(gt=gt is not None, lte=lte is not None, desc=desc, limit=limit)
        with self.database.read() as connection:
            return self._notifications(connection.execute(statement, parameters))

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

    def read_at(self, connection: sa.Connection, positions: Sequence[int]) -> list[Row]:
        """Raw rows of the log at these positions, in order; a few hundred at a time."""
        asked = sa.bindparam("positions", list(positions), sa.BigInteger, expanding=True)
        statement = sa.text(
            f"SELECT {COLUMNS} FROM stored_events WHERE notification_id IN :positions"
            " ORDER BY notification_id"
        )
        return _rows(connection.execute(statement.bindparams(asked)))

    def read_span(self, connection: sa.Connection, stream_id: UUID, *, after: int, until: int) -> list[Row]:
        """Raw rows of one stream behind a version, up to another one, in order."""
        asked = {"id": self._id(stream_id), "gt": after, "lte": until}
        return _rows(connection.execute(_stream(gt=True, lte=True, desc=False, limit=None), asked))

    def holds(self, connection: sa.Connection, versions: Mapping[UUID, int]) -> bool:
        """Whether each stream has an event of the version given for it, as this transaction sees it."""
        asked = [NewEvent(stream, version, "", b"") for stream, version in versions.items()]
        return len(self._existing(connection, asked)) == len(asked)

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
    def _existing(self, connection: sa.Connection, events: Sequence[AnyEvent]) -> set[Key]:
        """The keys of these events that are stored."""

    @abstractmethod
    def _insert(self, connection: sa.Connection, events: Sequence[AnyEvent]) -> list[int | None]:
        """Store events, their keys all different; the position of each, None where its key was taken."""

    def _insert_alone(self, events: Sequence[AnyEvent]) -> list[int | None]:
        """As `_insert`, under the lock, in a transaction of its own."""
        with self.database.write() as connection:
            self._lock(connection)
            return self._insert(connection, events)


def _rows(found: Iterable[Any]) -> list[Row]:
    """What SQLAlchemy found as the drivers' own ways of reading give it."""
    return [
        (stream if isinstance(stream, UUID) else UUID(stream), version, topic, bytes(state), position)
        for stream, version, topic, state, position in found
    ]


@cache
def _stream(*, gt: bool, lte: bool, desc: bool, limit: int | None) -> sa.TextClause:
    """What reads one stream; built once, since every decision begins with it."""
    conditions = ["originator_id = :id"]
    if gt:
        conditions.append("originator_version > :gt")
    if lte:
        conditions.append("originator_version <= :lte")
    order = "DESC" if desc else "ASC"
    tail = "" if limit is None else f" LIMIT {int(limit)}"
    return sa.text(
        f"SELECT {COLUMNS} FROM stored_events WHERE {' AND '.join(conditions)}"
        f" ORDER BY originator_version {order}{tail}"
    )
