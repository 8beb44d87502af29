"""Brings every checkpoint to every target, in order; what could not be delivered is tried again."""

import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
import structlog

from ledger.store.application import Ledger
from ledger.store.database import DatabaseUnavailable
from projections.audit_log import checkpoints, deliveries
from projections.targets import NotDelivered, Target

IDLE_S: Final = 0.5
RETRY: Final = timedelta(seconds=30)
AT_ONCE: Final = 100

log = structlog.get_logger(__name__)


class Deliverer:
    """Brings every checkpoint to every target."""

    def __init__(self, ledger: Ledger, targets: Sequence[Target]) -> None:
        self._ledger = ledger
        self._targets = targets

    def step(self) -> int:
        """Deliver what is due: how many."""
        return sum(self._serve(target) for target in self._targets)

    def run(self, stop: threading.Event) -> None:
        """Deliver until told to stop."""
        while not stop.is_set():
            try:
                self.step()
            except DatabaseUnavailable as error:
                log.warning("audit.database_unavailable", error=str(error))
            stop.wait(IDLE_S)

    def _serve(self, target: Target) -> int:
        now = self._ledger.clock()
        with self._ledger.database.read() as connection:
            state = connection.execute(
                sa.select(deliveries).where(deliveries.c.target == target.name)
            ).first()
            if state is not None and state.error is not None and now - state.tried_at < RETRY:
                return 0
            due = connection.execute(
                sa.select(checkpoints.c.size, checkpoints.c.note)
                .where(checkpoints.c.size > (0 if state is None else state.size))
                .order_by(checkpoints.c.size)
                .limit(AT_ONCE)
            ).all()
        done = 0
        for size, note in due:
            try:
                target.deliver(size, note)
            except NotDelivered as error:
                log.warning("audit.not_delivered", target=target.name, size=size, error=str(error))
                self._keep(target, {"error": str(error), "tried_at": now})
                return done
            self._keep(target, {"size": size, "delivered_at": now, "tried_at": now, "error": None})
            done += 1
        return done

    def _keep(self, target: Target, changes: dict[str, Any]) -> None:
        with self._ledger.database.write() as connection:
            changed = connection.execute(
                sa.update(deliveries).where(deliveries.c.target == target.name).values(**changes)
            )
            if not changed.rowcount:
                connection.execute(sa.insert(deliveries), [{"target": target.name, "size": 0, **changes}])
