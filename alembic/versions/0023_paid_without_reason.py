"""A payout that was paid after the bank had returned it has no reason any more.

Revision 0023, after 0022. One that came back whole after that keeps its old one until `revshare rebuild`.
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take the reason away, as the view does from now on."""
    op.execute("UPDATE payouts SET reason = NULL WHERE state = 'paid'")


def downgrade() -> None:
    """Nothing: the log has what was said."""
