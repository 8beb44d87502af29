"""The event store: facts that are only ever added, and how far each reader has read.

Revision 0001, the first.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

POSTGRESQL = (
    """
    CREATE TABLE stored_events (
        originator_id uuid NOT NULL,
        originator_version bigint NOT NULL CHECK (originator_version >= 1),
        topic text NOT NULL,
        state bytea NOT NULL,
        notification_id bigserial NOT NULL,
        PRIMARY KEY (originator_id, originator_version)
    )
    """,
    "CREATE UNIQUE INDEX stored_events_notification_id ON stored_events (notification_id)",
    """
    CREATE FUNCTION refuse_change_of_events() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'stored events are never changed or removed: % on % is refused', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege', HINT = 'Correct a fact by adding one that reverses it.';
    END
    $$
    """,
    """
    CREATE TRIGGER stored_events_no_change BEFORE UPDATE OR DELETE ON stored_events
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_events()
    """,
    """
    CREATE TRIGGER stored_events_no_truncate BEFORE TRUNCATE ON stored_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_events()
    """,
    # ALWAYS: also while session_replication_role is 'replica', which silences ordinary triggers.
    "ALTER TABLE stored_events ENABLE ALWAYS TRIGGER stored_events_no_change",
    "ALTER TABLE stored_events ENABLE ALWAYS TRIGGER stored_events_no_truncate",
    """
    CREATE TABLE positions (
        name text PRIMARY KEY,
        position bigint NOT NULL,
        updated_at timestamptz
    )
    """,
)

# A role without UPDATE and DELETE may not LOCK TABLE ... EXCLUSIVE, so the owner lends it the lock; it is the
# caller's transaction that holds it. The path is pinned and the name whole: no other table gets in the way.
LOCK_FUNCTION = """
    CREATE FUNCTION lock_stored_events() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
        LOCK TABLE {schema}.stored_events IN EXCLUSIVE MODE;
    END
    $$
"""

SQLITE = (
    """
    CREATE TABLE stored_events (
        notification_id INTEGER PRIMARY KEY AUTOINCREMENT,
        originator_id TEXT NOT NULL CHECK (length(originator_id) = 32),
        originator_version BIGINT NOT NULL CHECK (originator_version >= 1),
        topic TEXT NOT NULL,
        state BLOB NOT NULL,
        UNIQUE (originator_id, originator_version)
    )
    """,
    """
    CREATE TRIGGER stored_events_no_update BEFORE UPDATE ON stored_events BEGIN
        SELECT RAISE(ABORT, 'stored events are never changed or removed: UPDATE is refused');
    END
    """,
    """
    CREATE TRIGGER stored_events_no_delete BEFORE DELETE ON stored_events BEGIN
        SELECT RAISE(ABORT, 'stored events are never changed or removed: DELETE is refused');
    END
    """,
    # INSERT OR REPLACE removes the old row, and tells the DELETE trigger only when the connection asks for
    # recursive_triggers. But it also rules over what its triggers write: their INSERT OR IGNORE becomes a
    # REPLACE. The probe row below stays 'kept' under every other insert (ON CONFLICT DO NOTHING and plain go
    # their usual way) and turns 'replaced' under a REPLACE, which the trigger then refuses, probe and all.
    "CREATE TABLE stored_events_probe (id INTEGER PRIMARY KEY CHECK (id = 1), fate TEXT NOT NULL)",
    "INSERT INTO stored_events_probe (id, fate) VALUES (1, 'kept')",
    """
    CREATE TRIGGER stored_events_no_replace BEFORE INSERT ON stored_events
    WHEN EXISTS (
        SELECT 1 FROM stored_events
        WHERE originator_id = NEW.originator_id AND originator_version = NEW.originator_version
    ) OR EXISTS (SELECT 1 FROM stored_events WHERE notification_id = NEW.notification_id)
    BEGIN
        INSERT OR IGNORE INTO stored_events_probe (id, fate) VALUES (1, 'replaced');
        SELECT RAISE(ABORT, 'stored events are never changed or removed: REPLACE is refused')
        FROM stored_events_probe WHERE fate = 'replaced';
    END
    """,
    "CREATE TABLE positions (name TEXT PRIMARY KEY NOT NULL, position BIGINT NOT NULL, updated_at TEXT)",
)


def upgrade() -> None:
    """Make the tables and the triggers that keep events as they are."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        for statement in SQLITE:
            op.execute(statement)
        return
    schema = connection.exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    for statement in (*POSTGRESQL, LOCK_FUNCTION.format(schema=schema)):
        op.execute(statement)
    op.execute("REVOKE EXECUTE ON FUNCTION lock_stored_events() FROM PUBLIC")


def downgrade() -> None:
    """There is no way back from the store of all facts: what would remain of them?"""
    raise NotImplementedError("the event store is never removed; drop the whole database instead")
