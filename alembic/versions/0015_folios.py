"""Folios of the journal, and indexes by which a partner's pages touch no more rows than they show.

Revision 0015, after 0014. The journal is read from the log anew: its folios are made on the way.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

FOLIOS = """
    CREATE TABLE folios (
        program_id {uuid} NOT NULL, partner_id {uuid} NOT NULL, currency text NOT NULL,
        level bigint NOT NULL, number bigint NOT NULL, effective_from {time} NOT NULL,
        sheet bigint NOT NULL, position bigint NOT NULL, known_at {time} NOT NULL, late_from {time},
        entries {bytes} NOT NULL,
        CONSTRAINT pk_folios
            PRIMARY KEY (program_id, partner_id, currency, level, number, effective_from, sheet)
    )
"""
INDEXES = (
    "CREATE INDEX ix_folios_known_at ON folios (program_id, partner_id, currency, known_at, number)"
    " WHERE level = 0",
    "CREATE INDEX ix_folios_late_from ON folios (program_id, partner_id, currency, late_from, number)"
    " WHERE late_from IS NOT NULL",
)
OLDER = (
    ("journal", "partner_id, program_id, position"),
    ("rewards", "program_id, partner_id, effective_at, reward_id"),
    ("rewards", "partner_id, effective_at"),
)
NEWER = (
    ("journal", "partner_id, position, leg"),
    ("journal", "program_id, partner_id, currency, position"),
    ("rewards", "program_id, effective_at, reward_id"),
    ("rewards", "partner_id, effective_at, reward_id"),
)
POSTGRESQL_GUARDS = (
    """
    CREATE FUNCTION refuse_change_of_folios() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'folios of the journal are never changed or removed: % is refused', TG_OP
            USING ERRCODE = 'insufficient_privilege', HINT = 'To make them anew: revshare rebuild journal';
    END
    $$
    """,
    """
    CREATE TRIGGER folios_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON folios
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_folios()
    """,
)
SQLITE_GUARDS = (
    """
    CREATE TRIGGER folios_no_update BEFORE UPDATE ON folios BEGIN
        SELECT RAISE(ABORT, 'folios of the journal are never changed or removed: UPDATE is refused');
    END
    """,
    """
    CREATE TRIGGER folios_no_delete BEFORE DELETE ON folios BEGIN
        SELECT RAISE(ABORT, 'folios of the journal are never changed or removed: DELETE is refused');
    END
    """,
)


def upgrade() -> None:
    """Make the table and the indexes; let the journal begin at the start of the log."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    if postgresql:
        op.execute(FOLIOS.format(uuid="uuid", time="timestamptz", bytes="bytea"))
    else:
        op.execute(FOLIOS.format(uuid="char(32)", time="text", bytes="blob"))
    for statement in (*INDEXES, *(POSTGRESQL_GUARDS if postgresql else SQLITE_GUARDS)):
        op.execute(statement)
    _replace(OLDER, NEWER)
    _empty_journal(postgresql=postgresql)


def _empty_journal(*, postgresql: bool) -> None:
    """Its legs are guarded, but a view: they come again from the log, each with its folio."""
    if postgresql:
        op.execute("ALTER TABLE journal DISABLE TRIGGER journal_no_change")
        op.execute("DELETE FROM journal")
        op.execute("ALTER TABLE journal ENABLE TRIGGER journal_no_change")
    else:
        guard = sa.text("SELECT sql FROM sqlite_master WHERE name = 'journal_no_delete'")
        again = op.get_bind().execute(guard).scalar_one()
        op.execute("DROP TRIGGER journal_no_delete")
        op.execute("DELETE FROM journal")
        op.execute(again)
    op.execute("UPDATE positions SET position = 0 WHERE name = 'view:journal'")


def downgrade() -> None:
    """Remove them; the journal stays as it is."""
    op.execute("DROP TABLE folios")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change_of_folios()")
    _replace(NEWER, OLDER)


def _replace(old: tuple[tuple[str, str], ...], new: tuple[tuple[str, str], ...]) -> None:
    for table, columns in old:
        op.execute(f"DROP INDEX {_name(table, columns)}")
    for table, columns in new:
        op.execute(f"CREATE INDEX {_name(table, columns)} ON {table} ({columns})")


def _name(table: str, columns: str) -> str:
    return f"ix_{table}_{columns.replace(', ', '_')}"
