"""The inbox of webhooks: each is stored as it came before it is answered, and worked on after that.

Revision 0009, after 0008.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# A working table, not a record: what came of an event stands in the log. Finished rows go after some weeks.
TABLE = """
    CREATE TABLE webhook_events (
        event_id text NOT NULL PRIMARY KEY,
        kind text NOT NULL,
        style text NOT NULL,
        object_id text,
        account text,
        livemode boolean NOT NULL,
        created_at {time} NOT NULL,
        received_at {time} NOT NULL,
        signature text NOT NULL,
        body {bytes} NOT NULL,
        status text NOT NULL,
        attempts bigint NOT NULL,
        postponed bigint NOT NULL,
        next_try_at {time} NOT NULL,
        finished_at {time},
        reason text
    )
"""


def upgrade() -> None:
    """Make the table."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    types = {"time": "timestamptz", "bytes": "bytea"} if postgresql else {"time": "text", "bytes": "BLOB"}
    op.execute(TABLE.format(**types))
    op.execute("CREATE INDEX webhook_events_due ON webhook_events (status, next_try_at)")
    op.execute("CREATE INDEX webhook_events_received ON webhook_events (received_at, event_id)")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE webhook_events")
