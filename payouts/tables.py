"""The tables that the room keeps for itself, no views: what reconciliations found, which statements came."""

from typing import Final

import sqlalchemy as sa

from projections.columns import UtcTime

METADATA: Final = sa.MetaData()

reconciliations: Final = sa.Table(
    "reconciliations",
    METADATA,
    sa.Column("reconciliation_id", sa.Uuid, primary_key=True),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("period_from", UtcTime, nullable=False),
    sa.Column("period_to", UtcTime, nullable=False),
    sa.Column("in_time_s", sa.BigInteger, nullable=False),
    sa.Column("differences", sa.BigInteger, nullable=False),
    sa.Column("items", sa.BigInteger, nullable=False),
    sa.Column("counts", sa.Text, nullable=False, info={"json": True}),
    sa.Column("totals", sa.Text, nullable=False, info={"json": True}),
    sa.Column("items_hash", sa.Text, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("recorded_at", UtcTime, nullable=False),
    sa.Index("reconciliations_recorded", "recorded_at", "reconciliation_id"),
)

reconciliation_items: Final = sa.Table(
    "reconciliation_items",
    METADATA,
    sa.Column("reconciliation_id", sa.Uuid, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("is_difference", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("reference", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("theirs_minor", sa.BigInteger),
    sa.Column("ours_minor", sa.BigInteger),
    sa.Column("differs", sa.Text, nullable=False, info={"json": True}),
    sa.Column("transaction_id", sa.Text),
    sa.Column("transfer_id", sa.Text),
    sa.Column("payout_id", sa.Uuid),
    sa.Column("theirs_at", UtcTime),
    sa.Column("ours_at", UtcTime),
    sa.Column("ours_position", sa.BigInteger),
    sa.Column("theirs_destination", sa.Text),
    sa.Column("ours_destination", sa.Text),
    sa.Column("resolution", sa.Text),
    sa.Index("reconciliation_items_reference", "reference"),
)

bank_statements: Final = sa.Table(
    "bank_statements",
    METADATA,
    sa.Column("bank_statement_id", sa.Uuid, primary_key=True),
    sa.Column("imported_at", UtcTime, nullable=False),
    sa.Index("bank_statements_imported", "imported_at", "bank_statement_id"),
)
"""Which statements were imported, and when each last said something new. What it said is in its stream."""
