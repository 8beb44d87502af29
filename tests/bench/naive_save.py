"""A naive peer: one `Application.save` of the event-sourcing library for each request, all by its defaults.

It asks for no key, checks no schema, knows no repeated id and computes no reward: it does less than ours.
"""

from datetime import datetime
from uuid import UUID

import falcon
from eventsourcing.application import Application

from tests.bench.library import Conversion


class Conversions:
    """Saves a conversion as an aggregate of its own."""

    def __init__(self) -> None:
        self._application: Application[UUID] = Application()

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer once it is saved."""
        body = req.media
        conversion = Conversion(
            program_id=UUID(body["program_id"]),
            source=body["source"],
            external_id=body["external_id"],
            kind=body["kind"],
            customer=body["customer"],
            amount_minor=body["amount_minor"],
            currency=body["currency"],
            effective_at=datetime.fromisoformat(body["effective_at"]),
        )
        self._application.save(conversion)
        resp.status = 201
        resp.media = {"id": str(conversion.id)}


class Ready:
    """Says that the server is up."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer."""
        resp.media = {"status": "ok"}


application = falcon.App()
application.add_route("/v1/conversions", Conversions())
application.add_route("/readyz", Ready())
