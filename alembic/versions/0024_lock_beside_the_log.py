"""The log's lock is that of a table beside it: vacuum and statistics of the log keep no writer waiting.

Revision 0024, after 0023.
"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

# EXCLUSIVE on the log itself excludes VACUUM and ANALYZE, too. So autovacuum, when it had come to a busy log,
# kept writers waiting until the server cancelled it a second later (deadlock_timeout), and came again after a
# minute. One that prevents wraparound is not cancelled: writers would have waited for all of it. No lock of a
# table excludes writers and lets those pass, so an empty table has it (PostgreSQL, "Explicit Locking").
TABLE = "CREATE TABLE stored_events_lock ()"
LOCK_FUNCTION = """
    CREATE OR REPLACE FUNCTION lock_stored_events() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
        LOCK TABLE {schema}.{table} IN EXCLUSIVE MODE;
    END
    $$
"""
# Whoever inserts takes the lock, also who does not know the function: before the first row, so before its
# position is drawn. Where the transaction has it, it is there already.
TRIGGER_FUNCTION = """
    CREATE FUNCTION lock_before_insert() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
        PERFORM {schema}.lock_stored_events();
        RETURN NULL;
    END
    $$
"""
TRIGGER = """
    CREATE TRIGGER stored_events_in_turn BEFORE INSERT ON stored_events
    FOR EACH STATEMENT EXECUTE FUNCTION lock_before_insert()
"""


def upgrade() -> None:
    """Make the table, take the lock there, and have every insert take it; SQLite locks its file."""
    if (schema := _schema()) is None:
        return
    op.execute(TRIGGER_FUNCTION.format(schema=schema))
    # The trigger waits for the writers of now; later ones find it and the table.
    op.execute(TABLE)
    op.execute(TRIGGER)
    op.execute("ALTER TABLE stored_events ENABLE ALWAYS TRIGGER stored_events_in_turn")
    op.execute(LOCK_FUNCTION.format(schema=schema, table="stored_events_lock"))


def downgrade() -> None:
    """Lock the log itself again."""
    if (schema := _schema()) is None:
        return
    op.execute("DROP TRIGGER stored_events_in_turn ON stored_events")
    op.execute("DROP FUNCTION lock_before_insert()")
    op.execute(LOCK_FUNCTION.format(schema=schema, table="stored_events"))
    op.execute("DROP TABLE stored_events_lock")


def _schema() -> str | None:
    """The schema of our tables, quoted; None on SQLite."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return None
    return str(connection.exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one())
