"""An index that nothing reads goes: what earned nothing is looked up by its conversion alone.

Revision 0022, after 0021.
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

NAME = "ix_not_rewarded_program_id_position"


def upgrade() -> None:
    """Drop it: each conversion that earned nothing was written once more into it."""
    op.execute(f"DROP INDEX {NAME}")


def downgrade() -> None:
    """Make it again."""
    op.execute(f"CREATE INDEX {NAME} ON not_rewarded (program_id, position)")
