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


class SignedSchema(Strict):
    """The newest checkpoint of the audit log."""

    size = Whole(required=True, metadata={"description": "How many facts it covers."})
    position = Whole(required=True, metadata={"description": "Where the last of them stands in the log."})
    cause = Text(required=True, metadata={"description": "Why it was signed then."})
    made_at = Time(required=True)
    age_ms = Whole(required=True, metadata={"description": "Grows while there is nothing new to sign, too."})


class TargetSchema(Strict):
    """One target of `AUDIT_TARGETS`, and what it has of the checkpoints."""

    name = Text(required=True)
    last_size = Whole(
        required=True, allow_none=True, metadata={"description": "The last checkpoint that it took."}
    )
    delivered_at = Time(required=True, allow_none=True)
    waiting = Whole(required=True, metadata={"description": "Checkpoints that it has not taken yet."})
    waiting_since = Time(
        required=True, allow_none=True, metadata={"description": "When the oldest of them was made."}
    )
    last_error = Text(
        required=True, allow_none=True, metadata={"description": "What the last try came to; null: taken."}
    )
    tried_at = Time(required=True, allow_none=True)
    failures = Whole(required=True, metadata={"description": "Tries in a row that failed."})
    next_try_at = Time(required=True, allow_none=True)
    refused = Whole(
        required=True,
        metadata={"description": "Checkpoints in the place of which it holds another one. It needs a human."},
    )
    first_refusal = Text(required=True, allow_none=True)


class AuditStateSchema(Strict):
    """What is sealed and signed, and where the checkpoints have come. Its sequencer is the reader `audit`."""

    leaves = Whole(required=True)
    unsigned_events = Whole(
        required=True,
        metadata={"description": "Leaves that no checkpoint covers. Less than 0: signed leaves are gone."},
    )
    unsigned_ms = Whole(
        required=True, metadata={"description": "Age of the oldest fact that no checkpoint covers."}
    )
    checkpoint = fields.Nested(SignedSchema(), required=True, allow_none=True)
    targets = fields.List(fields.Nested(TargetSchema()), required=True)


class StatusSchema(Strict):
    """How far the reward engine, each view and the audit log's sequencer are behind the log, and what the
    audit log has signed and delivered."""

    readers = fields.List(fields.Nested(ReaderSchema()), required=True)
    audit = fields.Nested(AuditStateSchema(), required=True)
