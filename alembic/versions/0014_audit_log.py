"""The audit log: tiles of the Merkle tree, where its leaves stand in the log, signed checkpoints.

Revision 0014, after 0013.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE audit_tiles (
        level bigint NOT NULL, tile bigint NOT NULL, hashes {bytes} NOT NULL, PRIMARY KEY (level, tile)
    )
    """,
    """
    CREATE TABLE audit_bundles (
        tile bigint NOT NULL PRIMARY KEY, first_position bigint NOT NULL UNIQUE, positions {bytes} NOT NULL
    )
    """,
    """
    CREATE TABLE audit_checkpoints (
        size bigint NOT NULL PRIMARY KEY, position bigint NOT NULL, root {bytes} NOT NULL,
        note text NOT NULL, cause text NOT NULL, made_at {time} NOT NULL
    )
    """,
    """
    CREATE TABLE audit_cosignatures (
        size bigint NOT NULL REFERENCES audit_checkpoints, name text NOT NULL, line text NOT NULL,
        recorded_at {time} NOT NULL, PRIMARY KEY (size, name)
    )
    """,
    """
    CREATE TABLE audit_deliveries (
        target text NOT NULL PRIMARY KEY, size bigint NOT NULL, delivered_at {time}, error text,
        tried_at {time}
    )
    """,
)


def upgrade() -> None:
    """Make the tables."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    types = {"bytes": "bytea" if postgresql else "BLOB", "time": "timestamptz" if postgresql else "text"}
    for statement in TABLES:
        op.execute(statement.format(**types))


def downgrade() -> None:
    """Drop them."""
    for table in ("deliveries", "cosignatures", "checkpoints", "bundles", "tiles"):
        op.execute(f"DROP TABLE audit_{table}")
