"""Reconciliations: Stripe's books against ours, and the reasons that end differences."""

from datetime import timedelta
from typing import Final
from uuid import UUID

import falcon

from api.answers import send
from api.listings import Row, send_list, shown_as
from api.operations import operation
from api.schemas.fields import page_of
from api.schemas.reconciliations import (
    DifferenceReasonSchema,
    NewReconciliationSchema,
    ReconciliationItemQuery,
    ReconciliationItemSchema,
    ReconciliationQuery,
    ReconciliationSchema,
)
from api.services import Resource
from payouts import reconciliations
from payouts.reconciling import reconcile

RUN = ReconciliationSchema()
ITEM = ReconciliationItemSchema()
READ = ("finance:read", "finance:approve")
CSV: Final = "text/csv"
_show_run = shown_as(RUN)
_show_item = shown_as(ITEM)


def show_item(row: Row) -> Row:
    """An item as it is answered."""
    return {**_show_item(row), "is_difference": bool(row["is_difference"])}


class Reconciliations(Resource):
    """All runs."""

    @operation(
        "Reconcile Stripe's books with ours",
        scopes=("finance:approve",),
        body=NewReconciliationSchema(),
        answer=RUN,
        statuses=(201,),
        problems=("provider-unavailable",),
        example={"period_from": "2026-05-01T00:00:00Z", "period_to": "2026-06-01T00:00:00Z"},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, body: Row) -> None:
        """Pages Stripe's balance transactions and joins them to the journal. It changes no payout itself.

        A transfer of which something came back that the ledger lacks is put into the webhooks' inbox.
        """
        run = reconcile(
            self.ledger,
            self.services.provider,
            start=body["period_from"],
            end=body["period_to"],
            in_time=timedelta(seconds=body["in_time_s"]),
            by=req.context.caller.by,
        )
        resp.location = f"/v1/reconciliations/{run.reconciliation_id}"
        with self.database.read() as connection:
            send(resp, _show_run(reconciliations.load(connection, run.reconciliation_id)), 201)

    @operation("List reconciliations", scopes=READ, query=ReconciliationQuery(), answer=page_of(RUN))
    def on_get(self, req: falcon.Request, resp: falcon.Response, query: Row) -> None:
        """The latest first."""
        send_list(req, resp, self.database, query, reconciliations.list_runs, _show_run)


class Reconciliation(Resource):
    """One run."""

    @operation("Get a reconciliation", scopes=READ, answer=RUN)
    def on_get(self, _req: falcon.Request, resp: falcon.Response, reconciliation_id: UUID) -> None:
        """With its totals; the items are a list of their own."""
        with self.database.read() as connection:
            send(resp, _show_run(reconciliations.load(connection, reconciliation_id)))


class ReconciliationItems(Resource):
    """The items of a run."""

    @operation(
        "List the items of a reconciliation",
        scopes=READ,
        query=ReconciliationItemQuery(),
        answer=page_of(ITEM),
        also_produces=(CSV,),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, reconciliation_id: UUID, query: Row) -> None:
        """In their order, by pages; with `Accept: text/csv` all of them in one file."""
        resp.append_header("Vary", "Accept")
        with self.database.read() as connection:
            reconciliations.load(connection, reconciliation_id)
            if CSV in (req.get_header("Accept") or ""):
                items = reconciliations.all_items(connection, reconciliation_id, verdict=query["verdict"])
                resp.content_type = CSV
                resp.data = reconciliations.as_csv(items).encode()
                return
        where = {"reconciliation_id": reconciliation_id, "verdict": query["verdict"]}
        send_list(req, resp, self.database, query, reconciliations.list_items, show_item, **where)


class DifferenceResolution(Resource):
    """The end of a difference, by a human's reason."""

    @operation(
        "Resolve a difference",
        scopes=("finance:approve",),
        body=DifferenceReasonSchema(),
        answer=DifferenceReasonSchema(),
        problems=("not-found", "content-conflict"),
        example={"reference": "tr_1Ab", "reason": "Sent by hand on 3 May and taken back as trr_1Cd."},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, body: Row) -> None:
        """Later runs show the reason and count it no more. It moves no money: mend that where it lies."""
        reconciliations.resolve(self.ledger, **body, by=req.context.caller.by)
        send(resp, body)
