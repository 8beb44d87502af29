"""What was found when the provider's books were compared with ours: runs and their items.

Revision 0011, after 0010.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

RUNS = """
    CREATE TABLE reconciliations (
        reconciliation_id {uuid} NOT NULL PRIMARY KEY, provider text NOT NULL,
        period_from {time} NOT NULL, period_to {time} NOT NULL, in_time_s bigint NOT NULL,
        differences bigint NOT NULL, items bigint NOT NULL, counts text NOT NULL, totals text NOT NULL,
        items_hash text NOT NULL, made_by text NOT NULL, recorded_at {time} NOT NULL
    )
"""
ITEMS = """
    CREATE TABLE reconciliation_items (
        reconciliation_id {uuid} NOT NULL REFERENCES reconciliations, number bigint NOT NULL,
        verdict text NOT NULL, is_difference bigint NOT NULL, kind text NOT NULL, reference text NOT NULL,
        currency text NOT NULL, theirs_minor bigint, ours_minor bigint, differs text NOT NULL,
        transaction_id text, transfer_id text, payout_id {uuid}, theirs_at {time}, ours_at {time},
        ours_position bigint, theirs_destination text, ours_destination text, resolution text,
        PRIMARY KEY (reconciliation_id, number)
    )
"""


def upgrade() -> None:
    """Make the tables."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    types = {
        "uuid": "uuid" if postgresql else "CHAR(32)",
        "time": "timestamptz" if postgresql else "text",
    }
    op.execute(RUNS.format(**types))
    op.execute(ITEMS.format(**types))
    op.execute("CREATE INDEX reconciliation_items_reference ON reconciliation_items (reference)")


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE reconciliation_items")
    op.execute("DROP TABLE reconciliations")
