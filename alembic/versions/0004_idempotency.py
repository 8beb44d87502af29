"""What was answered under an Idempotency-Key, so that the same request again is answered the same.

Revision 0004, after 0003.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# A working table of the API, not a record: rows go after a day. `status` is NULL while the request runs.
TABLE = """
    CREATE TABLE idempotency_keys (
        actor text NOT NULL,
        idempotency_key text NOT NULL,
        fingerprint {bytes} NOT NULL,
        owner text NOT NULL,
        started_s bigint NOT NULL,
        status integer,
        headers text,
        body {bytes},
        PRIMARY KEY (actor, idempotency_key)
    )
"""


def upgrade() -> None:
    """Make the table."""
    kind = "bytea" if op.get_bind().dialect.name == "postgresql" else "BLOB"
    op.execute(TABLE.format(bytes=kind))
    op.execute("CREATE INDEX idempotency_keys_started ON idempotency_keys (started_s)")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE idempotency_keys")
