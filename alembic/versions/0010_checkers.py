"""Who made and who checked a batch, by key and by person; for whom a key is; which programs have a calendar.

Revision 0010, after 0009.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

COLUMNS = (
    ("api_keys", "person", "text"),
    ("programs", "payouts_every", "text"),
    ("payout_batches", "approvals_needed", "bigint NOT NULL DEFAULT 1"),
    ("payout_batches", "made_by_person", "text"),
    ("payout_batches", "checked_by", "text"),
    ("payout_batches", "checked_by_person", "text"),
    ("payout_batches", "approved_by_person", "text"),
    ("payout_batches", "due_on", "text"),
)


def upgrade() -> None:
    """Add the columns: until now nothing named a person, and one checker was enough."""
    for table, column, kind in COLUMNS:
        op.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")


def downgrade() -> None:
    """Remove them."""
    for table, column, _ in COLUMNS:
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
