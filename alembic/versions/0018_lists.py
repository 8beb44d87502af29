"""Indexes in the order of the lists, so that a page of any of them touches a bounded number of rows.

Revision 0018, after 0017.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

OLDER = (
    ("payout_batches", "program_id, recorded_at"),
    ("payouts", "batch_id"),
    ("payouts", "partner_id, recorded_at"),
    ("payouts", "program_id, partner_id, recorded_at"),
    ("payouts", "state"),
    ("referral_codes", "partner_id"),
    ("referral_codes", "program_id, partner_id"),
)
NEWER = (
    ("agreements", "recorded_at, agreement_id"),
    ("api_keys", "recorded_at, key_id"),
    ("conversions", "effective_at, conversion_id"),
    ("customers", "last_partner_id, program_id, customer"),
    ("payout_batches", "program_id, recorded_at, batch_id"),
    ("payout_batches", "recorded_at, batch_id"),
    ("payouts", "batch_id, recorded_at, payout_id"),
    ("payouts", "partner_id, recorded_at, payout_id"),
    ("payouts", "program_id, recorded_at, payout_id"),
    ("payouts", "recorded_at, payout_id"),
    ("payouts", "state, recorded_at, payout_id"),
    ("referral_codes", "partner_id, recorded_at, referral_code_id"),
    ("referral_codes", "recorded_at, referral_code_id"),
    ("referrals", "effective_at, referral_id"),
    ("rewards", "effective_at, reward_id"),
)
OWN = (
    ("reconciliations_recorded", "reconciliations", "recorded_at, reconciliation_id"),
    ("webhook_events_of_status", "webhook_events", "status, received_at, event_id"),
)
"""Of tables that are no views: their indexes have names of their own."""


def upgrade() -> None:
    """Make the indexes, in the place of those that they make needless."""
    _replace(OLDER, NEWER)
    for name, table, columns in OWN:
        op.execute(f"CREATE INDEX {name} ON {table} ({columns})")


def downgrade() -> None:
    """Make the older ones again."""
    for name, _, _ in OWN:
        op.execute(f"DROP INDEX {name}")
    _replace(NEWER, OLDER)


def _replace(old: tuple[tuple[str, str], ...], new: tuple[tuple[str, str], ...]) -> None:
    for table, columns in old:
        op.execute(f"DROP INDEX {_name(table, columns)}")
    for table, columns in new:
        op.execute(f"CREATE INDEX {_name(table, columns)} ON {table} ({columns})")


def _name(table: str, columns: str) -> str:
    return f"ix_{table}_{columns.replace(', ', '_')}"
