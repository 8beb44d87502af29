"""The service itself: is it there, is it ready, how far are its readers behind, what to count."""

from typing import Any

import falcon
import sqlalchemy as sa

from api.answers import send
from api.metrics import exposition
from api.operations import operation
from api.schemas.status import HealthSchema, StatusSchema
from api.services import Resource
from ledger.store.database import DatabaseUnavailable
from projections.lag import Lag, lag


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
    """How far the readers of the log are behind."""

    @operation(
        "How far are engine and views behind?",
        scopes=("conversions:write", "finance:read", "finance:approve"),
        answer=StatusSchema(),
    )
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Positions of the log are handed out in the order of commits, with gaps."""
        send(resp, {"readers": [_show(reader) for reader in _lags(self)]})


class Metrics(Resource):
    """What Prometheus scrapes."""

    @operation("Metrics for Prometheus", produces="text/plain")
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Requests by route, time to answer, lag of the readers, appends that wait. Open: let only your
        own network reach it."""
        readings: dict[str, tuple[str, dict[str, Any]]] = {}
        try:
            lags = _lags(self)
            readings["revshare_lag_events"] = (
                "Events that a reader has not read.",
                {one.name: one.events for one in lags},
            )
            readings["revshare_lag_seconds"] = (
                "Age of the oldest event that a reader has not read.",
                {one.name: one.seconds for one in lags},
            )
        except DatabaseUnavailable:
            pass  # the counters are told all the same
        resp.content_type = "text/plain; version=0.0.4; charset=utf-8"
        resp.data = exposition(readings)
        resp.set_header("Cache-Control", "no-store")


def _lags(resource: Resource) -> list[Lag]:
    with resource.database.read() as connection:
        return lag(resource.ledger, connection)


def _show(reader: Lag) -> dict[str, Any]:
    return {
        "name": reader.name,
        "position": reader.position,
        "head": reader.head,
        "lag_events": reader.events,
        "lag_ms": round(reader.seconds * 1_000),
        "oldest_recorded_at": reader.oldest_recorded_at,
    }
