"""Schemas of webhooks: what the provider sends, and what we show of it."""

from typing import get_args

from marshmallow import INCLUDE, Schema, fields

from api.schemas.fields import PageQuery, Strict, Text, Time, Whole, choice, text
from payouts.webhooks.inbox import Status


class EventSchema(Schema):
    """An event of Stripe: a v1 event (`event`) or the notification of a v2 event (`v2.core.event`)."""

    class Meta:
        """What else an event holds is not ours to say."""

        unknown = INCLUDE

    id = text(255, required=True)
    object = choice("event", "v2.core.event", required=True)
    type = text(255, required=True)
    livemode = fields.Boolean(required=True)
    created = fields.Raw(required=True, metadata={"description": "Seconds in v1, RFC 3339 in v2."})


class AcceptedSchema(Strict):
    """The event is stored. `new`: it was not known."""

    event_id = Text(required=True)
    new = fields.Boolean(required=True)


class WebhookEventSchema(Strict):
    """An event that came in, and what became of it."""

    event_id = Text(required=True)
    kind = Text(required=True)
    style = choice("snapshot", "thin", required=True)
    object_id = Text(required=True, allow_none=True)
    account = Text(required=True, allow_none=True)
    livemode = fields.Boolean(required=True)
    created_at = Time(required=True)
    received_at = Time(required=True)
    status = choice(*get_args(Status), required=True)
    attempts = Whole(required=True)
    postponed = Whole(required=True)
    next_try_at = Time(required=True)
    finished_at = Time(required=True, allow_none=True)
    reason = Text(required=True, allow_none=True)


class WebhookEventQuery(PageQuery):
    """Which events to list."""

    status = choice(*get_args(Status), load_default=None)
