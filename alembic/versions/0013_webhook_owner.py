"""Who has taken a webhook: what a worker finishes is still its own, however its attempts are counted.

Revision 0013, after 0012.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column: nobody has taken what waits."""
    op.execute("ALTER TABLE webhook_events ADD COLUMN owner text")


def downgrade() -> None:
    """Drop it."""
    op.execute("ALTER TABLE webhook_events DROP COLUMN owner")
