"""The form of each statement's content.

Revision 0020, after 0019. All that were issued before are of the first form.
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.execute("ALTER TABLE statements ADD COLUMN content_version bigint NOT NULL DEFAULT 1")


def downgrade() -> None:
    """Drop it."""
    op.execute("ALTER TABLE statements DROP COLUMN content_version")
