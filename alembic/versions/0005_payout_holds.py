"""Why nothing is paid to a partner: a part of the directory.

Revision 0005, after 0004.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# No fact of these kinds was ever written before this revision, so an empty table is up to date.
TABLE = """
    CREATE TABLE payout_holds (
        partner_id {uuid} NOT NULL, cause text NOT NULL, reason text, effective_at {time} NOT NULL,
        recorded_at {time} NOT NULL, position bigint NOT NULL,
        CONSTRAINT pk_payout_holds PRIMARY KEY (partner_id, cause)
    )
"""


def upgrade() -> None:
    """Make the table."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    types = {"uuid": "uuid", "time": "timestamptz"} if postgresql else {"uuid": "char(32)", "time": "text"}
    op.execute(TABLE.format(**types))


def downgrade() -> None:
    """Drop it; the facts stay."""
    op.execute("DROP TABLE payout_holds")
