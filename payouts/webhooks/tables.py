"""The inbox of webhooks: a working table of its own, which no view and no fact depends on."""

from typing import Final

import sqlalchemy as sa

from projections.columns import UtcTime

METADATA: Final = sa.MetaData()

webhook_events: Final = sa.Table(
    "webhook_events",
    METADATA,
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("style", sa.Text, nullable=False),
    sa.Column("object_id", sa.Text),
    sa.Column("account", sa.Text),
    sa.Column("livemode", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("received_at", UtcTime, nullable=False),
    sa.Column("signature", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("attempts", sa.BigInteger, nullable=False),
    sa.Column("postponed", sa.BigInteger, nullable=False),
    sa.Column("owner", sa.Text),
    sa.Column("next_try_at", UtcTime, nullable=False),
    sa.Column("finished_at", UtcTime),
    sa.Column("reason", sa.Text),
    sa.Index("webhook_events_due", "status", "next_try_at"),
    sa.Index("webhook_events_received", "received_at", "event_id"),
    sa.Index("webhook_events_of_status", "status", "received_at", "event_id"),
)
"""`signature` is the one header that matters; `body` has the bytes that were signed, to be checked again.
`owner` is drawn anew each time that a worker takes an event: nobody else can finish it or put it off."""
