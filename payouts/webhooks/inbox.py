"""The inbox: webhooks stored durably by their ids, taken by workers, finished, put off or left to a human."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import uuid4

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from ledger.refusals import IllegalTransition, NotFound
from ledger.store.database import Database
from payouts.webhooks.events import ProviderEvent, Subject
from payouts.webhooks.tables import webhook_events as table
from projections.columns import UtcTime
from projections.queries.paging import Page, filtered, page

Status = Literal["waiting", "done", "noted", "held", "dismissed"]
"""waiting: for a worker; done: it was heeded; noted: nothing of ours; held: for a human; dismissed by one."""
FINISHED: Final[tuple[Status, ...]] = ("done", "noted", "dismissed")
KEPT_FOR: Final = timedelta(days=30)
"""A provider sends an event again for three days; its events can be asked for for thirty."""
CLEARED_AT_ONCE: Final = 200
ADDED_AT_ONCE: Final = 500
REMINDER: Final = "ours-"
"""How the ids of reminders begin, which no provider sent."""
REASON_LENGTH_MAX: Final = 500
_c: Final = table.c
_SHOWN: Final = [column for column in table.columns if column.name not in ("body", "signature", "owner")]


# A worker asks for ever: what it always asks is built once.
_DUE: Final = (
    sa.select(_c.event_id)
    .where(_c.status == "waiting", _c.next_try_at <= sa.bindparam("now", type_=UtcTime()))
    .order_by(_c.next_try_at, _c.event_id)
    .limit(sa.bindparam("most", type_=sa.Integer()))
)
_DUE_LOCKED: Final = _DUE.with_for_update(skip_locked=True)
_AMONG: Final = _c.event_id.in_(sa.bindparam("ids", expanding=True))
_TAKE: Final = (
    table.update()
    .where(_AMONG)
    .values(
        attempts=_c.attempts + 1,
        next_try_at=sa.bindparam("until", type_=UtcTime()),
        owner=sa.bindparam("by"),
    )
)
_TAKEN: Final = sa.select(*_SHOWN).where(_AMONG).order_by(_c.received_at, _c.event_id)
_OLD: Final = (
    sa.select(_c.event_id)
    .where(_c.received_at < sa.bindparam("before", type_=UtcTime()), _c.status.in_(FINISHED))
    .limit(CLEARED_AT_ONCE)
)
_CLEAR: Final = table.delete().where(_c.event_id.in_(_OLD))


class Taken(msgspec.Struct, frozen=True):
    """An event that is ours to work on while `owner` stands in its row; `attempts` is this one's number."""

    event: ProviderEvent
    received_at: datetime
    attempts: int
    postponed: int
    owner: str


