"""Why no more of a payout batch is sent, in the view of the payouts.

Revision 0007, after 0006.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. Until now no batch was ever paused."""
    op.execute("ALTER TABLE payout_batches ADD COLUMN paused_reason text")


def downgrade() -> None:
    """Remove it."""
    op.execute("ALTER TABLE payout_batches DROP COLUMN paused_reason")
