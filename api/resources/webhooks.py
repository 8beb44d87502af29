"""Webhooks: the one door without a key, since the signature is one; and the human's queue behind it."""

from typing import Final

import falcon
import structlog

from api.answers import send
from api.listings import Row, send_list, shown_as
from api.operations import KIB, operation
from api.problems import HttpProblem
from api.schemas.fields import page_of
from api.schemas.partners import ReasonSchema
from api.schemas.webhooks import AcceptedSchema, EventSchema, WebhookEventQuery, WebhookEventSchema
from api.services import Resource
from ledger import checks
from payouts.gateway_events import SignatureRefused
from payouts.webhooks import inbox
from payouts.webhooks.events import NoEvent

log = structlog.get_logger("revshare.api")

BODY_BYTES_MAX: Final = 512 * KIB
EVENT: Final = WebhookEventSchema()
_EXAMPLE: Final = {
    "id": "evt_1",
    "object": "event",
    "type": "account.updated",
    "account": "acct_1Brightside",
    "created": 1_790_000_000,
    "livemode": False,
    "data": {"object": {"id": "acct_1Brightside"}},
}
_show = shown_as(EVENT)


class StripeWebhooks(Resource):
    """Where Stripe says that something happened."""

    @operation(
        "Take a webhook of Stripe",
        body=EventSchema(),
        raw=True,
        answer=AcceptedSchema(),
        bytes_max=BODY_BYTES_MAX,
        problems=("invalid-signature", "webhooks-not-configured", "unreadable-body"),
        example=_EXAMPLE,
        tag="webhooks",
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """v1 snapshot events and v2 thin events, of our own account and of connected ones.

        The header `Stripe-Signature` must hold a signature with one of the secrets of STRIPE_WEBHOOK_SECRET,
        at most five minutes old. 200: the event is stored; it is worked on afterwards. The same event again
        is 200, too, and counts once.
        """
        secrets = self.services.webhook_secrets
        if not secrets:
            raise HttpProblem(
                "webhooks-not-configured", "STRIPE_WEBHOOK_SECRET is not set", headers={"Retry-After": "300"}
            )
        raw: bytes = req.context.raw
        signature = req.get_header("Stripe-Signature")
        try:
            event = self.services.provider.read_event(raw, signature, secrets, self.ledger.clock())
        except SignatureRefused as refused:
            log.warning("webhook refused", reason=refused.reason)
            raise HttpProblem("invalid-signature", refused.reason) from None
        except NoEvent as error:
            raise HttpProblem("unreadable-body", str(error)) from None
        assert signature is not None
        new = self.services.inbox.store(event, raw, signature)
        send(resp, {"event_id": event.event_id, "new": new})


class WebhookEvents(Resource):
    """What came in, and what became of it."""

    @operation(
        "List webhooks",
        scopes=("finance:read", "finance:approve"),
        query=WebhookEventQuery(),
        answer=page_of(EVENT),
        tag="webhooks",
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, query: Row) -> None:
        """The latest first. `status=held` is the human's queue, each with its reason."""
        send_list(req, resp, self.database, query, inbox.listed, _show, status=query["status"])


class _OneEvent(Resource):
    """One event, as it stands after whatever was asked."""

    def send_event(self, resp: falcon.Response, event_id: str) -> None:
        """Answer with it."""
        with self.database.read() as connection:
            found = inbox.one(connection, event_id)
        if found is None:
            raise falcon.HTTPNotFound
        send(resp, _show(found))


class WebhookEvent(_OneEvent):
    """One event."""

    @operation("Get a webhook", scopes=("finance:read", "finance:approve"), answer=EVENT, tag="webhooks")
    def on_get(self, _req: falcon.Request, resp: falcon.Response, event_id: str) -> None:
        """What it is about and what became of it, without its body."""
        self.send_event(resp, event_id)


class WebhookRetry(_OneEvent):
    """Another try for an event that was left to a human."""

    @operation(
        "Work on a held webhook again",
        scopes=("finance:approve",),
        answer=EVENT,
        problems=("illegal-transition",),
        tag="webhooks",
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, event_id: str) -> None:
        """held → waiting, from the beginning."""
        self.services.inbox.put_back(event_id)
        log.info("webhook put back", event_id=event_id, by=req.context.caller.by)
        self.send_event(resp, event_id)


class WebhookDismissal(_OneEvent):
    """The end of an event that was left to a human."""

    @operation(
        "Dismiss a held webhook",
        scopes=("finance:approve",),
        body=ReasonSchema(),
        answer=EVENT,
        problems=("illegal-transition",),
        example={"reason": "An account of a former partner."},
        tag="webhooks",
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, event_id: str, body: Row) -> None:
        """held → dismissed, with a reason: nothing is to be done."""
        reason = f"{checks.note(body['reason'], '/reason')} ({req.context.caller.by})"
        self.services.inbox.dismiss(event_id, reason)
        self.send_event(resp, event_id)
