"""Closed months and statements.

Revision 0016, after 0015. No fact of them was told before, so the view begins where the others stand.
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE periods (
        program_id {uuid} NOT NULL, period text NOT NULL, begins_at {time} NOT NULL, ends_at {time} NOT NULL,
        time_zone text NOT NULL, through_position bigint NOT NULL, after_position bigint NOT NULL,
        later_after_position bigint NOT NULL, totals text NOT NULL, closed_by text NOT NULL, reason text,
        statements bigint NOT NULL, recorded_at {time} NOT NULL, position bigint NOT NULL,
        CONSTRAINT pk_periods PRIMARY KEY (program_id, period)
    )
    """,
    """
    CREATE TABLE statements (
        statement_id {uuid} NOT NULL, program_id {uuid} NOT NULL, count bigint NOT NULL, number text NOT NULL,
        partner_id {uuid} NOT NULL, period text NOT NULL, currency text NOT NULL, version bigint NOT NULL,
        details_position bigint NOT NULL, opening text NOT NULL, closing text NOT NULL, lines bigint NOT NULL,
        content_sha256 text NOT NULL, corrects {uuid}, reason text, issued_by text NOT NULL,
        recorded_at {time} NOT NULL, position bigint NOT NULL,
        CONSTRAINT pk_statements PRIMARY KEY (statement_id)
    )
    """,
)
INDEXES = (
    "program_id, partner_id, currency, period",
    "program_id, count",
    "partner_id, recorded_at, statement_id",
)


def upgrade() -> None:
    """Make the tables and the view's position."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    types = {"uuid": "uuid" if postgresql else "char(32)", "time": "timestamptz" if postgresql else "text"}
    for statement in TABLES:
        op.execute(statement.format(**types))
    for columns in INDEXES:
        op.execute(f"CREATE INDEX ix_statements_{columns.replace(', ', '_')} ON statements ({columns})")
    op.execute(
        "INSERT INTO positions (name, position, updated_at)"
        " SELECT 'view:periods', coalesce(min(position), 0), min(updated_at)"
        " FROM positions WHERE name LIKE 'view:%'"
    )


def downgrade() -> None:
    """Drop them."""
    op.execute("DELETE FROM positions WHERE name = 'view:periods'")
    op.execute("DROP TABLE statements")
    op.execute("DROP TABLE periods")
