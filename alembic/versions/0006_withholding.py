"""What was withheld of a payout, what is sent of it, and through whom, in the view of the payouts.

Revision 0006, after 0005.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS = (
    ("payout_batches", "withheld_minor", "bigint NOT NULL DEFAULT 0"),
    ("payouts", "provider", "text NOT NULL DEFAULT 'stripe'"),
    ("payouts", "withheld_minor", "bigint NOT NULL DEFAULT 0"),
    ("payouts", "withholding_bps", "bigint NOT NULL DEFAULT 0"),
    ("payouts", "net_minor", "bigint NOT NULL DEFAULT 0"),
)


def upgrade() -> None:
    """Add the columns. Of every payout until now nothing was withheld: all of it is sent."""
    for table, column, kind in COLUMNS:
        op.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
    op.execute("UPDATE payouts SET net_minor = amount_minor")


def downgrade() -> None:
    """Remove them."""
    for table, column, _ in COLUMNS:
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
