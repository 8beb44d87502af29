"""When somebody last asked that a payout batch be sent now.

Revision 0017, after 0016.
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

INDEX = "ix_payout_batches_send_asked_at"


def upgrade() -> None:
    """Add the column: until now nobody could ask. The payout worker looks for it twice a second."""
    time = "timestamptz" if op.get_bind().dialect.name == "postgresql" else "text"
    op.execute(f"ALTER TABLE payout_batches ADD COLUMN send_asked_at {time}")
    op.execute(f"CREATE INDEX {INDEX} ON payout_batches (send_asked_at)")


def downgrade() -> None:
    """Remove it."""
    op.execute(f"DROP INDEX {INDEX}")
    op.execute("ALTER TABLE payout_batches DROP COLUMN send_asked_at")
