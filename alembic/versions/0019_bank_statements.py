"""Which bank statements were imported, so that they can be listed. What each said is in its stream.

Revision 0019, after 0018.
"""

import json
from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

TABLE = """
    CREATE TABLE bank_statements (
        bank_statement_id {uuid} NOT NULL PRIMARY KEY, imported_at {time} NOT NULL
    )
"""
INDEX = "CREATE INDEX bank_statements_imported ON bank_statements (imported_at, bank_statement_id)"
STORED = """
    SELECT originator_id, state FROM stored_events
    WHERE topic = 'BankStatementImported@1' ORDER BY notification_id
"""
INSERT = "INSERT INTO bank_statements (bank_statement_id, imported_at) VALUES (:id, :at)"


def upgrade() -> None:
    """Make the table, and write those into it that were imported before."""
    connection = op.get_bind()
    postgresql = connection.dialect.name == "postgresql"
    types = ("uuid", "timestamptz") if postgresql else ("CHAR(32)", "text")
    op.execute(TABLE.format(uuid=types[0], time=types[1]))
    op.execute(INDEX)
    found = {}
    for statement_id, state in connection.execute(sa.text(STORED)):
        said = json.loads(bytes(state))["fact"]["effective_at"]
        found[statement_id] = datetime.fromisoformat(said) if postgresql else as_text(said)
    for statement_id, at in found.items():
        connection.execute(sa.text(INSERT), {"id": statement_id, "at": at})


def as_text(said: str) -> str:
    """A time as SQLite holds it: always with six digits of a second."""
    return datetime.fromisoformat(said).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def downgrade() -> None:
    """Drop it: the statements stay in the log."""
    op.execute("DROP TABLE bank_statements")
