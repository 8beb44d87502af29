"""How often a target has failed in a row, and the checkpoints that it holds others in the place of.

Revision 0021, after 0020.
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the table."""
    time = "timestamptz" if op.get_bind().dialect.name == "postgresql" else "text"
    op.execute("ALTER TABLE audit_deliveries ADD COLUMN failures bigint NOT NULL DEFAULT 0")
    op.execute(
        f"""
        CREATE TABLE audit_refusals (
            target text NOT NULL, size bigint NOT NULL, error text NOT NULL,
            refused_at {time} NOT NULL, tried_at {time} NOT NULL, PRIMARY KEY (target, size)
        )
        """
    )


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE audit_refusals")
    op.execute("ALTER TABLE audit_deliveries DROP COLUMN failures")