class Inbox:
    """The table `webhook_events`. Several processes may use it."""

    def __init__(self, database: Database, clock: Callable[[], datetime], *, livemode: bool = False) -> None:
        self._database = database
        self.livemode = livemode
        self._clock = clock

    def store(self, event: ProviderEvent, raw: bytes, signature: str) -> bool:
        """Store an event durably; False: it was there. On return it is committed."""
        return self._add([{**self._row(event), "body": raw, "signature": signature}]) == 1

    def remind(self, reminders: Sequence[tuple[Subject, str]]) -> int:
        """Store reminders of our own to look at things, each once by its name; how many are new.

        They are gone once they were heeded.
        """
        return self._add(
            [{**self._row(self._reminder(*one)), "body": b"", "signature": ""} for one in reminders]
        )

    def _reminder(self, subject: Subject, name: str) -> ProviderEvent:
        kinds = {"account": "account", "deliveries": "payout", "transfer": "transfer"}
        return ProviderEvent(
            event_id=f"{REMINDER}{name}-{subject.id}",
            kind=f"{kinds[subject.kind]}.{name.partition('.')[0]}",
            style="snapshot",
            object_id=subject.id,
            account=None if subject.kind == "transfer" else subject.id,
            livemode=self.livemode,
            created_at=self._clock(),
        )

    def _row(self, event: ProviderEvent) -> dict[str, Any]:
        now = self._clock()
        begun = {"status": "waiting", "attempts": 0, "postponed": 0}
        return {**msgspec.structs.asdict(event), "received_at": now, "next_try_at": now, **begun}

    def _add(self, new: Sequence[dict[str, Any]]) -> int:
        insert = postgresql.insert if self._database.is_postgresql else sqlite.insert
        added = 0
        if not new:  # an idle worker takes no lock
            return added
        with self._database.write() as connection:
            for start in range(0, len(new), ADDED_AT_ONCE):
                some = new[start : start + ADDED_AT_ONCE]
                # One row, as each webhook comes, goes as parameters: that statement is compiled once.
                statement = insert(table) if len(some) == 1 else insert(table).values(some)
                statement = statement.on_conflict_do_nothing(index_elements=["event_id"])
                given = some[0] if len(some) == 1 else None
                added += len(connection.execute(statement.returning(_c.event_id), given).all())
        return added

    def take(self, limit: int, lease: timedelta) -> list[Taken]:
        """The events that are due, longest waiting first; nobody else gets them before the lease ends."""
        now = self._clock()
        with self._database.read() as connection:  # an idle worker takes no lock
            if connection.execute(_DUE, {"now": now, "most": 1}).first() is None:
                return []
        with self._database.write() as connection:
            ids = list(connection.execute(_DUE_LOCKED, {"now": now, "most": limit}).scalars())
            if not ids:
                return []
            owner = uuid4().hex
            connection.execute(_TAKE, {"ids": ids, "until": now + lease, "by": owner})
            rows = connection.execute(_TAKEN, {"ids": ids}).mappings()
            return [_taken(row, owner) for row in rows]

    def finish(self, taken: Taken, status: Status, reason: str | None = None) -> None:
        """It was worked on, and that is what came of it. A reminder that was heeded is forgotten."""
        if taken.event.event_id.startswith(REMINDER) and status in FINISHED:
            with self._database.write() as connection:
                connection.execute(table.delete().where(*_mine(taken)))
            return
        self._update(taken, status=status, reason=_short(reason), finished_at=self._clock())

    def try_again(self, taken: Taken, after: timedelta, reason: str, *, postponed: bool) -> None:
        """Later. `postponed`: nothing was wrong with the event, so that the attempt does not count."""
        counted: dict[str, Any] = {"attempts": _c.attempts - 1, "postponed": _c.postponed + 1}
        self._update(
            taken,
            next_try_at=self._clock() + after,
            reason=_short(reason),
            **(counted if postponed else {}),
        )

    def _update(self, taken: Taken, **values: Any) -> None:
        with self._database.write() as connection:
            connection.execute(table.update().where(*_mine(taken)).values(owner=None, **values))

    def clear(self) -> int:
        """Forget some of what was finished long ago: how many."""
        with self._database.write() as connection:
            return connection.execute(_CLEAR, {"before": self._clock() - KEPT_FOR}).rowcount

    # The human's queue

    def put_back(self, event_id: str) -> None:
        """A human says: try it again from the beginning. Refuses what is not held."""
        values = {"status": "waiting", "attempts": 0, "postponed": 0, "next_try_at": self._clock()}
        self._resolve(event_id, "waiting", {**values, "reason": None, "finished_at": None})

    def dismiss(self, event_id: str, reason: str) -> None:
        """A human says, with a reason: nothing is to be done. Refuses what is not held."""
        values = {"status": "dismissed", "reason": _short(reason), "finished_at": self._clock()}
        self._resolve(event_id, "dismissed", values)

    def _resolve(self, event_id: str, wanted: Status, values: dict[str, Any]) -> None:
        with self._database.write() as connection:
            held = (_c.event_id == event_id, _c.status == "held")
            if connection.execute(table.update().where(*held).values(**values)).rowcount:
                return
            status = connection.execute(sa.select(_c.status).where(_c.event_id == event_id)).scalar()
        if status is None:
            raise NotFound("there is no such event")
        if status != wanted:
            raise IllegalTransition(f"only an event that is held is decided upon, not one {status}")


def listed(connection: sa.Connection, *, status: str | None, after: Sequence[Any] | None, limit: int) -> Page:
    """One page of events, the latest first, without their bodies."""
    statement = filtered(table, status=status).with_only_columns(*_SHOWN)
    return page(
        connection, statement, [_c.received_at, _c.event_id], after=after, limit=limit, descending=True
    )


def one(connection: sa.Connection, event_id: str) -> dict[str, Any] | None:
    """An event as `listed` shows it."""
    found = connection.execute(sa.select(*_SHOWN).where(_c.event_id == event_id)).mappings().first()
    return None if found is None else dict(found)


def count(connection: sa.Connection, status: Status) -> int:
    """How many events have a status."""
    counted = sa.select(sa.func.count()).select_from(table).where(_c.status == status)
    return int(connection.execute(counted).scalar_one())


def oldest_due(connection: sa.Connection, now: datetime) -> datetime | None:
    """Since when the event that is due longest is due; None: none is."""
    oldest = sa.select(_c.next_try_at).where(_c.status == "waiting", _c.next_try_at <= now)
    found: datetime | None = connection.execute(oldest.order_by(_c.next_try_at).limit(1)).scalar()
    return found


def _mine(taken: Taken) -> tuple[sa.ColumnElement[bool], ...]:
    """Only while nobody else has taken it since."""
    return (_c.event_id == taken.event.event_id, _c.status == "waiting", _c.owner == taken.owner)


def _taken(row: Any, owner: str) -> Taken:
    fields = {name: row[name] for name in ProviderEvent.__struct_fields__}
    return Taken(ProviderEvent(**fields), row["received_at"], row["attempts"], row["postponed"], owner)


def _short(reason: str | None) -> str | None:
    return None if reason is None else reason[:REASON_LENGTH_MAX]
