"""Schemas of the service's own state."""

from marshmallow import fields

from api.schemas.fields import Strict, Text, Time, Whole


class HealthSchema(Strict):
    """Whether the process is there, or ready for work."""

    status = Text(required=True)


class ReaderSchema(Strict):
    """One reader of the log, and how far it is behind."""

    name = Text(required=True)
    position = Whole(required=True)
    head = Whole(required=True)
    lag_events = Whole(required=True)
    lag_ms = Whole(required=True)
    oldest_recorded_at = Time(required=True, allow_none=True)


class StatusSchema(Strict):
    """How far the reward engine and each view are behind the log."""

    readers = fields.List(fields.Nested(ReaderSchema()), required=True)
