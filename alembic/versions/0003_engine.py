"""What the reward engine remembers between its batches.

Revision 0003, after 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the engine's tables."""
    op.create_table(
        "engine_conversions",
        sa.Column("conversion_id", sa.Uuid, primary_key=True),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("effective_at_us", sa.BigInteger, nullable=False),
        sa.Column("rewards_version", sa.BigInteger, nullable=False),
        sa.Column("told", sa.Text, nullable=False),
    )
    op.create_index("engine_conversions_customer", "engine_conversions", ["customer_id", "effective_at_us"])
    op.create_table(
        "engine_customers",
        sa.Column("customer_id", sa.Uuid, primary_key=True),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "engine_customer_partners",
        sa.Column("program_id", sa.Uuid, primary_key=True),
        sa.Column("partner_id", sa.Uuid, primary_key=True),
        sa.Column("customer_id", sa.Uuid, primary_key=True),
    )
    op.create_table(
        "engine_rewards",
        sa.Column("reward_id", sa.Uuid, primary_key=True),
        sa.Column("conversion_id", sa.Uuid, nullable=False),
        sa.Column("due_at_us", sa.BigInteger),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_index("engine_rewards_conversion", "engine_rewards", ["conversion_id"])
    op.create_index("engine_rewards_due", "engine_rewards", ["due_at_us"])
    op.create_table(
        "engine_totals",
        sa.Column("total_id", sa.Uuid, primary_key=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "engine_work",
        sa.Column("conversion_id", sa.Uuid, primary_key=True),
        sa.Column("since", sa.BigInteger, nullable=False),
    )
    op.create_index("engine_work_since", "engine_work", ["since", "conversion_id"])
    op.create_table(
        "engine_accounts",
        sa.Column("account_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    """Remove them; the engine can't go on without."""
    for name in (
        "engine_accounts",
        "engine_work",
        "engine_totals",
        "engine_rewards",
        "engine_customer_partners",
        "engine_customers",
        "engine_conversions",
    ):
        op.drop_table(name)
