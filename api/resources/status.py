"""The service itself: is it there, is it ready, how far are its readers, what is sealed, what to count."""

from collections.abc import Callable
from typing import Any

import falcon
import sqlalchemy as sa

from api.answers import send
from api.metrics import Reading, exposition
from api.operations import operation
from api.schemas.status import HealthSchema, StatusSchema
from api.services import Resource
from ledger.store.database import DatabaseUnavailable
from projections.audit_log import NAME as AUDIT
from projections.audit_state import AuditState, audit_state
from projections.deliveries import TargetState
from projections.lag import READERS, Lag, lag


class Health(Resource):
    """Is the process there?"""

    @operation("Is the process there?", answer=HealthSchema())
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Asks nobody else."""
        send(resp, {"status": "ok"})


class Readiness(Resource):
    """Can it work?"""

    @operation("Is it ready for work?", answer=HealthSchema(), problems=("unavailable",))
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Asks the database. 503 while it can't be reached."""
        with self.database.read() as connection:
            connection.execute(sa.text("SELECT 1 FROM positions LIMIT 1"))
        send(resp, {"status": "ready"})


class Status(Resource):
    """How far the readers of the log are behind, and how the audit log stands."""

    @operation(
        "How far are engine, views and audit log behind?",
        scopes=("conversions:write", "finance:read", "finance:approve"),
        answer=StatusSchema(),
    )
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Positions of the log are handed out in the order of commits, with gaps."""
        lags, audit = _taken(self)
        send(resp, {"readers": [_show(reader) for reader in lags], "audit": _show_audit(audit)})


class Metrics(Resource):
    """What Prometheus scrapes."""

    @operation("Metrics for Prometheus", produces="text/plain")
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Requests by route, time to answer, lag of the readers, checkpoints and their targets, appends that
        wait. Open: let only your own network reach it."""
        try:
            readings = _readings(*_taken(self))
        except DatabaseUnavailable:
            readings = []  # the counters are told all the same
        resp.content_type = "text/plain; version=0.0.4; charset=utf-8"
        resp.data = exposition(readings)
        resp.set_header("Cache-Control", "no-store")


def _taken(resource: Resource) -> tuple[list[Lag], AuditState]:
    with resource.database.read() as connection:
        lags = lag(resource.ledger, connection, (*READERS, AUDIT))
        return lags, audit_state(resource.ledger, connection, resource.services.checkpoint_targets)


def _readings(lags: list[Lag], audit: AuditState) -> list[Reading]:
    def by_target(name: str, says: str, value: Callable[[TargetState], float]) -> Reading:
        return Reading(name, says, "target", {one.name: value(one) for one in audit.targets})

    age_s = {} if audit.checkpoint is None else {"": audit.checkpoint.age_s}
    events, seconds = ({one.name: getattr(one, what) for one in lags} for what in ("events", "seconds"))
    return [
        Reading("revshare_lag_events", "Events that a reader has not read.", "reader", events),
        Reading(
            "revshare_lag_seconds", "Age of the oldest event that a reader has not read.", "reader", seconds
        ),
        Reading("revshare_audit_checkpoint_age_seconds", "Age of the newest checkpoint.", None, age_s),
        Reading(
            "revshare_audit_unsigned_seconds",
            "Age of the oldest fact that no checkpoint covers.",
            None,
            {"": audit.unsigned_s},
        ),
        by_target(
            "revshare_audit_target_size",
            "Facts that the last checkpoint covers that a target took.",
            lambda one: one.size or 0,
        ),
        by_target(
            "revshare_audit_target_waiting",
            "Checkpoints that a target has not taken yet.",
            lambda one: one.waiting,
        ),
        by_target(
            "revshare_audit_target_waiting_seconds",
            "Age of the oldest checkpoint that a target has not taken yet.",
            lambda one: one.waiting_s,
        ),
        by_target(
            "revshare_audit_target_failures",
            "Tries to deliver that failed, since the last one that did not.",
            lambda one: one.failures,
        ),
        by_target(
            "revshare_audit_target_refused",
            "Checkpoints in the place of which a target holds another one.",
            lambda one: one.refused,
        ),
    ]


def _show_audit(audit: AuditState) -> dict[str, Any]:
    signed = audit.checkpoint
    return {
        "leaves": audit.leaves,
        "unsigned_events": audit.unsigned,
        "unsigned_ms": round(audit.unsigned_s * 1_000),
        "checkpoint": None
        if signed is None
        else {
            "size": signed.size,
            "position": signed.position,
            "cause": signed.cause,
            "made_at": signed.made_at,
            "age_ms": round(signed.age_s * 1_000),
        },
        "targets": [
            {
                "name": one.name,
                "last_size": one.size,
                "delivered_at": one.delivered_at,
                "waiting": one.waiting,
                "waiting_since": one.waiting_since,
                "last_error": one.error,
                "tried_at": one.tried_at,
                "failures": one.failures,
                "next_try_at": one.next_try_at,
                "refused": one.refused,
                "first_refusal": one.first_refusal,
            }
            for one in audit.targets
        ],
    }


def _show(reader: Lag) -> dict[str, Any]:
    return {
        "name": reader.name,
        "position": reader.position,
        "head": reader.head,
        "lag_events": reader.events,
        "lag_ms": round(reader.seconds * 1_000),
        "oldest_recorded_at": reader.oldest_recorded_at,
    }
