"""Brings every checkpoint to every target, in order; what could not be delivered is tried again."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa
import structlog

from ledger.engine.tables import insert_if_absent
from ledger.store.application import Ledger
from ledger.store.database import DatabaseUnavailable
from projections.audit_log import checkpoints, deliveries, refusals
from projections.targets import NotDelivered, Refused, Target

IDLE_S: Final = 0.5
RETRY: Final = timedelta(seconds=30)
RETRY_MAX: Final = timedelta(minutes=15)
"""Between two tries it waits `RETRY`, then twice as long each time, but no longer than this."""
REFUSED_RETRY: Final = timedelta(hours=1)
"""After which a target is asked again whether it still holds another checkpoint."""
AT_ONCE: Final = 100

log = structlog.get_logger(__name__)


class Deliverer:
    """Brings every checkpoint to every target."""

    def __init__(self, ledger: Ledger, targets: Sequence[Target]) -> None:
        self._ledger = ledger
        self._targets = targets

    def step(self, *, now_wanted: bool = False) -> int:
        """Deliver what is due, or `now_wanted` what is not due yet, too: how many."""
        return sum(self._serve(target, now_wanted=now_wanted) for target in self._targets)

    def run(self, stop: threading.Event) -> None:
        """Deliver until told to stop, to each target in a thread of its own: one that hangs keeps no other
        waiting."""
        with ThreadPoolExecutor(len(self._targets), "deliveries") as pool:
            for _ in pool.map(lambda target: self._follow(target, stop), self._targets):
                pass

    def _follow(self, target: Target, stop: threading.Event) -> None:
        try:
            while not stop.is_set():
                try:
                    self._serve(target, now_wanted=False)
                except DatabaseUnavailable as error:
                    log.warning("audit.database_unavailable", error=str(error))
                stop.wait(IDLE_S)
        finally:
            stop.set()  # what ends one against its will ends the part

    def _serve(self, target: Target, *, now_wanted: bool) -> int:
        now = self._ledger.clock()
        with self._ledger.database.read() as connection:
            row = _row(connection, target.name)
            again = _refused(connection, target.name, now if now_wanted else now - REFUSED_RETRY)
            rests = row is not None and row.error is not None and not now_wanted and now < _next_try(row)
            due = [] if rests else _due(connection, target.name, 0 if row is None else row.size)
        done = sum(self._ask_again(target, size, note, now) for size, note in again)
        return done + self._bring(target, due, now, failed=0 if row is None else row.failures)

    def _bring(self, target: Target, due: Sequence[Any], now: datetime, *, failed: int) -> int:
        """Deliver in order. One that is refused is passed by; one that fails keeps the rest waiting."""
        done = 0
        for size, note in due:
            error = _tried(target, size, note)
            if isinstance(error, Refused):
                row = {"target": target.name, "size": size, "error": str(error), "refused_at": now}
                with self._ledger.database.write() as connection:
                    insert_if_absent(connection, refusals, row | {"tried_at": now})
            elif error is not None:
                self._keep(target, {"error": str(error), "tried_at": now, "failures": failed + 1})
                return done
            else:
                taken = {"size": size, "delivered_at": now, "tried_at": now, "error": None, "failures": 0}
                self._keep(target, taken)
                done += 1
        return done

    def _ask_again(self, target: Target, size: int, note: str, now: datetime) -> bool:
        """Deliver one that was refused; whether it is there now."""
        here = (refusals.c.target == target.name, refusals.c.size == size)
        error = _tried(target, size, note)
        with self._ledger.database.write() as connection:
            if error is None:
                connection.execute(sa.delete(refusals).where(*here))
            else:
                connection.execute(sa.update(refusals).where(*here).values(tried_at=now))
        return error is None

    def _keep(self, target: Target, changes: dict[str, Any]) -> None:
        with self._ledger.database.write() as connection:
            insert_if_absent(connection, deliveries, {"target": target.name, "size": 0, "failures": 0})
            connection.execute(
                sa.update(deliveries).where(deliveries.c.target == target.name).values(**changes)
            )


class TargetState(msgspec.Struct, frozen=True):
    """What one target has of the checkpoints, and what it lacks."""

    name: str
    size: int | None
    """The last checkpoint that it took."""
    delivered_at: datetime | None
    waiting: int
    """Checkpoints that it has not taken yet, those aside that it refused."""
    waiting_since: datetime | None
    """When the oldest of them was made."""
    waiting_s: float
    """How long ago that was, in seconds."""
    error: str | None
    """What the last try came to; None: it was taken."""
    tried_at: datetime | None
    failures: int
    next_try_at: datetime | None
    refused: int
    """Checkpoints in the place of which it holds another one."""
    first_refusal: str | None


def state_of(connection: sa.Connection, name: str, now: datetime) -> TargetState:
    """How the target of this name stands."""
    row = _row(connection, name)
    size = 0 if row is None else row.size
    waits = sa.select(sa.func.count(), sa.func.min(checkpoints.c.made_at)).where(*_lacks(name, size))
    waiting, since = connection.execute(waits).one()
    own = sa.select(refusals.c.size, refusals.c.error).where(refusals.c.target == name)
    refused = connection.execute(own.order_by(refusals.c.size)).all()
    return TargetState(
        name=name,
        size=size or None,
        delivered_at=None if row is None else row.delivered_at,
        waiting=waiting,
        waiting_since=since,
        waiting_s=0.0 if since is None else max(0.0, (now - since).total_seconds()),
        error=None if row is None else row.error,
        tried_at=None if row is None else row.tried_at,
        failures=0 if row is None else row.failures,
        next_try_at=None if row is None or row.error is None else _next_try(row),
        refused=len(refused),
        first_refusal=f"size {refused[0].size}: {refused[0].error}" if refused else None,
    )


def _tried(target: Target, size: int, note: str) -> NotDelivered | None:
    """Hand a checkpoint over: None, or why it was not taken."""
    try:
        target.deliver(size, note)
    except Refused as error:
        log.error("audit.refused", target=target.name, size=size, error=str(error))
        return error
    except NotDelivered as error:
        log.warning("audit.not_delivered", target=target.name, size=size, error=str(error))
        return error
    except Exception as error:  # nothing that a target comes up with ends the others
        log.exception("audit.not_delivered", target=target.name, size=size)
        return NotDelivered(f"{type(error).__name__}: {error}")
    return None


def _row(connection: sa.Connection, name: str) -> Any:
    return connection.execute(sa.select(deliveries).where(deliveries.c.target == name)).first()


def _next_try(row: Any) -> datetime:
    doublings = min(max(row.failures - 1, 0), 10)
    next_try: datetime = row.tried_at + min(RETRY * 2**doublings, RETRY_MAX)
    return next_try


def _lacks(name: str, size: int) -> tuple[sa.ColumnElement[bool], ...]:
    refused = sa.select(refusals.c.size).where(refusals.c.target == name)
    return checkpoints.c.size > size, checkpoints.c.size.not_in(refused)


def _due(connection: sa.Connection, name: str, size: int) -> Sequence[Any]:
    query = sa.select(checkpoints.c.size, checkpoints.c.note).where(*_lacks(name, size))
    return connection.execute(query.order_by(checkpoints.c.size).limit(AT_ONCE)).all()


def _refused(connection: sa.Connection, name: str, tried_before: datetime) -> Sequence[Any]:
    both = refusals.join(checkpoints, refusals.c.size == checkpoints.c.size)
    query = sa.select(checkpoints.c.size, checkpoints.c.note).select_from(both)
    query = query.where(refusals.c.target == name, refusals.c.tried_at <= tried_before)
    return connection.execute(query.order_by(refusals.c.tried_at, refusals.c.size).limit(AT_ONCE)).all()
