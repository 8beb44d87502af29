"""Leases of the payout workers: who works on which part of the payouts, and the token that fences.

Revision 0012, after 0011.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# A working table, not a record. Rows are made when a lease is first taken; a token never comes again.
TABLE = """
    CREATE TABLE payout_leases (
        lease text NOT NULL PRIMARY KEY, holder text, token bigint NOT NULL, expires_at {time} NOT NULL
    )
"""


def upgrade() -> None:
    """Make the table."""
    time = "timestamptz" if op.get_bind().dialect.name == "postgresql" else "text"
    op.execute(TABLE.format(time=time))


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE payout_leases")
